"""Numbers and sentences of the demo, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_llmops.cli.demo.results import Comparison, Figure, Unit, Value
    from langchain_llmops.cli.demo.shadow import ShadowReport

__all__ = [
    "calibration_note",
    "change",
    "headline",
    "repeat_note",
    "shadow_note",
    "shown",
    "simulation_note",
]


def shown(value: Value, unit: Unit) -> str:
    """Return a number with its unit; `n/a` for none."""
    if value is None:
        return "n/a"
    if unit == "count":
        return f"{value:,}"
    if unit == "usd":
        return f"${value:,.4f}"
    if unit == "share":
        return f"{value:.0%}"
    return f"{value:,.2f} s"


def change(figure: Figure) -> str:
    """Return by how much a figure changed; empty where that says nothing."""
    before, after = figure.before, figure.after
    if figure.unit == "share" or not before or after is None:
        return ""
    share = round(100 * (float(after) / float(before) - 1))
    if not share:
        return "="
    return f"{'+' if share > 0 else '−'}{abs(share)} %"  # noqa: RUF001 - a minus sign


def headline(comparison: Comparison) -> str:
    """Return what the comparison comes to, in one sentence."""
    before, after = comparison.before, comparison.after
    hits = comparison.hits.exact + comparison.hits.semantic
    told = f"{hits:,} of {len(after.turns):,} answers came from the cache"
    if before.counted.usd and after.counted.usd is not None:
        share = 1 - after.counted.usd / before.counted.usd
        if share > 0:
            told += f" and cut the bill by {share:.0%}"
    return f"{told}."


def repeat_note(comparison: Comparison) -> str:
    """Return the sentence that keeps the saving from being taken for a law."""
    share = comparison.repeats
    return (
        f"{share.share:.0%} of this log asks what was asked before, "
        f"{share.same_words:.0%} in the same words. A log that repeats itself less "
        "saves less."
    )


def simulation_note(comparison: Comparison) -> str | None:
    """Return what is not real about a run against the local provider."""
    if comparison.simulated is None:
        return None
    return (
        f"Latency is simulated: {comparison.simulated}. Embeddings compare words, not "
        "meanings: paraphrases seldom hit. Prices are OpenAI's list prices."
    )


def shadow_note(shadow: ShadowReport) -> str:
    """Return what shadow mode would have served, and how that would have fitted."""
    told = (
        f"Shadow mode, the first {shadow.asked:,} questions: exact hits were served, "
        f"near questions only compared. {shadow.would_serve:,} of {shadow.near:,} near "
        "ones would have been given another's answer"
    )
    if not shadow.would_serve:
        return f"{told}."
    fits = f"the model's own answer agreed for {shadow.agreed:,}"
    if shadow.labelled:
        fits = f"by the log's labels rightly for {shadow.right:,}; {fits}"
    return f"{told}, {fits}."


def calibration_note(shadow: ShadowReport) -> str:
    """Return what the labelled pairs prove, or that they do not and what that means."""
    proven = shadow.calibration
    if proven is None:
        return (
            "No near pair came up in two thirds of the log, so there was nothing to "
            "calibrate on: only exact hits were served to the end."
        )
    asked = f"at most {proven.max_false_hit_rate or 0:.0%} of the hits are wrong"
    if shadow.abstains:
        return (
            f"Calibration abstains: {proven.pairs:,} labelled pairs do not prove that "
            f"{asked}. So only exact hits were served to the end, and every other "
            "wording was paid for. Label more pairs, or accept a higher rate."
        )
    return (
        f"Calibrated: it would serve {proven.served:,} of {proven.pairs:,} labelled "
        f"pairs, {proven.wrong:,} of them wrongly, which proves that {asked} (at "
        f"{proven.confidence:.0%} confidence). From there on near questions were "
        "served. More pairs prove stricter rates."
    )

"""Numbers and sentences of the demo, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_llmops.cli.demo.results import Comparison, Figure, Unit, Value

__all__ = ["change", "headline", "repeat_note", "shown", "simulation_note"]


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

"""What the demo found: two arms side by side, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

from langchain_llmops.cli.demo.metrics import (
    Hits,
    Repeats,
    judge_hits,
    percentile,
    repeats,
    retrieval_accuracy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_llmops.cli.demo.chapter import Chapter
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.shadow import ShadowReport
    from langchain_llmops.cli.demo.turns import Turn

__all__ = ["ArmResult", "Billed", "Comparison", "Figure", "figures"]

Unit = Literal["count", "usd", "seconds", "share"]
Value = int | float | Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What some calls were billed.

    Args:
        calls: How many.
        input_tokens: Their input.
        output_tokens: Their output.
        usd: Their price; `None` where a model has no known price.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One arm after its run.

    Args:
        name: `before` or `after`.
        turns: One per question that was asked, in the order of the log.
        counted: Chat calls, as `CostCallbackHandler` counted them.
        invoiced: The same calls as the provider billed them; `None` where it sends
            no invoice.
        embedded: Embedding calls that the provider billed; `None` likewise.
        wall_s: Seconds for the whole log.
    """

    name: str
    turns: Sequence[Turn]
    counted: Billed
    invoiced: Billed | None
    embedded: Billed | None
    wall_s: float

    @property
    def answered(self) -> int:
        """How many answers arrived."""
        return sum(turn.error is None for turn in self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the comparison.

    Args:
        key: Its name in `--json`.
        label: Its name for people.
        unit: What kind of number it is.
        before: The proof of concept's.
        after: The layered chain's.
        ends: Whether a group of lines ends here.
    """

    key: str
    label: str
    unit: Unit
    before: Value
    after: Value
    ends: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both arms, and what they were asked.

    Args:
        questions: The log, as far as it was to be asked.
        before: The proof of concept.
        after: The layered chain.
        documents: How many documents were indexed.
        chunks: In how many pieces.
        source: What the documents are.
        provider: Who answered.
        simulated: How latency was simulated; `None` where it was real.
        stopped: Why not everything was asked; `None` if it was.
        shadow: What the cache of the second arm showed before it served near
            questions.
        chapters: What came after both arms.
    """

    questions: Sequence[Question]
    before: ArmResult
    after: ArmResult
    documents: int
    chunks: int
    source: str
    provider: str
    simulated: str | None
    stopped: str | None
    shadow: ShadowReport
    chapters: Sequence[Chapter] = ()

    @cached_property
    def hits(self) -> Hits:
        """Answers out of the cache in the second arm."""
        return judge_hits(self.after.turns)

    @cached_property
    def repeats(self) -> Repeats:
        """How much of the log was asked before."""
        return repeats(self.questions)

    @property
    def complete(self) -> bool:
        """Whether every answer arrived in both arms."""
        wanted = len(self.questions)
        return self.before.answered == self.after.answered == wanted

    @property
    def settled(self) -> bool:
        """Whether what was counted is what was billed, where there is an invoice."""
        return all(
            arm.invoiced is None or arm.counted == arm.invoiced
            for arm in (self.before, self.after)
        )


def figures(comparison: Comparison) -> list[Figure]:
    """Return the lines of the comparison, in the order to be read."""
    arms = comparison.before, comparison.after

    def line(
        key: str,
        label: str,
        unit: Unit,
        value: Callable[[ArmResult], Value],
        *,
        ends: bool = False,
    ) -> Figure:
        before, after = map(value, arms)
        return Figure(
            key=key, label=label, unit=unit, before=before, after=after, ends=ends
        )

    def seconds(key: str, label: str, attribute: str, percent: int) -> Figure:
        return line(
            key,
            label,
            "seconds",
            lambda arm: percentile(_times(arm, attribute), percent),
        )

    lines = [
        line("answers", "Answers that arrived", "count", lambda arm: arm.answered),
        line("calls", "Calls that reached the model", "count", _counted("calls")),
        line("input_tokens", "Input tokens", "count", _counted("input_tokens")),
        line("output_tokens", "Output tokens", "count", _counted("output_tokens")),
        line("usd", "USD", "usd", _counted("usd")),
        line("usd_saved", "USD saved", "usd", partial(_saved, arms[0])),
        line(
            "invoice_usd",
            "USD on the provider's invoice",
            "usd",
            lambda arm: arm.invoiced.usd if arm.invoiced else None,
        ),
        line(
            "embedding_usd",
            "USD for embeddings, beside that",
            "usd",
            lambda arm: arm.embedded.usd if arm.embedded else None,
            ends=True,
        ),
        seconds("ttft_p50_s", "First text, median", "ttft_s", 50),
        seconds("ttft_p95_s", "First text, 95 % within", "ttft_s", 95),
        seconds("latency_p50_s", "Whole answer, median", "latency_s", 50),
        seconds("latency_p95_s", "Whole answer, 95 % within", "latency_s", 95),
        line(
            "ttft_cached_p50_s",
            "First text of a cached answer, median",
            "seconds",
            lambda arm: percentile(_times(arm, "ttft_s", cached=True), 50),
        ),
        line("wall_s", "The whole log", "seconds", lambda arm: arm.wall_s, ends=True),
        *_cache_figures(comparison),
        line(
            "retrieval_accuracy",
            "Right document retrieved",
            "share",
            lambda arm: retrieval_accuracy(arm.turns),
        ),
    ]
    billed = {"invoice_usd", "embedding_usd"}
    return [one for one in lines if one.key not in billed or one.before is not None]


def _cache_figures(comparison: Comparison) -> list[Figure]:
    hits = comparison.hits
    return [
        _of_cache("exact_hits", "Answers from cache, exact", hits.exact),
        _of_cache("semantic_hits", "Answers from cache, semantic", hits.semantic),
        Figure(
            key="hit_rate",
            label="Hit rate",
            unit="share",
            before=_hit_rate(comparison.before),
            after=_hit_rate(comparison.after),
        ),
        _of_cache(
            "false_hits",
            "False cache hits",
            None if hits.false is None else len(hits.false),
        ),
    ]


def _of_cache(key: str, label: str, count: int | None) -> Figure:
    return Figure(
        key=key,
        label=label,
        unit="count",
        before=0 if count is not None else None,
        after=count,
    )


def _hit_rate(arm: ArmResult) -> Value:
    cached = sum(turn.source in {"exact", "semantic"} for turn in arm.turns)
    return cached / arm.answered if arm.answered else None


def _saved(before: ArmResult, arm: ArmResult) -> Value:
    spent, now = before.counted.usd, arm.counted.usd
    return None if spent is None or now is None else spent - now


def _counted(attribute: str) -> Callable[[ArmResult], Value]:
    def value(arm: ArmResult) -> Value:
        found: Value = getattr(arm.counted, attribute)
        return found

    return value


def _times(arm: ArmResult, attribute: str, *, cached: bool = False) -> list[float]:
    turns = (turn for turn in arm.turns if turn.error is None)
    times = (getattr(turn, attribute) for turn in turns if turn.mark or not cached)
    return [seconds for seconds in times if seconds is not None]

"""`complexity`: what a better answer is worth, against what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.base import Opinion, SelectionPolicy
from langchain_llmops.routing.difficulty import TextDifficulty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.difficulty import DifficultyEstimator
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["QualityTable", "complexity", "wrong_share"]

QualityTable: TypeAlias = Mapping[str, float | Mapping[str, float]]
"""Name of a candidate to its share of right answers, from 0 to 1.

Or to a table of its own, from task to share, where `*` stands for all other tasks:
`{"gpt-4o": {"*": 0.86, "code": 0.91}, "gpt-4o-mini": 0.78}`.
"""

_OTHER_TASKS = "*"
_MIDDLE = 0.5


def complexity(
    quality: QualityTable,
    *,
    error_usd: float | str | Decimal = "0.01",
    estimator: DifficultyEstimator | None = None,
) -> SelectionPolicy:
    """Prefer the candidate with the least expected loss, in USD.

    ```text
    loss = error_usd * wrong_share(quality, difficulty) + cost of the call
    ```

    So `error_usd` is the one weight between complexity and cost: what you would pay to
    be spared a wrong answer. At 0 the cheapest wins, at a high price the best. Where
    the difficulty is unknown it counts as 0.5. A candidate whose price is unknown, so
    that its loss is, comes after the others, the best first.

    Args:
        quality: How good each candidate is, see `QualityTable`: measured on prompts
            like yours, hard and easy ones mixed.
        error_usd: What a wrong answer costs you.
        estimator: Who says how hard a prompt is; by default `TextDifficulty`, better a
            fitted `learned`.

    Raises:
        ConfigurationError: A quality is not from 0 to 1, or `error_usd` is negative.
    """
    for name, entry in quality.items():
        shares = entry.values() if isinstance(entry, Mapping) else (entry,)
        for share in shares:
            if not 0 <= share <= 1:
                raise ConfigurationError(
                    f"the quality of {name!r} is {share!r}: give its share of right "
                    "answers, from 0 to 1"
                )
    worth = Decimal(str(error_usd))
    if not (worth.is_finite() and worth >= 0):
        raise ConfigurationError(f"error_usd is {error_usd!r}: give 0 or more")
    return _Complexity(
        quality=quality, error_usd=worth, judge=estimator or TextDifficulty()
    )


def wrong_share(quality: float, difficulty: float) -> float:
    """Return the expected share of wrong answers of a model at a difficulty.

    Errors grow in proportion to the difficulty: a prompt in the middle (0.5) is
    answered as well as the average, the easiest always right, the hardest with twice
    the average's errors. Over prompts of all difficulties this gives `quality` again.

    Args:
        quality: The model's share of right answers on average.
        difficulty: From 0 to 1.
    """
    return min(1.0, (1 - quality) * difficulty / _MIDDLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Complexity(SelectionPolicy):
    quality: QualityTable
    error_usd: Decimal
    judge: DifficultyEstimator

    @property
    def estimator(self) -> DifficultyEstimator:
        return self.judge

    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,  # noqa: ARG002 - the interface's
        chance: Chance,  # noqa: ARG002
    ) -> Sequence[Opinion]:
        hard = _MIDDLE if request.difficulty is None else request.difficulty
        return [self._opinion(request, candidate, hard) for candidate in candidates]

    def check(self, candidates: Sequence[Candidate]) -> None:
        names = {candidate.name for candidate in candidates}
        if unknown := sorted(self.quality.keys() - names):
            raise ConfigurationError(
                f"the quality table names {unknown!r}, but the candidates are "
                f"{sorted(names)!r}: use their names"
            )
        for name in names:
            if self._share(name, None) is None:
                raise ConfigurationError(
                    f"the quality table lacks {name!r}: add its share of right "
                    f"answers, or {{{_OTHER_TASKS!r}: …}} for tasks not listed"
                )

    def _share(self, name: str, task: str | None) -> float | None:
        entry = self.quality.get(name)
        if isinstance(entry, Mapping):
            general = entry.get(_OTHER_TASKS)
            return general if task is None else entry.get(task, general)
        return entry

    def _opinion(
        self, request: RoutingRequest, candidate: Candidate, hard: float
    ) -> Opinion:
        quality = self._share(candidate.name, request.task)
        if quality is None:
            return Opinion(key=(2,), reason="its quality is unknown")
        wrong = wrong_share(quality, hard)
        cost = candidate.cost(request.usage, at=request.at)
        if cost is None:
            return Opinion(key=(1, wrong), reason="its price is unknown")
        loss = float(self.error_usd) * wrong + float(cost)
        return Opinion(
            key=(0, loss),
            reason=f"{loss:.3g} USD expected loss: {wrong:.1%} wrong, {cost} USD",
        )

"""How much a count of errors proves: exact binomial tests, nothing asymptotic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = [
    "binomial_cdf",
    "clopper_pearson",
    "fewest_trials",
    "loosest_safe_cut",
]

_BISECTIONS: Final = 60
_STEPS: Final = 50

Counts: TypeAlias = "npt.NDArray[np.int64]"


def binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """Return the probability of at most so many successes."""
    if successes >= trials or rate <= 0.0:
        return 1.0
    if successes < 0 or rate >= 1.0:
        return 0.0
    count = np.arange(successes + 1)
    # log of "trials choose count", as a running sum of log ratios
    ratios = np.log((trials - count[:-1]) / (count[:-1] + 1.0))
    log_choose = np.concatenate([[0.0], np.cumsum(ratios)])
    logs = log_choose + count * math.log(rate) + (trials - count) * math.log1p(-rate)
    return min(1.0, float(np.exp(logs).sum()))


def clopper_pearson(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the exact two-sided confidence interval of a rate.

    It covers the true rate with at least the given probability, whatever the rate and
    however few the trials; without trials it is (0, 1).
    """
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low, high = 0.0, 1.0
    if successes > 0:
        low = _bisect(
            lambda rate: 1.0 - binomial_cdf(successes - 1, trials, rate) >= tail
        )
    if successes < trials:
        high = _bisect(lambda rate: binomial_cdf(successes, trials, rate) <= tail)
    return low, high


def fewest_trials(rate: float, *, confidence: float = 0.95) -> int:
    """Return how many trials without a single error prove a rate at most this."""
    return math.ceil(math.log(1.0 - confidence) / math.log1p(-rate))


def loosest_safe_cut(
    served: Counts, wrong: Counts, rate: float, *, start: int, confidence: float = 0.95
) -> int | None:
    """Return the loosest cut whose error rate is proven to be at most a rate.

    Cuts are tested one after the other, from `start` on, each against the hypothesis
    that its error rate exceeds `rate`; the first that cannot refute it ends the
    sequence. As the order was fixed before (fixed sequence testing), all the tests
    together err with probability 1 - `confidence` at most.

    Args:
        served: How many each cut lets through, strictest cut first.
        wrong: How many of those are errors.
        rate: The largest error rate that is acceptable.
        start: The cut to begin with, chosen without a look at the errors.
        confidence: Probability with which the answer is right.

    Returns:
        The last cut that passed; `None` if already the first failed.
    """
    safe = None
    for cut in _sequence(served, start):
        doubt = binomial_cdf(int(wrong[cut]), int(served[cut]), rate)
        if doubt > 1.0 - confidence:
            break
        safe = cut
    return safe


def _sequence(served: Counts, start: int) -> list[int]:
    """Return cuts that each let a fiftieth more through than the one before."""
    cuts, enough = [], 0
    for cut in range(start, len(served)):
        if served[cut] >= enough:
            cuts.append(cut)
            enough = int(served[cut]) + max(1, int(served[cut]) // _STEPS)
    return cuts


def _bisect(above: Callable[[float], bool]) -> float:
    """Return where a condition on [0, 1] begins to hold."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if above(middle):
            high = middle
        else:
            low = middle
    return (low + high) / 2.0

"""What calls added up to: the report, and the running sums beneath it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, get_args

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.money import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_llmops.cost.charge import Charge

__all__ = ["OTHER", "UNKNOWN_MODEL", "CostReport", "Dimension", "Tally"]

Dimension = Literal["feature", "model"]

UNKNOWN_MODEL = "(unknown)"
"""The model of calls that name none."""

OTHER = "(other)"
"""Where a tally puts features and models beyond those that it tells apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """What calls used and cost; the sums of its parts are its own figures.

    Attributes:
        calls: Calls that a provider bills or may bill. An answer out of a cache is
            none, nor is a request that the provider refused with an error.
        input_tokens: Input tokens of those calls, cached ones included.
        output_tokens: Output tokens, hidden ones included.
        usd: What they cost, exactly; without those that are unpriced or unsettled.
        cache_hits: Answers that came out of a cache instead.
        saved_usd: What these would have cost.
        unpriced: Calls whose tokens are known and whose model has no known price.
        unsettled: Calls that went out, as far as is known, and whose end was never
            heard of: cancelled, timed out, or still running.
        estimated: Calls whose tokens were counted here, since the provider's numbers
            never arrived: a stream that broke off, or one without usage.
        by_model: The same figures per model.
        by_feature: The same figures per `config["metadata"]["feature"]`.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)
    cache_hits: int = 0
    saved_usd: Decimal = Decimal(0)
    unpriced: int = 0
    unsettled: int = 0
    estimated: int = 0
    by_model: dict[str, CostReport] = field(default_factory=dict)
    by_feature: dict[str, CostReport] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Sums:
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    cache_hits: int = 0
    saved: int = 0
    unpriced: int = 0
    unsettled: int = 0
    estimated: int = 0

    def book(self, charge: Charge) -> None:
        if charge.basis == "cached":
            self.cache_hits += 1
            self.saved += charge.saved
            return
        self.calls += 1
        self.unsettled += charge.basis == "unsettled"
        self.estimated += charge.basis == "estimated"
        self.input_tokens += charge.usage.input_tokens
        self.output_tokens += charge.usage.output_tokens
        if charge.cost is None:
            self.unpriced += 1
        else:
            self.cost += charge.cost

    def add(self, other: _Sums) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Tally:
    """Sums of charges by feature and model, in memory that does not grow with calls.

    Not safe across threads: its owner holds a lock.

    Args:
        max_groups: Pairs of feature and model that are told apart. Beyond that, new
            features are booked as `(other)`, and beyond twice that new models too.
    """

    def __init__(self, max_groups: int = 2_000) -> None:
        self._max_groups = max_groups
        self._groups: dict[tuple[str, str], _Sums] = {}

    def book(self, charge: Charge) -> None:
        """Add one charge; one that nobody bills leaves no trace."""
        if charge.basis == "refused":
            return
        key = self._key(charge.feature, charge.model)
        sums = self._groups.get(key)
        if sums is None:
            sums = self._groups[key] = _Sums()
        sums.book(charge)

    def copy(self) -> Tally:
        """Return a tally of the same sums that can be booked on alone."""
        twin = Tally(self._max_groups)
        for key, sums in self._groups.items():
            twin._groups[key] = _Sums()
            twin._groups[key].add(sums)
        return twin

    def report(self) -> CostReport:
        """Return everything, with its parts by model and by feature."""
        return _frozen(
            self._groups.values(),
            by_model={key[0]: part for key, part in self.split(("model",)).items()},
            by_feature={key[0]: part for key, part in self.split(("feature",)).items()},
        )

    def split(self, by: Sequence[Dimension]) -> dict[tuple[str, ...], CostReport]:
        """Return a report for each combination of the dimensions asked for.

        Raises:
            ConfigurationError: A dimension is none of those that are kept.
        """
        if isinstance(by, str) or not set(by) <= set(get_args(Dimension)):
            raise ConfigurationError(
                f"cannot report by {by!r}: choose from {get_args(Dimension)!r}"
            )
        places = [("feature", "model").index(dimension) for dimension in by]
        parts: dict[tuple[str, ...], list[_Sums]] = {}
        for key, sums in self._groups.items():
            parts.setdefault(tuple(key[place] for place in places), []).append(sums)
        return {key: _frozen(sums) for key, sums in parts.items()}

    def _key(self, feature: str, model: str) -> tuple[str, str]:
        kept = len(self._groups)
        for key, most in (
            ((feature, model), self._max_groups),
            ((OTHER, model), 2 * self._max_groups),
        ):
            if key in self._groups or kept < most:
                return key
        return (OTHER, OTHER)


def _frozen(
    groups: Iterable[_Sums],
    by_model: dict[str, CostReport] | None = None,
    by_feature: dict[str, CostReport] | None = None,
) -> CostReport:
    total = _Sums()
    for sums in groups:
        total.add(sums)
    return CostReport(
        calls=total.calls,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        usd=dollars(total.cost),
        cache_hits=total.cache_hits,
        saved_usd=dollars(total.saved),
        unpriced=total.unpriced,
        unsettled=total.unsettled,
        estimated=total.estimated,
        by_model=by_model or {},
        by_feature=by_feature or {},
    )

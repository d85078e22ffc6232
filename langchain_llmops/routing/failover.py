"""`FailoverPolicy`: what to do after a failed attempt, as a pure decision."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.failures import FailureKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.failures import Failure
    from langchain_llmops.routing.ranking import Choice

__all__ = ["Attempt", "FailoverPolicy", "GiveUp", "MidStream", "Try"]

MidStream = Literal["raise", "restart", "continue"]

_TRANSIENT: Final[frozenset[FailureKind]] = frozenset(
    {"connection", "rate_limit", "server", "timeout"}
)
_NEVER_AGAIN: Final[frozenset[FailureKind]] = frozenset(
    {"auth", "bad_request", "cancelled", "content_policy", "context_length", "refused"}
)
"""Kinds that the same candidate answers with again: `retry_on` cannot hold them."""

_MOST_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A call that was made and failed.

    Attributes:
        candidate: Who was asked.
        failure: How it failed.
        at: When it had failed, in seconds of the clock that `next_step` is told.
    """

    candidate: Candidate
    failure: Failure
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """Ask a candidate, after a wait in seconds, which is mostly 0."""

    candidate: Candidate
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Make no further attempt, for a reason that completes "gave up, since …"."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPolicy:
    """What a router does when a candidate fails; a pure value, safe to share.

    A candidate that was not asked yet comes first, at once. Only when none is left is
    one repeated, after the time that it asked for (`Retry-After`) or a jittered
    exponential backoff, and only for the kinds of failure in `retry_on`. A bad request
    is given up at once, since it is bad everywhere; wrong credentials, an empty
    account, a missing model and errors of unknown kind lead to another candidate, never
    to the same again.

    Args:
        tiers: Names of the candidates' tiers, in the order in which they are asked;
            empty: tiers do not matter.
        retry_on: Kinds of failure after which a candidate may be repeated.
        max_attempts: How many calls are made at most, the first included.
        deadline_s: Seconds that all attempts and waits may take together.
        attempt_timeout_s: Seconds that an attempt may take to its first token.
        hedge_after: When to ask a second candidate while the first one has said
            nothing: after so many seconds, or after the `"p95"` of its own times to the
            first token; `None`: never.
        mid_stream: What follows a failure after the first token: `"raise"` it,
            `"restart"` the answer with another candidate, or `"continue"` it.
        on_context_overflow: Where a prompt goes that is too long: to a candidate with a
            `"longer"` window, or nowhere (`"raise"`).
        on_content_filter: Where a prompt goes that a provider finds against its rules:
            nowhere (`"raise"`), or to the `"next"` candidate.
        backoff_s: About how long the first wait before a repetition is; later ones
            double.
        max_wait_s: The longest wait before a repetition. Who asks for a longer one is
            not repeated.

    Raises:
        ConfigurationError: A figure or a name is none of these.

    Example:
        ```python
        from langchain_llmops import FailoverPolicy

        policy = FailoverPolicy(tiers=["small", "large"], deadline_s=20)
        print(policy.tiers, policy.max_attempts)
        #> ('small', 'large') 4
        ```
    """

    tiers: Sequence[str] = ()
    retry_on: Collection[FailureKind] = _TRANSIENT
    max_attempts: int = 4
    deadline_s: float | None = None
    attempt_timeout_s: float | None = None
    hedge_after: float | Literal["p95"] | None = None
    mid_stream: MidStream = "raise"
    on_context_overflow: Literal["longer", "raise"] = "longer"
    on_content_filter: Literal["raise", "next"] = "raise"
    backoff_s: float = 0.5
    max_wait_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("tiers", "retry_on"):
            if isinstance(given := getattr(self, name), str):
                raise ConfigurationError(f"{name}={given!r}: give a list, [{given!r}]")
        object.__setattr__(self, "tiers", tuple(self.tiers))
        object.__setattr__(self, "retry_on", frozenset(self.retry_on))
        self._check_names()
        self._check_figures()

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raise `ConfigurationError` unless the tiers are those of the candidates."""
        if not self.tiers:
            return
        have = {candidate.tier for candidate in candidates}
        for candidate in candidates:
            if candidate.tier not in self.tiers:
                raise ConfigurationError(
                    f"{candidate.name!r} is of the tier {candidate.tier!r}, which is "
                    f"not in tiers={list(self.tiers)!r}: add it, or give the candidate "
                    "one of these"
                )
        if missing := [tier for tier in self.tiers if tier not in have]:
            raise ConfigurationError(
                f"no candidate is of the tier {missing[0]!r}: there are "
                f"{sorted(have)!r}; give a candidate tier={missing[0]!r}, or drop it"
            )

    def order(self, choices: Sequence[Choice]) -> tuple[Choice, ...]:
        """Return choices by tier, in their order inside a tier."""
        if not self.tiers:
            return tuple(choices)
        place = {tier: number for number, tier in enumerate(self.tiers)}
        last = len(place)
        return tuple(sorted(choices, key=lambda c: place.get(c.candidate.tier, last)))

    def timeout_s(self, left_s: float | None) -> float | None:
        """Return how long the next attempt may take to its first token.

        Args:
            left_s: Seconds until the deadline; `None`: there is none.
        """
        limits = [s for s in (self.attempt_timeout_s, left_s) if s is not None]
        return min(limits, default=None)

    def next_step(
        self,
        ranked: Sequence[Candidate],
        attempts: Sequence[Attempt],
        *,
        now: float,
        left_s: float | None = None,
        chance: Chance = random.random,
    ) -> Try | GiveUp:
        """Return what follows the last of the attempts.

        Args:
            ranked: Who may be asked, best first; those that failed too.
            attempts: What has failed, in order; at least one.
            now: Seconds of a clock that only goes up.
            left_s: Seconds until the deadline; `None`: there is none.
            chance: The source of the backoff's jitter.
        """
        failure = attempts[-1].failure
        if reason := self._hopeless(failure):
            return GiveUp(reason=reason)
        if len(attempts) >= self.max_attempts:
            return GiveUp(reason=f"max_attempts={self.max_attempts} were made")
        if left_s is not None and left_s <= 0:
            return GiveUp(reason="the deadline has passed")
        able = _long_enough(ranked, attempts)
        tried = {id(attempt.candidate) for attempt in attempts}
        for candidate in able:
            if id(candidate) not in tried:
                return Try(candidate=candidate)
        return self._repeat(able, attempts, now=now, left_s=left_s, chance=chance)

    def _hopeless(self, failure: Failure) -> str | None:
        """Return why no other candidate would help, or `None`."""
        return {
            "bad_request": "the request is invalid",
            "cancelled": "the call was cancelled",
            "context_length": "the prompt is too long"
            if self.on_context_overflow == "raise"
            else None,
            "content_policy": "the provider's rules forbid the prompt"
            if self.on_content_filter == "raise"
            else None,
        }.get(failure.kind)

    def _repeat(
        self,
        ranked: Sequence[Candidate],
        attempts: Sequence[Attempt],
        *,
        now: float,
        left_s: float | None,
        chance: Chance,
    ) -> Try | GiveUp:
        """Choose whom to ask again: who may be asked soonest, then who is better."""
        last = {id(attempt.candidate): attempt for attempt in attempts}
        times = [id(attempt.candidate) for attempt in attempts]
        waits = [
            (self._wait_s(last[id(each)], times.count(id(each)), now, chance), place)
            for place, each in enumerate(ranked)
            if self._may_repeat(each, attempts)
        ]
        if not waits:
            return GiveUp(reason="no candidate is left that could do better")
        wait_s, place = min(waits)
        if left_s is not None and wait_s >= left_s:
            return GiveUp(
                reason=f"the next attempt would wait {wait_s:.3g} s, "
                f"{left_s:.3g} s are left"
            )
        if wait_s > self.max_wait_s:
            return GiveUp(
                reason=f"the next attempt would wait {wait_s:.3g} s, longer than "
                f"max_wait_s={self.max_wait_s!r}"
            )
        return Try(candidate=ranked[place], wait_s=wait_s)

    def _may_repeat(self, candidate: Candidate, attempts: Sequence[Attempt]) -> bool:
        kinds = [a.failure.kind for a in attempts if a.candidate is candidate]
        return bool(kinds) and all(kind in self.retry_on for kind in kinds)

    def _wait_s(
        self, attempt: Attempt, times: int, now: float, chance: Chance
    ) -> float:
        """Return how long to wait from now before a candidate is asked again."""
        elapsed = max(0.0, now - attempt.at)
        if attempt.failure.retry_after_s is not None:
            return max(0.0, attempt.failure.retry_after_s - elapsed)
        doubled = self.backoff_s * 2.0 ** min(times - 1, _MOST_DOUBLINGS)
        jittered = doubled * (0.5 + 0.5 * chance())
        return max(0.0, min(jittered, self.max_wait_s) - elapsed)

    def _check_names(self) -> None:
        kinds = set(get_args(FailureKind))
        for kind in self.retry_on:
            if kind not in kinds - _NEVER_AGAIN:
                raise ConfigurationError(
                    f"retry_on has {kind!r}: give some of "
                    f"{sorted(kinds - _NEVER_AGAIN)!r}"
                )
        options = (
            ("mid_stream", get_args(MidStream)),
            ("on_context_overflow", ("longer", "raise")),
            ("on_content_filter", ("raise", "next")),
        )
        for name, allowed in options:
            if (value := getattr(self, name)) not in allowed:
                raise ConfigurationError(f"{name}={value!r}: give one of {allowed!r}")
        if len(set(self.tiers)) < len(self.tiers):
            raise ConfigurationError(
                f"tiers={list(self.tiers)!r} name one twice: drop it"
            )

    def _check_figures(self) -> None:
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise ConfigurationError(
                f"max_attempts={self.max_attempts!r}: give a whole number from 1"
            )
        if self.hedge_after != "p95":
            _check_seconds("hedge_after", self.hedge_after, or_none=True)
        for name in ("deadline_s", "attempt_timeout_s"):
            _check_seconds(name, getattr(self, name), or_none=True)
        for name in ("backoff_s", "max_wait_s"):
            _check_seconds(name, getattr(self, name), or_none=False)


def _long_enough(
    candidates: Sequence[Candidate], attempts: Sequence[Attempt]
) -> Sequence[Candidate]:
    """Return whose window is longer than those that overflowed, or unknown."""
    windows = [
        attempt.candidate.max_input_tokens or 0
        for attempt in attempts
        if attempt.failure.kind == "context_length"
    ]
    return [
        candidate
        for candidate in candidates
        if candidate.max_input_tokens is None
        or candidate.max_input_tokens > max(windows, default=0)
    ]


def _check_seconds(name: str, value: object, *, or_none: bool) -> None:
    if value is None and or_none:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 < value < math.inf):  # type: ignore[operator]
        raise ConfigurationError(
            f"{name}={value!r}: give positive seconds{', or None' * or_none}"
        )

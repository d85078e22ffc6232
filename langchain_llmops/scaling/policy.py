"""`ScalingPolicy`: how many replicas there should be, from a reading and a memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.money import Amount, motes
from langchain_llmops.scaling.forecast import load_ahead
from langchain_llmops.scaling.state import ScalingState, ScalingTarget

if TYPE_CHECKING:
    from langchain_llmops.scaling.readings import ScalingMetrics

__all__ = ["ScalingPolicy"]

STEP = 0.25
"""Share of the replicas that slow or failing calls add at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Decide how many replicas there should be; pure, so that days run in a test.

    Token usage counts most: it says how much work there is, so that the policy goes to
    the right number in one step. Slow or failing calls say that something is wrong,
    not how much: they add a quarter, at most once per `up_cooldown_s`, and only if the
    replicas are at least half as busy as they should be. Otherwise more replicas would
    not help. While calls are slow or fail, nothing is given back.

    Capacity is given back when the highest load of the last `down_cooldown_s` would
    fit into fewer replicas with room to spare (`hysteresis`). What cannot be read
    changes nothing. The policy keeps nothing between calls and is safe to share; a
    decision takes some 20 µs.

    Attributes:
        max_replicas: Never more than this.
        min_replicas: Never fewer than this; 0 allows scaling to zero.
        max_token_usage: How busy replicas should be at most, as a share of the tokens
            that they can do.
        max_latency_ms: From here on calls are slow.
        max_error_rate: From here on too many calls fail.
        hysteresis: How much less busy than `max_token_usage` the replicas must be
            after some were given back, as a share of it.
        up_cooldown_s: How long to wait for a step on slow or failing calls to help:
            at least what a replica takes to start.
        down_cooldown_s: How far back the highest load counts, and how long what was
            added is kept at least.
        forecast_s: How far ahead a rising load is followed, by the line through the
            readings of as long before; what a replica takes to start is a good value,
            0 is never. It takes two readings in that time.
        idle_s: How long there must be no work before the last replica goes.
        replica_usd_per_hour: What a replica costs.
        max_usd_per_hour: What all may cost together; needs `replica_usd_per_hour`.

    Raises:
        ConfigurationError: The numbers contradict each other, or make no sense.

    Example:
        ```python
        from langchain_llmops.scaling import ScalingMetrics, ScalingPolicy

        policy = ScalingPolicy(max_replicas=20)
        first = policy.decide(ScalingMetrics(at_s=0, replicas=4, token_usage=1.2))
        print(first.replicas, "|", first.reason)
        #> 6 | 120% of 4 replicas are in use
        ```
    """

    max_replicas: int
    min_replicas: int = 1
    max_token_usage: float = 0.8
    max_latency_ms: float = 2_000.0
    max_error_rate: float = 0.01
    hysteresis: float = 0.1
    up_cooldown_s: float = 60.0
    down_cooldown_s: float = 300.0
    forecast_s: float = 60.0
    idle_s: float = 900.0
    replica_usd_per_hour: Amount | None = None
    max_usd_per_hour: Amount | None = None

    def __post_init__(self) -> None:
        for name in ("up_cooldown_s", "down_cooldown_s", "forecast_s", "idle_s"):
            _check(name, getattr(self, name), least=0, most=math.inf)
        _check("max_token_usage", self.max_token_usage, least=0.01, most=1)
        _check("max_latency_ms", self.max_latency_ms, least=0, most=math.inf)
        _check("max_error_rate", self.max_error_rate, least=0, most=1)
        _check("hysteresis", self.hysteresis, least=0, most=0.9)
        if not 0 <= self.min_replicas <= self.max_replicas or not self.max_replicas:
            raise ConfigurationError(
                f"min_replicas is {self.min_replicas!r} and max_replicas "
                f"{self.max_replicas!r}: give 0 <= min <= max, and max at least 1"
            )
        if self.ceiling < max(self.min_replicas, 1):
            raise ConfigurationError(
                f"max_usd_per_hour {self.max_usd_per_hour!r} pays for {self.ceiling} "
                f"replicas at {self.replica_usd_per_hour!r} each, fewer than "
                f"{max(self.min_replicas, 1)}: raise it, or lower min_replicas"
            )

    @property
    def ceiling(self) -> int:
        """The most replicas that number and cost allow."""
        if self.max_usd_per_hour is None:
            return self.max_replicas
        price = motes(self.replica_usd_per_hour or 0)
        if price <= 0:
            raise ConfigurationError(
                f"max_usd_per_hour is {self.max_usd_per_hour!r} and "
                f"replica_usd_per_hour {self.replica_usd_per_hour!r}: say what a "
                "replica costs"
            )
        return min(self.max_replicas, motes(self.max_usd_per_hour) // price)

    @property
    def _window_s(self) -> float:
        return max(self.down_cooldown_s, self.forecast_s, 1)

    def decide(
        self, metrics: ScalingMetrics, state: ScalingState | None = None
    ) -> ScalingTarget:
        """Return how many replicas there should be now.

        Args:
            metrics: The latest reading. One older than the last changes nothing.
            state: The `state` of the decision before; `None` at first, when the
                replicas that are ready are taken for those asked for.

        Returns:
            The target, its reason, and the state for the next call.
        """
        if state is None:
            state = ScalingState(
                target=metrics.replicas,
                seen_at_s=metrics.at_s,
                began_at_s=metrics.at_s,
                busy_at_s=metrics.at_s if metrics.replicas else None,
            )
        if metrics.at_s < state.seen_at_s:
            return _answer(state, state.target, "the reading is older than the last")
        load = _known_load(metrics)
        state = replace(state, seen_at_s=metrics.at_s)
        if load is None or load > 0 or metrics.waiting:
            state = replace(state, busy_at_s=metrics.at_s)
        if load is None:
            wanted, reason = state.target, _blind(metrics)
        else:
            state = state.seeing(metrics.at_s, load, self._window_s)
            wanted, reason = self._for_load(metrics, load, state)
        return self._within_limits(metrics, state, wanted, reason)

    def _for_load(
        self, metrics: ScalingMetrics, load: float, state: ScalingState
    ) -> tuple[int, str]:
        """Return what the load and the calls ask for, before any limit."""
        usage, trouble = metrics.token_usage or 0.0, self._trouble(metrics, load)
        wanted = _replicas(load, self.max_token_usage)
        reason = f"{usage:.0%} of {metrics.replicas} replicas are in use"
        ahead = self._ahead(load, state)
        risen = _replicas(ahead, self.max_token_usage)
        if risen > max(wanted, state.target):
            wanted = risen
            reason = f"load rises to {ahead:.1f} replicas in {self.forecast_s:g} s"
        if trouble and usage >= self.max_token_usage / 2 and self._may_step(state):
            step = state.target + max(1, math.ceil(state.target * STEP))
            if step > wanted:
                wanted, reason = step, trouble
        if wanted > state.target:
            return wanted, reason
        if trouble:
            return state.target, f"{trouble}: nothing is given back"
        return self._giving_back(risen, state)

    def _ahead(self, load: float, state: ScalingState) -> float:
        start = state.seen_at_s - self.forecast_s
        recent = [sample for sample in state.loads if sample.at_s >= start]
        return load_ahead(recent, load, self.forecast_s)

    def _giving_back(self, least: int, state: ScalingState) -> tuple[int, str]:
        """Return what would have done for the loads of the last cool-down."""
        start = state.seen_at_s - self.down_cooldown_s
        if state.held_since_s > start:
            return state.target, "enough"
        highest = state.highest_since(start, self._window_s)
        roomy = _replicas(highest, self.max_token_usage * (1 - self.hysteresis))
        if (wanted := max(roomy, least)) >= state.target:
            return state.target, "enough"
        return wanted, f"at most {highest:.1f} replicas were busy for a cool-down"

    def _within_limits(
        self, metrics: ScalingMetrics, state: ScalingState, wanted: int, reason: str
    ) -> ScalingTarget:
        """Apply floor and ceiling, which count more than any reading."""
        busy = state.busy_at_s
        idle = busy is None or metrics.at_s - busy >= self.idle_s
        least = self.min_replicas or (0 if idle and not metrics.waiting else 1)
        if wanted < least:
            wanted = least
            reason = "calls wait" if metrics.waiting else f"{least} is the least"
        if wanted > (most := self.ceiling):
            wanted, reason = most, f"{reason}; {most} is the limit, not {wanted}"
        return _answer(state, wanted, reason)

    def _trouble(self, metrics: ScalingMetrics, load: float) -> str:
        if load and metrics.error_rate > self.max_error_rate:
            return f"{metrics.error_rate:.1%} of the calls fail"
        if load and (metrics.latency_ms or 0) > self.max_latency_ms:
            return f"calls take {metrics.latency_ms:.0f} ms"
        return ""

    def _may_step(self, state: ScalingState) -> bool:
        if state.raised_at_s is None:
            return True
        return state.seen_at_s - state.raised_at_s >= self.up_cooldown_s


def _known_load(metrics: ScalingMetrics) -> float | None:
    if metrics.replicas:
        return metrics.load
    return None if metrics.waiting else 0.0


def _blind(metrics: ScalingMetrics) -> str:
    if metrics.replicas:
        return "the token usage is unknown"
    return "no replica is ready yet"


def _replicas(load: float, usage: float) -> int:
    # A hair less: 8 replicas' work at 0.8 is 10 replicas, whatever floats make of it.
    return math.ceil(load / usage - 1e-9)


def _answer(state: ScalingState, replicas: int, reason: str) -> ScalingTarget:
    return ScalingTarget(replicas=replicas, reason=reason, state=state.aiming(replicas))


def _check(name: str, value: float, *, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigurationError(
            f"{name} is {value!r}: give a number from {least:g} to {most:g}"
        )

"""A day of bursty traffic under `ScalingPolicy`, fixed capacity and reactive scaling.

Everything is simulated, second by second: calls arrive, wait in one queue, are served
by the replicas that are ready, or give up. All scalers get the same reading every 15
seconds and the same traffic. The policy runs with its defaults. How far back its trend
looks, and its hysteresis, were chosen on days of other seeds (100 to 103).
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from _harness import machine, publish, table

from langchain_llmops.scaling import ScalingMetrics, ScalingPolicy, ScalingState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Scaler = Callable[[ScalingMetrics], int]

DAY_S, EVERY_S, START_S = 86_400, 15, 60
CALLS_PER_REPLICA_S = 2.0
SERVICE_MS, SLO_MS, GIVE_UP_S = 900, 2_000, 30
MOST, USAGE = 60, 0.8
SEEDS = range(10)
OURS, RULE, FORMULA = "`ScalingPolicy`", "±1 by thresholds", "Kubernetes' formula"
# These two run for about the same replica hours.
LIKE_OURS = f"{OURS}, `max_token_usage=0.7`"
LIKE_HOURS = f"{FORMULA}, at a usage of 0.6"
ALLOWED = 0.8


def traffic(seed: int, *, night: bool = False) -> np.ndarray:
    """Return how many calls arrive in each second of a day.

    A working day's curve from 4 to 20 calls a second, and some 30 bursts of twice to
    four times as many, which build up within half a minute to four minutes and last
    three to fifteen. With `night`, a small service: a fiftieth of it, and no call from
    20:00 to 6:00.
    """
    rng = np.random.default_rng(seed)
    second = np.arange(DAY_S)
    rate = 12 - 8 * np.cos(2 * np.pi * (second / DAY_S - 2 / 24))
    factor = np.ones(DAY_S)
    for begin in rng.integers(0, DAY_S, rng.poisson(30)):
        rise, last = rng.uniform(30, 240), rng.uniform(180, 900)
        shape = np.clip((second - begin) / rise, 0, 1)
        shape *= np.clip((begin + rise + last + rise - second) / rise, 0, 1)
        factor = np.maximum(factor, 1 + (rng.uniform(2, 4) - 1) * shape)
    rate = rate * factor
    if night:
        rate = np.where((second < DAY_S / 4) | (second > DAY_S / 6 * 5), 0, rate / 50)
    return rng.poisson(rate)


class Outcome(NamedTuple):
    """What a day came to."""

    calls: int
    violations: int
    given_up: int
    replica_hours: float
    changes: int


@dataclass
class Day:
    """One day: the queue, the replicas, and what has been counted."""

    scaler: Scaler
    ready: int
    starting: deque[float] = field(default_factory=deque)
    queue: deque[list[float]] = field(default_factory=deque)
    room: float = 0.0
    arrived: int = 0
    served: int = 0
    failed: int = 0
    waits: list[tuple[float, int]] = field(default_factory=list)
    totals: list[float] = field(default_factory=lambda: [0, 0, 0, 0, 0])

    def run(self, arrivals: Sequence[int]) -> Outcome:
        """Return what these arrivals come to."""
        for second, calls in enumerate(arrivals):
            self._second(second, int(calls))
            if second % EVERY_S == EVERY_S - 1:
                self._scale(second + 1)
        calls, late, gone, replica_s, changes = self.totals
        late += sum(entry[1] for entry in self.queue)
        return Outcome(int(calls), int(late), int(gone), replica_s / 3600, int(changes))

    def _second(self, now: int, calls: int) -> None:
        while self.starting and self.starting[0] <= now:
            self.starting.popleft()
            self.ready += 1
        self.totals[0] += calls
        self.totals[3] += self.ready + len(self.starting)
        self.arrived += calls
        if calls:
            self.queue.append([now, calls])
        while self.queue and now - self.queue[0][0] >= GIVE_UP_S:
            gone = int(self.queue.popleft()[1])
            self.failed += gone
            self.totals[1] += gone
            self.totals[2] += gone
        # What is left of a second's capacity is not saved up for the next.
        self.room = min(self.room, 1) + self.ready * CALLS_PER_REPLICA_S
        while self.queue and self.room >= 1:
            since, waiting = self.queue[0]
            taken = int(min(waiting, self.room))
            self.room -= taken
            self.queue[0][1] -= taken
            if not self.queue[0][1]:
                self.queue.popleft()
            self._answered(now - since, taken)

    def _answered(self, wait_s: float, calls: int) -> None:
        self.served += calls
        self.waits.append((wait_s, calls))
        if wait_s * 1_000 + SERVICE_MS > SLO_MS:
            self.totals[1] += calls

    def _scale(self, now: int) -> None:
        target = self.scaler(self._reading(now))
        have = self.ready + len(self.starting)
        self.totals[4] += target != have
        for _ in range(target - have):
            self.starting.append(now + START_S)
        for _ in range(have - target):
            if self.starting:
                self.starting.pop()
            else:
                self.ready -= 1
        self.waits, self.arrived, self.served, self.failed = [], 0, 0, 0

    def _reading(self, now: int) -> ScalingMetrics:
        """Return what a scaler is told; the usage counts all calls that came."""
        done, able = self.served + self.failed, self.ready * CALLS_PER_REPLICA_S
        return ScalingMetrics(
            at_s=now,
            replicas=self.ready,
            token_usage=self.arrived / EVERY_S / able if able else None,
            latency_ms=self._p95() if self.waits else None,
            error_rate=self.failed / done if done else 0.0,
            waiting=int(sum(entry[1] for entry in self.queue)),
        )

    def _p95(self) -> float:
        waits = sorted(self.waits, reverse=True)
        left = 0.05 * sum(calls for _, calls in waits)
        for wait_s, calls in waits:
            left -= calls
            if left < 0:
                return wait_s * 1_000 + SERVICE_MS
        return SERVICE_MS


def fixed(replicas: int) -> Scaler:
    """Return the scaler that never scales."""
    return lambda _: replicas


def thresholds() -> Scaler:
    """Return the rule of tutorials: one more over any limit, one fewer under half."""
    target: int | None = None

    def scale(now: ScalingMetrics) -> int:
        nonlocal target
        target = now.replicas if target is None else target
        usage, latency_ms = now.token_usage or 0.0, now.latency_ms or 0.0
        if usage > USAGE or latency_ms > SLO_MS or now.error_rate > 0.01:
            target += 1
        elif usage < USAGE / 2:
            target -= 1
        target = min(max(target, 1), MOST)
        return target

    return scale


def horizontal(usage: float = USAGE) -> Scaler:
    """Return the formula of Kubernetes' HorizontalPodAutoscaler with its defaults.

    Tolerance of 10 %, the highest wish of the last 300 s when scaling down, and no
    latency or errors, since it takes the greatest of several metrics' wishes and those
    two are not proportional to load.
    """
    wishes: deque[tuple[float, int]] = deque()
    target: int | None = None

    def scale(now: ScalingMetrics) -> int:
        nonlocal target
        target = now.replicas if target is None else target
        ratio = (now.token_usage or 0.0) / usage
        wish = math.ceil(now.replicas * ratio) if abs(ratio - 1) > 0.1 else target
        wishes.append((now.at_s, max(wish, 1)))
        while wishes[0][0] < now.at_s - 300:
            wishes.popleft()
        highest = max(one for _, one in wishes)
        target = min(max(wish, min(target, highest), 1), MOST)
        return target

    return scale


def policy(**options: Any) -> Scaler:
    """Return our policy with its defaults, save for the options."""
    ours = ScalingPolicy(max_replicas=MOST, **options)
    state: ScalingState | None = None

    def scale(now: ScalingMetrics) -> int:
        nonlocal state
        decision = ours.decide(now, state)
        state = decision.state
        return decision.replicas

    return scale


def scalers(days: Sequence[np.ndarray]) -> dict[str, Callable[[], Scaler]]:
    """Return the scalers of the bursty days, by the name that the table shows."""
    mean = math.ceil(np.mean(days) / CALLS_PER_REPLICA_S / USAGE)
    # The busiest minute of each day, averaged: nobody knows the worst second before.
    minutes = [day.reshape(-1, 60).mean(axis=1).max() for day in days]
    peak = math.ceil(np.mean(minutes) / CALLS_PER_REPLICA_S / USAGE)
    return {
        f"fixed, {mean} for the mean": lambda: fixed(mean),
        f"fixed, {2 * mean} for twice the mean": lambda: fixed(2 * mean),
        f"fixed, {peak} for the busiest minute": lambda: fixed(peak),
        RULE: thresholds,
        FORMULA: horizontal,
        f"{FORMULA}, at a usage of 0.7": lambda: horizontal(0.7),
        LIKE_HOURS: lambda: horizontal(0.6),
        OURS: policy,
        f"{OURS}, `forecast_s=0`": lambda: policy(forecast_s=0),
        LIKE_OURS: lambda: policy(max_token_usage=0.7),
        f"{OURS}, `max_token_usage=0.6`": lambda: policy(max_token_usage=0.6),
    }


def quiet_scalers() -> dict[str, Callable[[], Scaler]]:
    """Return the scalers of a small service that nobody calls at night."""
    return {
        "fixed, 1": lambda: fixed(1),
        OURS: policy,
        f"{OURS}, `min_replicas=0`": lambda: policy(min_replicas=0),
        f"{OURS}, `min_replicas=0, idle_s=60`": lambda: policy(
            min_replicas=0, idle_s=60
        ),
    }


def measure(make: Callable[[], Scaler], days: Sequence[np.ndarray]) -> list[Outcome]:
    """Return what each day came to; every day begins with the first wish, ready."""
    outcomes = []
    for day in days:
        scaler = make()
        begin = ScalingMetrics(at_s=0, replicas=3, token_usage=USAGE)
        ready = scaler(begin)
        outcomes.append(Day(scaler=scaler, ready=ready).run(day))
    return outcomes


def share(outcomes: Sequence[Outcome], column: str) -> float:
    """Return a count of all days as a percentage of their calls."""
    total = sum(getattr(one, column) for one in outcomes)
    return 100 * total / sum(one.calls for one in outcomes)


def rows(results: dict[str, list[Outcome]]) -> str:
    """Return the table: shares of all calls, and means of the days."""
    lines = []
    for name, outcomes in results.items():
        shares = [share([one], "violations") for one in outcomes]
        lines.append(
            [
                name,
                f"{share(outcomes, 'violations'):.2f}",
                f"{min(shares):.2f} to {max(shares):.2f}",
                f"{share(outcomes, 'given_up'):.2f}",
                f"{np.mean([one.replica_hours for one in outcomes]):.1f}",
                f"{np.mean([one.changes for one in outcomes]):.0f}",
            ]
        )
    header = ("scaler", "over the SLO, %", "days from, to", "given up, %")
    return table((*header, "replica hours a day", "changes a day"), lines)


def decision_us() -> float:
    """Return CPU microseconds of one decision with a full window."""
    scaler = policy()
    readings = [
        ScalingMetrics(at_s=5 * n, replicas=10, token_usage=0.6 + n % 7 / 100)
        for n in range(2_000)
    ]
    start = time.process_time()
    for reading in readings:
        scaler(reading)
    return (time.process_time() - start) / len(readings) * 1e6


def main() -> None:
    """Simulate, publish, and fail if reactive scaling does about as well."""
    days = [traffic(seed) for seed in SEEDS]
    quiet = [traffic(seed, night=True) for seed in SEEDS]
    busy = {name: measure(make, days) for name, make in scalers(days).items()}
    small = {name: measure(make, quiet) for name, make in quiet_scalers().items()}
    calls = np.mean([one.calls for one in busy[OURS]])
    publish(
        "scaling-simulation",
        f"""
## A day of bursts: `ScalingPolicy`, fixed capacity, reactive scaling

A simulation of {len(days)} days of 24 h, {calls / 1e6:.1f} million calls each.
Calls follow the working day, and some 30 bursts of twice to four times as many build
up within 30 to 240 s. A replica does {CALLS_PER_REPLICA_S:g} calls a second, takes
{START_S} s to start and is paid for from its start. A call takes {SERVICE_MS} ms and
the time it waits; it is over the SLO beyond {SLO_MS:,} ms, and gives up after
{GIVE_UP_S} s. All scalers get the same reading every {EVERY_S} s (its token usage
counts all calls that came, served or not) and may run {MOST} replicas. Fixed capacity
is sized with hindsight.

{rows(busy)}

`{RULE}` adds or removes one replica per reading. `{FORMULA}` is that of the
HorizontalPodAutoscaler with its defaults, on token usage. More replicas save violations
whoever asks for them, so compare lines of like hours. There the policy's lead over the
formula comes from its forecast alone, and costs more changes; without a forecast it
does worse than the formula. What is left comes from bursts that grow faster than a
replica starts; only spare capacity helps there.

A small service that nobody calls between 20:00 and 6:00, at a fiftieth of that
traffic. The calls that wake it give up while the first replica starts:

{rows(small)}

A decision takes {decision_us():.0f} µs of CPU with a full window. The policy has its
defaults; two of them (how far back its trend looks, and the hysteresis) were chosen on
days of other seeds. A simulation has no slow nodes, no failed starts and no calls of
different lengths: take the order, not the digits.

{machine("numpy")}
""",
    )
    least = ALLOWED * share(busy[LIKE_HOURS], "violations")
    if share(busy[LIKE_OURS], "violations") > least:
        sys.exit(f"{LIKE_OURS} is no longer a fifth better than {LIKE_HOURS}")


if __name__ == "__main__":
    main()

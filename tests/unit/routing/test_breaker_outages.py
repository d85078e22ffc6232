"""A thousand requests, 25 a second, while one candidate is down for twelve seconds.

The clock is virtual: what is counted is exactly what the pure pieces decide.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from langchain_llmops.routing import (
    Attempt,
    Choice,
    CircuitBreaker,
    FailoverPolicy,
    GiveUp,
    HealthBoard,
    Ranking,
    RoutingRequest,
    RoutingState,
    classify,
    latency,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_llmops.routing import Candidate, SelectionPolicy

REQUESTS, PER_S = 1_000, 25
DOWN_FROM, DOWN_TO = 14.0, 26.0
P99_S = 0.2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Limited(Exception):  # noqa: N818 - what a provider's client raises
    status_code = 429

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("rate limit reached")
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        self.headers = headers


class Broken(Exception):  # noqa: N818
    status_code = 500


@dataclass(frozen=True)
class Mode:
    """How candidate A fails: with what, after how long, and how often."""

    error: Callable[[], Exception]
    after_s: float
    share: float
    most_wasted: float


def hang(timeout_s: float) -> Mode:
    return Mode(TimeoutError, timeout_s, 1.0, PER_S * timeout_s + 5)


MODES = {
    "500": Mode(Broken, 0.02, 1.0, 10),
    "429": Mode(lambda: Limited(None), 0.02, 1.0, 10),
    "429, Retry-After": Mode(lambda: Limited(1.0), 0.02, 1.0, 10),
    "refused": Mode(ConnectionRefusedError, 0.001, 1.0, 10),
    "hang, T=2xp99": hang(2 * P99_S),
    "hang, T=1 s": hang(1.0),
    "hang, T=5 s": hang(5.0),
    "brown-out": Mode(Broken, 0.05, 0.5, 40),
}


@dataclass
class Outcome:
    wasted: int = 0
    failed: int = 0
    answered_by_a: list[float] = field(default_factory=list)
    b_before: int = 0


@dataclass
class Simulation:
    """A router reduced to its decisions: rank, begin, note the outcome, fail over."""

    mode: Mode
    candidates: list[Candidate]
    policy: SelectionPolicy | None
    seed: int
    has_breaker: bool = True
    failover: FailoverPolicy = field(default_factory=FailoverPolicy)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.rng = random.Random(self.seed)
        breaker = CircuitBreaker(clock=self.clock, chance=self.rng.random)
        self.board = HealthBoard(
            (c.name for c in self.candidates),
            breaker=breaker if self.has_breaker else None,
            clock=self.clock,
        )
        self.events: list[tuple[float, int, Any]] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        for number in range(REQUESTS):
            self.at(number / PER_S, self.request())
        while self.events:
            self.clock.now, _, process = heapq.heappop(self.events)
            if (pause := next(process, None)) is not None:
                self.at(self.clock.now + pause, process)
        return self.outcome

    def at(self, when: float, process: Iterator[float]) -> None:
        heapq.heappush(self.events, (when, self.rng.getrandbits(60), process))

    def request(self) -> Iterator[float]:
        """Yield the seconds that each step of one request takes."""
        attempts: list[Attempt] = []
        candidate = None
        while True:
            ranked = self.ranking()
            if attempts:
                step = self.failover.next_step(ranked, attempts, now=self.clock())
                if isinstance(step, GiveUp):
                    self.outcome.failed += 1
                    return
                yield step.wait_s
                candidate = step.candidate
            else:
                candidate = ranked[0]
            error = yield from self.attempt(candidate)
            if error is None:
                return
            failure = classify(error)
            attempts.append(
                Attempt(candidate=candidate, failure=failure, at=self.clock())
            )

    def ranking(self) -> tuple[Candidate, ...]:
        health = self.board.snapshot()
        if self.policy is not None:
            ranking = self.policy.choose(
                RoutingRequest(input_tokens=10),
                self.candidates,
                RoutingState(health=health),
                chance=self.rng.random,
            )
        else:
            choices = [
                Choice(candidate=c, reason="")
                for c in self.candidates
                if not health[c.name].is_open
            ]
            ranking = Ranking(choices=tuple(choices))
        return ranking.candidates or tuple(self.candidates)

    def attempt(self, candidate: Candidate) -> Any:
        call = self.board.begin(candidate.name)
        if call is None:
            call = self.board.begin(candidate.name, forced=True)
        assert call is not None
        down = candidate.name == "a" and DOWN_FROM <= self.clock() < DOWN_TO
        if down and self.rng.random() < self.mode.share:
            self.outcome.wasted += 1
            yield self.mode.after_s
            error = self.mode.error()
            call.failed(classify(error))
            return error
        if candidate.name == "a":
            self.outcome.answered_by_a.append(self.clock())
        yield min(P99_S, self.rng.lognormvariate(-2.5, 0.35))
        call.first_token()
        yield 0.3
        call.succeeded()
        return None


@pytest.fixture
def candidates(make) -> list[Candidate]:
    return [make("a"), make("b")]


@pytest.mark.parametrize("policy", [None, latency()], ids=["priority", "p2c"])
@pytest.mark.parametrize("name", MODES)
def test_an_outage_costs_few_calls_and_ends_within_two_seconds(
    name, policy, candidates
):
    mode = MODES[name]
    for seed in range(12):
        outcome = Simulation(mode, candidates, policy, seed).run()
        assert outcome.failed == 0
        assert outcome.wasted <= mode.most_wasted, (seed, outcome.wasted)
        back = min(at for at in outcome.answered_by_a if at >= DOWN_TO) - DOWN_TO
        assert back <= 2, (seed, back)


def test_without_a_breaker_each_call_to_the_dead_candidate_is_wasted(candidates):
    outcome = Simulation(MODES["500"], candidates, None, 1, has_breaker=False).run()
    assert (outcome.failed, outcome.wasted) == (0, 300)


@pytest.mark.parametrize("policy", [None, latency()], ids=["priority", "p2c"])
def test_after_an_outage_the_traffic_is_shared_as_before(policy, candidates):
    outcome = Simulation(MODES["500"], candidates, policy, 3).run()
    before = sum(4 <= at < 12 for at in outcome.answered_by_a)
    after = sum(30 <= at < 38 for at in outcome.answered_by_a)
    assert after == pytest.approx(before, rel=0.25)


def test_a_lone_candidate_is_asked_through_the_whole_outage(make):
    mode = Mode(Broken, 0.02, 0.3, 300)
    outcome = Simulation(mode, [make("a")], None, 1).run()
    assert outcome.failed <= 5
    assert len(outcome.answered_by_a) >= REQUESTS - 5

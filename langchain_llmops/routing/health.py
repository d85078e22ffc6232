"""`HealthBoard`: how candidates are doing, measured call by call."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal

from langchain_llmops.routing.circuit import class_of
from langchain_llmops.routing.recent_times import RecentTimes
from langchain_llmops.routing.state import CandidateHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_llmops.routing.breaker import CircuitBreaker
    from langchain_llmops.routing.failures import Failure

__all__ = ["HealthBoard", "LiveCall"]

_NEWEST: Final = 0.2
"""The weight of the newest measurement in an average."""
_HALF_LIFE_S: Final = 5.0
"""After so long without a call, half of a share of failures is forgotten."""
_STALE_S: Final = 30.0
"""After so long without a measurement a time to the first token is unknown again."""

_SILENT, _SILENT_AT_LEAST_S = 1.25, 0.1
_SLOW, _SLOW_AT_LEAST_S = 3.0, 0.5
"""Silence and slowness: times the usual, but not below so many seconds."""

_MINUTE_S: Final = 60.0


class HealthBoard:
    """Measure candidates, and keep calls from those that are down.

    Each call has a handle, which drives the circuit breaker too. Besides what the
    breaker sees, the board sees silence: where three calls wait, and nothing has been
    heard for longer than 95 % of the calls ever wait, no further call is sent until
    something is heard. So a backend that hangs does not catch each call that comes
    before the first one times out. Where answers are not streamed, the time of the
    whole answer takes the place of that to the first token; the two are never mixed.

    Safe across threads and event loops; nothing waits. A call costs some 3 µs in all.

    Args:
        names: The candidates' names.
        breaker: Who decides where calls are kept away; `None`: nobody.
        clock: Seconds that only go up; that of the breaker, if there is one.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        breaker: CircuitBreaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.breaker = breaker
        self.clock = clock if breaker is None else breaker.clock
        self._tracks = {name: _Track() for name in names}

    def begin(self, name: str, *, forced: bool = False) -> LiveCall | None:
        """Let a call begin; `None` if the breaker, or silence, keeps it away.

        Args:
            name: The candidate.
            forced: Let it begin in any case, since there is no other candidate.
        """
        track, breaker = self._tracks[name], self.breaker
        if breaker is None:
            began: float | None = self.clock()
        elif not forced and self._is_silent(name, track, self.clock()):
            return None
        else:
            began = breaker.admit(name, forced=forced)
        if began is None:
            return None
        call = LiveCall(name, track, self, began)
        with track.lock:
            track.waiting[call] = None
            track.outstanding += 1
        return call

    def snapshot(self) -> Mapping[str, CandidateHealth]:
        """Return the health of each candidate, as selection policies read it.

        A candidate whose next call is a probe counts as not measured, so that a policy
        that prefers the healthy gives it the one call which tells.
        """
        now = self.clock()
        return {name: self._health(name, t, now) for name, t in self._tracks.items()}

    def used(self, name: str, *, requests: int = 1, tokens: int = 0) -> None:
        """Count requests and tokens against the limits of the minute."""
        track = self._tracks[name]
        with track.lock:
            track.minute.add(self.clock(), requests, tokens)

    def hedge_after_s(
        self, name: str, hedge_after: float | Literal["p95"] | None
    ) -> float | None:
        """Return how long to wait for a first token before a second candidate is asked.

        Args:
            name: The candidate that is asked first.
            hedge_after: As in `FailoverPolicy`.

        Returns:
            Seconds; `None` if there is no hedging, or nothing learnt yet.
        """
        return self._tracks[name].usual_s if hedge_after == "p95" else hedge_after

    def _health(self, name: str, track: _Track, now: float) -> CandidateHealth:
        breaker = self.breaker
        is_open, is_due = False, False
        if breaker is not None:
            is_open = breaker.is_open(name) or self._is_silent(name, track, now)
            is_due = breaker.is_due(name)
        known = not is_due and now - track.measured_at < _STALE_S
        with track.lock:
            requests, tokens = track.minute.use(now)
            return CandidateHealth(
                ttft_s=track.ttft_s if known else None,
                outstanding=track.outstanding,
                error_share=0.0 if is_due else track.error_share(now),
                is_open=is_open,
                requests_used=requests,
                tokens_used=tokens,
            )

    def _is_silent(self, name: str, track: _Track, now: float) -> bool:
        breaker = self.breaker
        if breaker is None or len(track.waiting) < breaker.failures:
            return False
        if (usual := track.usual_s) is None:
            return False
        with track.lock:
            oldest = next(iter(track.waiting), None)
            if oldest is None or not breaker.is_closed(name):
                return False
            since = max(oldest.began, track.heard_at)
        return now - since > max(_SILENT * usual, _SILENT_AT_LEAST_S)


class LiveCall:
    """A call under way; end it in one of three ways, further ends are ignored.

    Attributes:
        name: The candidate that was asked.
        began: When, in seconds of the board's clock.
    """

    __slots__ = ("_board", "_ended", "_heard", "_track", "began", "name")

    def __init__(
        self, name: str, track: _Track, board: HealthBoard, began: float
    ) -> None:
        self.name = name
        self.began = began
        self._track = track
        self._board = board
        self._heard = False
        self._ended = False

    def first_token(self) -> None:
        """Note that the first token has come; further ones cost nothing."""
        if not self._heard:
            self._answered(streamed=True)

    def _answered(self, *, streamed: bool) -> None:
        self._heard = True
        board, track = self._board, self._track
        now = board.clock()
        seconds = now - self.began
        with track.lock:
            times = track.first_tokens if streamed else track.answers
            slow_after_s = self._slow_after_s(times.p95_s)
            track.waiting.pop(self, None)
            track.measured(seconds, now, streamed=streamed)
        if board.breaker is None:
            return
        if seconds > slow_after_s:
            board.breaker.was_slow(self.name)
        elif board.breaker.answered(self.name, self.began):
            with track.lock:  # what it did before it was down says little now
                track.share = 0.0

    def succeeded(self) -> None:
        """Note that the whole answer has come; at once, where none was streamed."""
        if self._ended:
            return
        if not self._heard:
            self._answered(streamed=False)
        self._end(verdict=0.0)

    def failed(self, failure: Failure) -> None:
        """Note that it failed, before the first token or after.

        A failure that says nothing about the candidate counts as `released`.
        """
        if self._ended:
            return
        if class_of(failure.kind) is None:
            self.released()
            return
        self._end(verdict=1.0)
        if self._board.breaker is not None:
            self._board.breaker.failed(self.name, failure, self.began)

    def released(self) -> None:
        """Note that it ended without a verdict: cancelled, or not needed any more."""
        if self._ended:
            return
        self._end(verdict=None)
        if self._board.breaker is not None:
            self._board.breaker.released(self.name, self.began)

    def _slow_after_s(self, usual: float | None) -> float:
        breaker = self._board.breaker
        if breaker is not None and breaker.slow_after_s is not None:
            return breaker.slow_after_s
        return float("inf") if usual is None else max(_SLOW * usual, _SLOW_AT_LEAST_S)

    def _end(self, *, verdict: float | None) -> None:
        self._ended = True
        track = self._track
        with track.lock:
            track.waiting.pop(self, None)
            track.outstanding -= 1
            if verdict is not None:
                track.judged(verdict, self._board.clock())


class _Track:
    """What is measured of one candidate; changed under its lock."""

    __slots__ = (
        "answers",
        "first_tokens",
        "heard_at",
        "judged_at",
        "lock",
        "measured_at",
        "minute",
        "outstanding",
        "share",
        "streamed_at",
        "ttft_s",
        "waiting",
    )

    def __init__(self) -> None:
        self.lock = Lock()
        self.outstanding = 0
        self.share = 0.0
        self.judged_at = 0.0
        self.ttft_s: float | None = None
        self.measured_at = self.streamed_at = self.heard_at = float("-inf")
        # Answers that come at once take longer than the first token of a stream.
        self.first_tokens = RecentTimes()
        self.answers = RecentTimes()
        self.minute = _MinuteUse()
        # Those without a first token, the oldest first.
        self.waiting: dict[LiveCall, None] = {}

    @property
    def usual_s(self) -> float | None:
        """What 95 % of the calls wait at most, of the slower kind; `None`: unknown."""
        known = [t.p95_s for t in (self.first_tokens, self.answers) if t.p95_s]
        return max(known, default=None)

    def measured(self, seconds: float, now: float, *, streamed: bool) -> None:
        """Take in how long a call took to its first token, or to its whole answer."""
        self.heard_at = now
        (self.first_tokens if streamed else self.answers).add(seconds)
        if streamed:
            self.streamed_at = now
        elif now - self.streamed_at <= _STALE_S:
            return
        average = self.ttft_s
        if average is None or now - self.measured_at > _STALE_S:
            self.ttft_s = seconds
        else:
            self.ttft_s = average + _NEWEST * (seconds - average)
        self.measured_at = now

    def judged(self, verdict: float, now: float) -> None:
        """Take in whether a call failed: 1, or not: 0."""
        share = self.error_share(now)
        self.share = share + _NEWEST * (verdict - share)
        self.judged_at = now

    def error_share(self, now: float) -> float:
        """Return the share of failures, of which time forgets."""
        if self.share == 0.0:
            return 0.0
        return float(self.share * 0.5 ** ((now - self.judged_at) / _HALF_LIFE_S))


class _MinuteUse:
    """Requests and tokens of the last minute: this one's, and the rest of the last's.

    What was used in the last whole minute counts with the share of it that still lies
    within sixty seconds, as if it had been used evenly.
    """

    __slots__ = ("_last", "_now", "_number")

    def __init__(self) -> None:
        self._number = 0.0
        self._now = (0, 0)
        self._last = (0, 0)

    def add(self, now: float, requests: int, tokens: int) -> None:
        self._turn(now)
        self._now = (self._now[0] + requests, self._now[1] + tokens)

    def use(self, now: float) -> tuple[int, int]:
        if self._now == self._last == (0, 0):
            return (0, 0)
        self._turn(now)
        rest = 1 - now % _MINUTE_S / _MINUTE_S
        return (
            self._now[0] + round(rest * self._last[0]),
            self._now[1] + round(rest * self._last[1]),
        )

    def _turn(self, now: float) -> None:
        number = now // _MINUTE_S
        if number != self._number:
            self._last = self._now if number == self._number + 1 else (0, 0)
            self._now = (0, 0)
            self._number = number

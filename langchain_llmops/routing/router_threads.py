"""Open attempts of a synchronous call on threads, where a limit or hedging asks for it.

Nothing can stop a thread: an attempt that lost is left to end by itself, by its
client's own timeout at the latest. What it brings is thrown away, and its run says what
it cost.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_llmops.routing.router_answer import Opened
from langchain_llmops.routing.router_race import Schedule, all_late, lost

if TYPE_CHECKING:
    from langchain_llmops.routing.router_course import Leg
    from langchain_llmops.routing.router_race import Contest

__all__ = ["race"]


def race(contest: Contest) -> Any:
    """Return what the first attempt to answer brings; the others are left behind.

    Afterwards `course.leg` is that attempt, or the one whose error is raised.
    """
    course = contest.course
    if not contest.is_bounded():
        return contest.send(contest.sending(course.leg), contest.call)
    schedule = Schedule(contest, time.monotonic)
    finish = _FinishLine(contest)
    legs = [course.leg]
    try:
        finish.start(course.leg)
        while True:
            try:
                leg, value, error = finish.next(schedule.wait_s)
            except queue.Empty:
                if (another := schedule.look()) is not None:
                    legs.append(another)
                    finish.start(another)
                elif schedule.is_over():
                    all_late(course, legs)
                continue
            legs.remove(leg)
            if error is None:
                course.leg = leg
                return value
            lost(course, leg, error, is_last=not legs)
    finally:
        finish.close()
        for leg in legs:
            leg.live.released()


class _FinishLine:
    """Where attempts on threads arrive; closed, it throws away what still comes."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._arrived: queue.SimpleQueue[tuple[Leg, Any, BaseException | None]] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self, leg: Leg) -> None:
        sending = self._contest.sending(leg)
        context = contextvars.copy_context()

        def run() -> None:
            value, error = None, None
            try:
                value = context.run(self._contest.send, sending, self._contest.call)
            except BaseException as raised:  # noqa: BLE001 - handed over
                error = raised
            with self._lock:
                if not self._is_closed:
                    self._arrived.put((leg, value, error))
                    return
            _discard(value)

        # A daemon: a provider that hangs must not keep the process from ending.
        threading.Thread(target=run, name="llmops-attempt", daemon=True).start()

    def next(self, wait_s: float | None) -> tuple[Leg, Any, BaseException | None]:
        return self._arrived.get(timeout=wait_s)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        while not self._arrived.empty():
            _discard(self._arrived.get()[1])


def _discard(value: Any) -> None:
    if isinstance(value, Opened):
        value.rest.close()

"""Open an attempt within its limit, and a second one beside it if it is slow.

Without a limit and without hedging an attempt is made where the call runs. Otherwise it
gets a task, which is cancelled when it loses, and its own run says what it cost. A
synchronous call does the same with threads: see `router_threads`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.tracers._streaming import (
    _StreamingCallbackHandler,
    _V2StreamingCallbackHandler,
)

from langchain_llmops.routing.router_answer import Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import AIMessageChunk

    from langchain_llmops.routing.router_call import RoutedCall, Sending
    from langchain_llmops.routing.router_course import Course, Leg

__all__ = ["Contest", "Schedule", "all_late", "arace", "lost"]


class Contest:
    """What an attempt is made of, and what was shown of it before it ended.

    Args:
        course: Its course, with the attempt begun.
        call: What is asked.
        send: Makes the request; returns the answer or its beginning.
        begun: An answer that broke off, to go on with.
    """

    __slots__ = ("_begun", "_sendings", "call", "course", "send")

    def __init__(
        self,
        course: Course,
        call: RoutedCall[Any],
        send: Callable[[Sending, RoutedCall[Any]], Any],
        begun: Sequence[AIMessageChunk],
    ) -> None:
        self.course = course
        self.call = call
        self.send = send
        self._begun = begun
        self._sendings: list[Sending] = []

    @property
    def shown(self) -> list[AIMessageChunk]:
        """What handlers have seen of the attempt, though the call has not answered."""
        return [
            chunk
            for sending in self._sendings
            if sending.watch is not None
            for chunk in sending.watch.shown
        ]

    @property
    def may_hedge(self) -> bool:
        """Whether a second attempt would go unseen: nobody shows tokens elsewhere."""
        streaming = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)
        handlers = self.call.run.handlers
        return not any(isinstance(handler, streaming) for handler in handlers)

    def sending(self, leg: Leg) -> Sending:
        """Return the request of an attempt."""
        counter = self.course.desk.counters[leg.candidate.name]
        sending = self.call.to(leg.candidate, counter, self._begun)
        self._sendings.append(sending)
        return sending

    def is_bounded(self) -> bool:
        """Say whether the attempt must be watched while it is made."""
        leg = self.course.leg
        return leg.limit_s is not None or leg.hedge_s is not None


class Schedule:
    """When to look up from a running attempt: to hedge, and to give it up."""

    def __init__(self, contest: Contest, clock: Callable[[], float]) -> None:
        leg = contest.course.leg
        self._contest = contest
        self._clock = clock
        start = clock()
        hedges = leg.hedge_s is not None and contest.may_hedge
        self._hedge_at = start + leg.hedge_s if hedges and leg.hedge_s else None
        self._limit_at = None if leg.limit_s is None else start + leg.limit_s

    @property
    def wait_s(self) -> float | None:
        """Seconds until the next look."""
        times = [at for at in (self._hedge_at, self._limit_at) if at is not None]
        return max(0.0, min(times) - self._clock()) if times else None

    def look(self) -> Leg | None:
        """Return an attempt to add, if it is time and nothing was shown so far."""
        if self._hedge_at is None or self._clock() < self._hedge_at:
            return None
        self._hedge_at = None
        return None if self._contest.shown else self._contest.course.hedge()

    def is_over(self) -> bool:
        """Say whether the limit has come without a word; after a word there is none."""
        if self._limit_at is None or self._clock() < self._limit_at:
            return False
        if self._contest.shown:
            self._limit_at = None
            return False
        return True


async def arace(contest: Contest) -> Any:
    """Return what the first attempt to answer brings; the others are cancelled.

    Afterwards `course.leg` is that attempt, or the one whose error is raised.
    """
    course = contest.course
    if not contest.is_bounded():
        return await contest.send(contest.sending(course.leg), contest.call)
    schedule = Schedule(contest, asyncio.get_running_loop().time)
    legs: dict[asyncio.Task[Any], Leg] = {}

    def enter(leg: Leg) -> None:
        sent = contest.send(contest.sending(leg), contest.call)
        legs[asyncio.create_task(sent)] = leg

    try:
        enter(course.leg)
        while True:
            done, _ = await asyncio.wait(
                legs, timeout=schedule.wait_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                leg = legs[task]
                error = task.exception()
                if error is None:
                    course.leg = leg
                    del legs[task]
                    return task.result()
                del legs[task]
                lost(course, leg, error, is_last=not legs)
            if not done:
                if (another := schedule.look()) is not None:
                    enter(another)
                elif schedule.is_over():
                    all_late(course, list(legs.values()))
    finally:
        await _cancelled(legs)


async def _cancelled(legs: dict[asyncio.Task[Any], Leg]) -> None:
    for task, leg in legs.items():
        task.cancel()
        leg.live.released()
    for late in await asyncio.gather(*legs, return_exceptions=True):
        if isinstance(late, Opened):
            await late.rest.aclose()


def lost(course: Course, leg: Leg, error: BaseException, *, is_last: bool) -> None:
    """Note the failure of an attempt that others run beside, or raise it."""
    if is_last or not isinstance(error, Exception):
        course.leg = leg
        raise error
    course.note(leg, error)


def all_late(course: Course, legs: Sequence[Leg]) -> NoReturn:
    """Give up attempts that have not begun to answer in time: raise the last one's."""
    *others, last = legs
    for leg in others:
        course.note(leg, course.late(leg))
    course.leg = last
    raise course.late(last)

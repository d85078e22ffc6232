"""The course of one call: whom to ask next, and what came of it. No I/O, no waiting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.exceptions import ModelTimeoutError
from langchain_core.messages.ai import add_ai_message_chunks

from langchain_llmops.pricing import Usage
from langchain_llmops.routing.failover import Attempt, GiveUp
from langchain_llmops.routing.failures import classify
from langchain_llmops.routing.router_desk import CHARACTERS_PER_TOKEN, Desk
from langchain_llmops.routing.router_errors import (
    AllCandidatesFailedError,
    NoCandidateError,
    carry_partial,
)
from langchain_llmops.routing.router_stamp import mark
from langchain_llmops.types import FAILOVER_EVENT, RETRY_EVENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage, AIMessageChunk

    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.failover import Try
    from langchain_llmops.routing.health import LiveCall
    from langchain_llmops.routing.ranking import Choice
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.router_stamp import RoutingMark

__all__ = ["Course", "Leg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One attempt.

    Attributes:
        choice: Who is asked, and why.
        live: Its entry on the board of health.
        limit_s: Seconds until its first token must be there; `None`: no limit.
        hedge_s: Seconds after which another one is asked as well; `None`: never.
    """

    choice: Choice
    live: LiveCall
    limit_s: float | None
    hedge_s: float | None

    @property
    def candidate(self) -> Candidate:
        """Who is asked."""
        return self.choice.candidate


class Course:
    """Decide the attempts of one call, one after the other.

    The driver waits `wait_s`, asks `begin` for an attempt, makes it, and reports how
    it ended. Belongs to one call; not safe across threads.

    Args:
        desk: Of the router.
        request: The call.
        started: When it came in, by the desk's clock.

    Attributes:
        desk: Of the router.
        leg: The attempt under way.
        wait_s: How long to wait before the next one.
        goes_on: Whether an answer that breaks off is continued, and not begun anew.

    Raises:
        NoCandidateError: Nobody may take the call.
    """

    __slots__ = (
        "_attempts",
        "_choices",
        "_heeds_breakers",
        "_left",
        "_next",
        "_request",
        "_started",
        "desk",
        "goes_on",
        "leg",
        "wait_s",
    )

    def __init__(self, desk: Desk, request: RoutingRequest, started: float) -> None:
        ranking = desk.rank(request)
        if not ranking.choices:
            raise NoCandidateError(ranking.excluded)
        self.desk = desk
        self._request = request
        self._started = started
        self._choices = list(ranking.choices)
        self._attempts: list[Attempt] = []
        self._next: Candidate | None = None
        self._heeds_breakers = True
        deadlines = (desk.failover.deadline_s, request.deadline_s)
        self._left = min((d for d in deadlines if d is not None), default=None)
        self.leg: Leg
        self.wait_s = 0.0
        self.goes_on = desk.failover.mid_stream == "continue"

    def begin(self) -> Leg:
        """Begin the next attempt and return it; from now on it is `leg`."""
        self.leg = self._first() if self._next is None else self._following()
        return self.leg

    def hedge(self) -> Leg | None:
        """Return an attempt to make beside a slow one, of another candidate."""
        tried = {attempt.candidate.name for attempt in self._attempts}
        tried.add(self.leg.candidate.name)
        for choice in self._choices:
            if choice.candidate.name not in tried:
                live = self.desk.board.begin(choice.candidate.name)
                if live is not None:
                    return self._leg(choice, live)
        return None

    def failed(
        self, error: Exception, partial: Sequence[AIMessageChunk] = ()
    ) -> tuple[str, dict[str, Any]]:
        """Note that the attempt has failed; raise if that is the end.

        Args:
            error: How it failed.
            partial: What had been handed out of its answer.

        Returns:
            The name and data of a custom event that tells of the next attempt.

        Raises:
            Exception: The error itself, or `AllCandidatesFailedError` if it was not
                the only candidate.
        """
        leg = self.leg
        self.note(leg, error)
        if partial:
            carry_partial(error, add_ai_message_chunks(*partial))
            if not self._may_go_on(partial):
                raise error
        self._decide(error)
        following = self._next
        assert following is not None  # noqa: S101 - else `_decide` has raised
        same = following is leg.candidate
        kind = self._attempts[-1].failure.kind
        return RETRY_EVENT if same else FAILOVER_EVENT, {
            "model": leg.candidate.name,
            "next": following.name,
            "kind": kind,
            "wait_s": self.wait_s,
        }

    def note(self, leg: Leg, error: Exception) -> None:
        """Note that an attempt failed, without deciding what comes next."""
        failure = classify(error)
        leg.live.failed(failure)
        now = self.desk.timing.clock()
        attempt = Attempt(candidate=leg.candidate, failure=failure, at=now)
        self._attempts.append(attempt)

    def late(self, leg: Leg) -> ModelTimeoutError:
        """Note that an attempt has not begun to answer in time; return its error."""
        error = ModelTimeoutError(
            f"{leg.candidate.name!r} did not answer within {self.leg.limit_s:.3g} s: "
            "raise attempt_timeout_s or deadline_s of FailoverPolicy, or add a "
            "candidate"
        )
        leg.live.failed(classify(error))
        return error

    def guess(self, answer: Sequence[AIMessage]) -> Usage:
        """Return about what an answer took whose provider does not say."""
        characters = sum(len(part.text) for part in answer)
        written = math.ceil(characters / CHARACTERS_PER_TOKEN)
        return Usage(self._request.input_tokens, written)

    def mark(self, usage: Usage) -> RoutingMark:
        """Return what the answer says of how it came about."""
        leg, reason = self.leg, self.leg.choice.reason
        if self._attempts:
            last = self._attempts[-1]
            reason = f"{last.candidate.name} failed: {last.failure.kind}"
        return mark(leg.candidate, reason, len(self._attempts) + 1, usage)

    def _following(self) -> Leg:
        while True:
            assert self._next is not None  # noqa: S101 - or `_decide` has raised
            live = self.desk.board.begin(
                self._next.name, forced=not self._heeds_breakers
            )
            if live is not None:
                return self._leg(self._choice_of(self._next), live)
            # Its breaker has opened, or its one probe is on the way.
            self._drop(self._next)
            self._decide(self._attempts[-1].failure.error)

    def _first(self) -> Leg:
        for choice in self._choices:
            live = self.desk.board.begin(choice.candidate.name)
            if live is not None:
                return self._leg(choice, live)
        first = self._choices[0]
        live = self.desk.board.begin(first.candidate.name, forced=True)
        assert live is not None  # noqa: S101 - a forced one is never refused
        return self._leg(first, live)

    def _leg(self, choice: Choice, live: LiveCall) -> Leg:
        desk, name = self.desk, choice.candidate.name
        desk.used(choice.candidate, self._request)
        hedge_after = desk.failover.hedge_after
        return Leg(
            choice=choice,
            live=live,
            limit_s=desk.failover.timeout_s(self._left_s()),
            hedge_s=(
                None
                if hedge_after is None
                else desk.board.hedge_after_s(name, hedge_after)
            ),
        )

    def _decide(self, error: BaseException) -> None:
        """Choose the next candidate and the wait before it, or raise."""
        step = self._step()
        if isinstance(step, GiveUp) and self._heeds_breakers:
            # Who may be down is better than nobody.
            self._heeds_breakers = False
            ranking = self.desk.rank(self._request, heeds_breakers=False)
            self._choices = list(ranking.choices)
            step = self._step()
        if isinstance(step, GiveUp):
            self._give_up(step.reason, error)
        self._next, self.wait_s = step.candidate, step.wait_s

    def _step(self) -> Try | GiveUp:
        return self.desk.failover.next_step(
            [choice.candidate for choice in self._choices],
            self._attempts,
            now=self.desk.timing.clock(),
            left_s=self._left_s(),
            chance=self.desk.timing.chance,
        )

    def _give_up(self, reason: str, error: BaseException) -> NoReturn:
        tried = dict.fromkeys(attempt.candidate.name for attempt in self._attempts)
        if len(tried) == 1:
            raise error
        errors = [attempt.failure.error for attempt in self._attempts]
        names = ", ".join(map(repr, tried))
        raise AllCandidatesFailedError(
            f"{len(errors)} attempts at {names} failed ({reason}): see the errors "
            "below, or add a candidate",
            [each for each in errors if isinstance(each, Exception)],
        ) from error

    def _may_go_on(self, partial: Sequence[AIMessageChunk]) -> bool:
        how = self.desk.failover.mid_stream
        if how == "continue":
            return not any(chunk.tool_call_chunks for chunk in partial)
        return how == "restart"

    def _left_s(self) -> float | None:
        if self._left is None:
            return None
        return max(0.0, self._left - (self.desk.timing.clock() - self._started))

    def _choice_of(self, candidate: Candidate) -> Choice:
        return next(each for each in self._choices if each.candidate is candidate)

    def _drop(self, candidate: Candidate) -> None:
        self._choices = [c for c in self._choices if c.candidate is not candidate]

"""From callback events to charges: each call once, whatever way it ends.

Knows nothing of reports or ledgers; it hands every charge to the function that it was
made with. Handlers that count, store or export calls are built on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_llmops.cost.echoes import Echoes
from langchain_llmops.cost.embedding import embedding_charge
from langchain_llmops.cost.estimate import answer_text, streamed_text
from langchain_llmops.cost.failures import left_by_reader, may_be_billed
from langchain_llmops.cost.runs import OpenRun, OpenRuns
from langchain_llmops.cost.settle import (
    from_cache,
    is_hit,
    refused,
    settle,
    settle_by_estimate,
    unsettled,
)
from langchain_llmops.cost.usage import Reply, mark_in, read_reply, usage_so_far
from langchain_llmops.pricing.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_llmops.cost.charge import Charge
    from langchain_llmops.cost.embedding import EmbeddingCall
    from langchain_llmops.pricing import Prices

__all__ = ["CallTracker"]

logger = logging.getLogger(__name__)


class CallTracker:
    """Follows calls from their first event to their charge.

    Safe across threads. No method but `count_estimates` does I/O or takes time that
    grows with a text, and none raises, whatever it is given.

    Args:
        prices: What models cost.
        book: Gets each charge once, on the thread of the event that settled it.
        max_open: Calls under way that are followed; beyond, the oldest are booked as
            unsettled. Each keeps its input.
        max_uncounted: Calls set aside for `count_estimates`; beyond, the oldest is
            counted in the event that adds one.
        clock: Seconds since the epoch, for when calls began.
        timer: Seconds on a clock that never goes backwards, for how long they took.

    Attributes:
        on_uncounted: Called whenever a call was set aside; must be quick.
    """

    def __init__(
        self,
        prices: Prices,
        book: Callable[[Charge], None],
        *,
        max_open: int = 10_000,
        max_uncounted: int = 256,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._prices = prices
        self._book = book
        self._max_uncounted = max_uncounted
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self.on_uncounted: Callable[[], None] | None = None
        self._runs = OpenRuns(max_open, clock=clock, timer=timer)
        self._echoes = Echoes(max_open)
        self._uncounted: deque[tuple[OpenRun, Reply, str | None]] = deque()
        self._complained = False

    def started(
        self,
        run_id: object,
        input_: object,
        details: Mapping[str, Any],
        *,
        is_chat: bool,
    ) -> None:
        """Note that a call began.

        Args:
            run_id: Its run; what is no UUID is ignored, here as below.
            input_: Messages of a chat model, the prompt of a text model.
            details: What else the event said: `serialized`, metadata, parameters.
            is_chat: Whether it is a chat model.
        """
        if not isinstance(run_id, UUID):
            return
        with self._lock:
            forgotten = self._runs.open(run_id, input_, details, is_chat=is_chat)
        if forgotten is not None:
            self._book(unsettled(forgotten))

    def streamed(self, run_id: object, piece: object) -> None:
        """Note a chunk, an event or a token, which is looked at only if needed."""
        if isinstance(run_id, UUID):
            self._runs.add(run_id, piece)

    def answered(self, run_id: object, response: object) -> None:
        """Note that a call ended well, with an `LLMResult`."""
        self._close(run_id, self._charge_answer, response)

    def failed(self, run_id: object, error: object) -> None:
        """Note that a call ended with an error, or that its reader left."""
        self._close(run_id, self._charge_failure, error)

    def embedded(self, call: EmbeddingCall) -> None:
        """Book a request for embeddings, of which no event tells."""
        self._book(embedding_charge(call, self._prices))

    def under_way(self) -> list[Charge]:
        """Return the charges of calls that have not ended, or never will: unsettled."""
        with self._lock:
            runs = list(self._runs)
        return [unsettled(run) for run in runs]

    def count_estimates(self) -> None:
        """Book the calls whose tokens must be counted here; returns when all are."""
        with self._counting:
            while (aside := self._next_uncounted(above=0)) is not None:
                self._book(self._estimated(*aside))

    def drop_estimates(self) -> None:
        """Forget the calls that are set aside for counting."""
        with self._lock:
            self._uncounted.clear()

    def _close(
        self,
        run_id: object,
        outcome: Callable[[OpenRun, Any], Charge | None],
        what: object,
    ) -> None:
        if not isinstance(run_id, UUID):
            return
        with self._lock:
            run = self._runs.close(run_id)
        if run is None:
            return
        try:
            charge = outcome(run, what)
        except Exception as error:  # noqa: BLE001 # whatever a reply may hold
            self._complain(error)
            charge = unsettled(run)
        if charge is not None:
            self._book(charge)

    def _charge_answer(self, run: OpenRun, response: object) -> Charge | None:
        reply = read_reply(response, reversed(run.pieces))
        with self._lock:
            if self._echoes.of_answer(run, reply.message_id):
                return None
        if is_hit(run, reply):
            return from_cache(run, reply, self._prices)
        if reply.usage is not None:
            return settle(run, reply, reply.usage, self._prices)
        if reply.billed_to_sibling and run.shares_request:
            return settle(run, reply, Usage(), self._prices)
        return self._set_aside(run, reply, answer_text(response))

    def _charge_failure(self, run: OpenRun, error: object) -> Charge | None:
        with self._lock:
            if self._echoes.of_failure(run, error, self._runs):
                return None
        run.error = type(error).__name__
        pieces = run.pieces[:: run.copies]
        reply = read_reply(None, reversed(pieces))
        if mark := mark_in(pieces):
            return from_cache(run, replace(reply, mark=mark), self._prices)
        if pieces or left_by_reader(error):
            reply = replace(reply, usage=usage_so_far(pieces))
            output = streamed_text(pieces) if pieces else None
            return self._set_aside(run, reply, output)
        return unsettled(run) if may_be_billed(error) else refused(run)

    def _set_aside(
        self, run: OpenRun, reply: Reply, output: str | None
    ) -> Charge | None:
        """Keep a call for `count_estimates`; return the oldest if there are many."""
        run.pieces = []  # the text is all that counts
        with self._lock:
            self._uncounted.append((run, reply, output))
        if self.on_uncounted is not None:
            self.on_uncounted()
        aside = self._next_uncounted(above=self._max_uncounted)
        return None if aside is None else self._estimated(*aside)

    def _next_uncounted(
        self, *, above: int
    ) -> tuple[OpenRun, Reply, str | None] | None:
        with self._lock:
            many = len(self._uncounted) > above
            return self._uncounted.popleft() if many else None

    def _estimated(self, run: OpenRun, reply: Reply, output: str | None) -> Charge:
        try:
            return settle_by_estimate(run, reply, output, self._prices)
        except Exception as error:  # noqa: BLE001 # whatever a message may hold
            self._complain(error)
            return unsettled(run)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "Could not work out what a call cost; it is reported as unsettled. "
                "Further ones are not logged.",
                exc_info=error,
            )

"""ConversationMemory: what a chain remembers of a session, and what it is shown."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.base import coerce_to_runnable

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory.ladder import Ladder
from langchain_llmops.memory.messages import answer_messages, turn_messages
from langchain_llmops.memory.turns import TurnPlans
from langchain_llmops.storage.plans import arun, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

    from langchain_llmops.memory.history_adapter import ConversationHistory
    from langchain_llmops.memory.stores.conversation_store import ConversationStore
    from langchain_llmops.memory.window.policy import WindowPolicy

    Summarizer = Runnable[Any, Any] | Callable[[list[BaseMessage]], Any]

__all__ = ["ConversationMemory"]


class ConversationMemory:
    """Remembers sessions: a log that loses nothing, and a window of it for each turn.

    ```python
    from langchain_llmops import ConversationMemory, ConversationStore, WindowPolicy

    memory = ConversationMemory(ConversationStore("memory://"), WindowPolicy(1_000))
    window = memory.begin_turn("ann", "My cat is called Ada.")
    memory.end_turn("ann", "A good name.")
    window = memory.begin_turn("ann", "What is my cat called?")
    ```

    `with_memory` calls both around a chain. The log is never cut or rewritten: windows
    and summaries are views of it. With a summarizer, what grows older than the window
    is covered by summaries, each message by exactly one; four summaries become one of
    the next level. Each keeps key facts with the ids of the messages that say them,
    and `store.read(session_id, summary.start, summary.stop)` gives the originals.

    If the store is lost, turns go on from what this process knows, messages wait here
    and are stored by the next turn that reaches it; this is logged once and counted
    in `lost`.

    Each turn costs one append, a read of what other processes have added, and the
    window (below a millisecond once a session is known). Safe across threads and event
    loops; turns of one session may overlap, and each sees the log as it was when it
    was asked.

    Args:
        store: Where the log is.
        policy: Chooses the window.
        summarizer: A model, or a Runnable or function that takes messages and returns
            a text; called when half of the budget is not covered by summaries. If it
            fails nothing changes, and the next turn tries again.
        recall: How many of a session's newest messages windows choose from, and how
            many of them are kept in memory; older ones are in summaries and the store.
        clock: Seconds since 1970, for the time of summaries.
    """

    def __init__(
        self,
        store: ConversationStore,
        policy: WindowPolicy,
        summarizer: Summarizer | None = None,
        *,
        recall: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if recall < 1:
            raise ConfigurationError(f"recall={recall!r}: take 1 or more messages")
        self.store = store
        self.policy = policy
        self._ladder: Ladder | None = None
        if summarizer is not None:
            runnable = coerce_to_runnable(summarizer)
            self._ladder = Ladder(
                store, runnable, max_tokens=policy.max_tokens, clock=clock
            )
        self._plans = TurnPlans(store, policy, self._ladder, recall)

    @property
    def lost(self) -> int:
        """How often the store could not be used."""
        return self._plans.lost

    @property
    def failed_summaries(self) -> int:
        """How often the summarizer failed or said nothing."""
        return self._ladder.failures if self._ladder else 0

    def begin_turn(
        self, session_id: str, turn: LanguageModelInput
    ) -> list[BaseMessage]:
        """Save what the user says, and return what the model is to see.

        Args:
            session_id: The session.
            turn: A text or messages. System messages head the window and are not
                saved: they come with every turn.

        Returns:
            System messages, summaries, the messages that matter, and the turn.

        Raises:
            ConfigurationError: The turn is empty, or its system messages leave no room.
        """
        return run(self._plans.open(session_id, turn_messages(turn)))

    async def abegin_turn(
        self, session_id: str, turn: LanguageModelInput
    ) -> list[BaseMessage]:
        """Save what the user says, and return what the model is to see."""
        return await arun(self._plans.open(session_id, turn_messages(turn)))

    def end_turn(
        self, session_id: str, answer: str | BaseMessage | Sequence[BaseMessage]
    ) -> None:
        """Save the answer, and summarize what has become old.

        Args:
            session_id: The session.
            answer: A text, or one or several messages.
        """
        run(self._plans.close(session_id, answer_messages(answer)))

    async def aend_turn(
        self, session_id: str, answer: str | BaseMessage | Sequence[BaseMessage]
    ) -> None:
        """Save the answer, and summarize what has become old."""
        await arun(self._plans.close(session_id, answer_messages(answer)))

    def history(self, session_id: str) -> ConversationHistory:
        """Return a session's whole log for code that wants a `BaseChatMessageHistory`.

        Such as `RunnableWithMessageHistory(chain, memory.history)`.

        Args:
            session_id: The session.
        """
        # Deprecated in langchain-core: loaded only by those who still need it.
        from langchain_llmops.memory.history_adapter import (  # noqa: PLC0415
            ConversationHistory,
        )

        return ConversationHistory(self.store, session_id)

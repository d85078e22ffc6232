"""A session's log as the `BaseChatMessageHistory` that older code wants."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from langchain_core._api.deprecation import LangChainDeprecationWarning
from langchain_core.chat_history import BaseChatMessageHistory
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.memory.stores.conversation_store import ConversationStore

__all__ = ["ConversationHistory"]


class ConversationHistory(BaseChatMessageHistory):
    """The whole log of a session, read once.

    `messages` is what the log was when it was first asked for, and what was added
    here since: `RunnableWithMessageHistory` compares two readings to find out what is
    new, and would lose or repeat messages if another turn came between them. Make a
    new one per run, as it does.

    Made by `ConversationMemory.history`.

    Args:
        store: Where the log is.
        session_id: The session.
    """

    def __init__(self, store: ConversationStore, session_id: str) -> None:
        with warnings.catch_warnings():
            # Its users know; core warns for each object.
            warnings.simplefilter("ignore", LangChainDeprecationWarning)
            super().__init__()
        self._store = store
        self._session_id = session_id
        self._read: list[BaseMessage] | None = None

    @property
    @override
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        if self._read is None:
            self._read = [e.message for e in self._store.read(self._session_id)]
        return self._read.copy()

    @override
    async def aget_messages(self) -> list[BaseMessage]:
        if self._read is None:
            entries = await self._store.aread(self._session_id)
            self._read = [entry.message for entry in entries]
        return self._read.copy()

    @override
    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        entries = self._store.append(self._session_id, messages)
        if self._read is not None:
            self._read += [entry.message for entry in entries]

    @override
    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        entries = await self._store.aappend(self._session_id, messages)
        if self._read is not None:
            self._read += [entry.message for entry in entries]

    @override
    def clear(self) -> None:
        self._store.delete(self._session_id)
        self._read = None

    @override
    async def aclear(self) -> None:
        await self._store.adelete(self._session_id)
        self._read = None

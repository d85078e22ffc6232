"""A store that can be lost, and models that say what they saw."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage

from langchain_llmops import ConversationStore, TokenCounter
from langchain_llmops.errors import StorageError


@pytest.fixture(scope="session", autouse=True)
def _loaded_counter():
    # Tests on an event loop also call what is synchronous: its file is read before.
    TokenCounter("gpt-4o").load()


class _Losable(ConversationStore):
    """A store in memory; while `gone`, each method raises as a lost server's does."""

    gone = False
    unreadable = False
    hangs = False
    stores_then_fails = False

    def append(self, session_id, messages, **options):
        self._check()
        entries = super().append(session_id, messages, **options)
        if self.stores_then_fails:
            raise StorageError("the connection broke after the write")
        return entries

    async def aappend(self, session_id, messages, **options):
        self._check()
        if self.hangs:
            await asyncio.Event().wait()
        return await super().aappend(session_id, messages, **options)

    def read(self, *arguments, **options):
        self._check()
        if self.unreadable:
            raise StorageError("reads time out")
        return super().read(*arguments, **options)

    def _check(self):
        if self.gone:
            raise StorageError("the store is gone")


@pytest.fixture
def store():
    return _Losable("memory://")


class _Echo:
    """A chain that answers with what it was asked, and remembers the windows."""

    def __init__(self):
        self.windows = []

    def __call__(self, messages):
        self.windows.append(messages)
        return AIMessage(f"re {messages[-1].text}")


@pytest.fixture
def echo():
    return _Echo()

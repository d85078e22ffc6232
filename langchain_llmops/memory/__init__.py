"""I want conversations that last, and that fit into the model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.memory.conversation_memory import ConversationMemory
    from langchain_llmops.memory.memory_chain import with_memory
    from langchain_llmops.memory.stores.base import (
        ConversationConflictError,
        FoundMessage,
        KeyFact,
        LogEntry,
        SessionHead,
        SessionSummary,
    )
    from langchain_llmops.memory.stores.conversation_store import ConversationStore
    from langchain_llmops.memory.window.index import WindowIndex
    from langchain_llmops.memory.window.policy import WindowPolicy

__all__ = (
    "ConversationConflictError",
    "ConversationMemory",
    "ConversationStore",
    "FoundMessage",
    "KeyFact",
    "LogEntry",
    "SessionHead",
    "SessionSummary",
    "WindowIndex",
    "WindowPolicy",
    "with_memory",
)

_MODULES = {
    "conversation_memory": ("ConversationMemory",),
    "memory_chain": ("with_memory",),
    "stores.base": (
        "ConversationConflictError",
        "FoundMessage",
        "KeyFact",
        "LogEntry",
        "SessionHead",
        "SessionSummary",
    ),
    "stores.conversation_store": ("ConversationStore",),
    "window.index": ("WindowIndex",),
    "window.policy": ("WindowPolicy",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)

"""`CallSize`: how many tokens a call is expected to use, for a limit on tokens."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_llmops.tokens.counter import TokenCounter

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from langchain_llmops.models.base import ModelCall

__all__ = ["CallSize"]

_OUTPUT_TOKENS = 1_024
"""What an answer is expected to take that has no maximum."""

_LONG = 100_000
"""Characters that take milliseconds to count: on another thread, then."""


class CallSize:
    """Counts the input of calls, and adds the most that their answers may take.

    Safe across threads.
    """

    def __init__(self) -> None:
        self._counter = lru_cache(maxsize=64)(TokenCounter)
        self._loaded: set[str] = set()

    def load(self, model: BaseChatModel) -> None:
        """Read what counting a model's tokens needs, so that no call has to."""
        name, _ = _parameters(model, {})
        self._counter(name).load()
        self._loaded.add(name)

    def of(self, call: ModelCall) -> int:
        """Return the tokens of a call: counted, and its `max_tokens` or 1,024."""
        name, most = _parameters(call.model, call.kwargs)
        tools = call.kwargs.get("tools")
        count = self._counter(name).measure_messages(call.messages, tools)
        self._loaded.add(name)
        return count.tokens + most

    async def aof(self, call: ModelCall) -> int:
        """Return what `of` returns; what takes long is done on another thread."""
        name, _ = _parameters(call.model, call.kwargs)
        long = sum(len(message.content) for message in call.messages) > _LONG
        if long or name not in self._loaded:
            return await asyncio.to_thread(self.of, call)
        return self.of(call)


def _parameters(model: BaseChatModel, kwargs: Any) -> tuple[str, int]:
    told = model._get_ls_params(**kwargs)  # noqa: SLF001 # core's hook
    most = told.get("ls_max_tokens") or kwargs.get("max_output_tokens")
    name = told.get("ls_model_name")
    return name or "", most if isinstance(most, int) else _OUTPUT_TOKENS

"""A chat model whose every reply, stream and failure is scripted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.pricing import Prices, UsdPerMillion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PRICES = {"fake-1": UsdPerMillion(input=1, output=10, cache_read="0.1")}
USAGE = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}


class ScriptedModel(BaseChatModel):
    """Answers with `words`, each of them a chunk, and reports 100 tokens in, 10 out."""

    model: str = "fake-1"
    words: tuple[str, ...] = ("Hello", " there", " world")
    usage: dict[str, Any] | None = Field(default_factory=USAGE.copy)
    stream_usage: bool = True
    choices: int = 1
    envelope: bool = True
    message_id: str | None = None
    tier: str | None = None
    fails_after: int | None = None
    error: Any = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def _said(self) -> dict[str, Any]:
        said = {"model_name": self.model, "finish_reason": "stop"}
        return {**said, "service_tier": self.tier} if self.tier else said

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        if self.error is not None and self.fails_after is None:
            raise self.error
        generations = [
            ChatGeneration(
                message=AIMessage(
                    "".join(self.words),
                    usage_metadata=self.usage,
                    id=self.message_id,
                    response_metadata={} if self.envelope else self._said(),
                )
            )
            for _ in range(self.choices)
        ]
        return ChatResult(
            generations=generations, llm_output=self._said() if self.envelope else None
        )

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        if self.error is not None and self.fails_after is None:
            raise self.error
        for number, word in enumerate(self.words):
            if number == self.fails_after:
                raise self.error
            yield ChatGenerationChunk(message=AIMessageChunk(word, id=self.message_id))
        for _ in range(self.choices):
            yield ChatGenerationChunk(
                message=AIMessageChunk("", response_metadata=self._said())
            )
        if self.usage and self.stream_usage:
            yield ChatGenerationChunk(
                message=AIMessageChunk("", usage_metadata=self.usage)
            )

    def _stream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks()

    async def _astream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            yield chunk


@pytest.fixture
def scripted() -> type[ScriptedModel]:
    return ScriptedModel


@pytest.fixture
def costs() -> CostCallbackHandler:
    """A handler that prices the scripted model at 1 and 10 dollars per million."""
    return CostCallbackHandler(prices=Prices(PRICES))

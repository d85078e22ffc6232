"""What the cache tests share: a model that counts, a clock that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

USAGE = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}


class FakeClock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class CountingModel(BaseChatModel):
    """Answer from a list, the last one again and again; count what reaches it."""

    model_name: str = "gpt-4o-mini"
    temperature: float | None = 0.0
    n: int = 1
    timeout: float | None = None
    _answers: list[Any] = PrivateAttr(default_factory=list)
    _asked: list[list[BaseMessage]] = PrivateAttr(default_factory=list)
    _closed: list[str] = PrivateAttr(default_factory=list)

    def __init__(self, *answers: Any, **fields: Any) -> None:
        super().__init__(**fields)
        self._answers = list(answers) or ["forty two"]

    @property
    def calls(self) -> int:
        return len(self._asked)

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        position = min(self.calls, len(self._answers) - 1)
        self._asked.append(messages)
        answer = self._answers[position]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, AIMessage):
            return answer.model_copy(deep=True)
        return AIMessage(answer, usage_metadata=USAGE)

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        generations = [
            ChatGeneration(
                message=self._answer(messages),
                generation_info={"finish_reason": "stop"},
            )
            for _ in range(kwargs.get("n", self.n))
        ]
        output = {"model_name": self.model_name, "token_usage": {"total_tokens": 1_100}}
        return ChatResult(generations=generations, llm_output=output)

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        message = self._answer(messages)
        try:
            for word in str(message.content).split(" "):
                yield _chunk(f"{word} ")
            yield _chunk(
                "",
                response_metadata={
                    "finish_reason": "stop",
                    **message.response_metadata,
                },
                usage_metadata=message.usage_metadata,
                additional_kwargs=message.additional_kwargs,
                tool_call_chunks=[
                    {
                        "name": call["name"],
                        "args": '{"city": "Rome"}',
                        "id": call["id"],
                        "index": 0,
                        "type": "tool_call_chunk",
                    }
                    for call in message.tool_calls
                ],
            )
        finally:
            self._closed.append("stream")

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, run_manager, **kwargs):
            yield chunk


class BrokenTier:
    """A tier whose backend is gone; it comes back when told to."""

    name = "broken"
    evictions = 0

    def __init__(self) -> None:
        self.broken = True
        self.tried = 0
        self.kept: dict[str, Any] = {}

    def _try(self) -> None:
        self.tried += 1
        if self.broken:
            raise ConnectionError("the backend is gone")

    def get(self, key: str, now: float) -> Any:
        self._try()
        return self.kept.get(key)

    async def aget(self, key: str, now: float) -> Any:
        return self.get(key, now)

    def set(self, key: str, entry: Any, now: float) -> None:
        self._try()
        self.kept[key] = entry

    async def aset(self, key: str, entry: Any, now: float) -> None:
        self.set(key, entry, now)

    def clear(self) -> None:
        self._try()
        self.kept.clear()

    async def aclear(self) -> None:
        self.clear()

    def close(self) -> None:
        self.broken = True


def _chunk(content: str, **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=content, **fields))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def counting() -> Callable[..., CountingModel]:
    """Make a model: `counting("answer", …, temperature=0.5)`."""
    return CountingModel


@pytest.fixture
def broken_tier() -> BrokenTier:
    return BrokenTier()

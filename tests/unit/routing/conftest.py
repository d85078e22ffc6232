"""What the routing tests share: candidates made in a line, an embedding model."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from langchain_llmops.pricing import UsdPerMillion
from langchain_llmops.routing import Candidate, ModelCatalog, Timing

if TYPE_CHECKING:
    from collections.abc import Callable

CATALOG = ModelCatalog()


class LetterEmbeddings(Embeddings):
    """Count letters: texts that share them are near."""

    model = "letters"

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.error: Exception | None = None

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.error is not None:
            raise self.error
        self.calls.append(len(texts))
        letters = "abcdefghijklmnop"
        return [[1.0, *(float(text.count(each)) for each in letters)] for text in texts]


class Talker(BaseChatModel):
    """Say "NAME says hi" in three words, after failing, hanging or breaking off."""

    label: str
    fails: list[Any] = Field(default_factory=list)
    breaks_after: int | None = None
    hangs: bool = False
    slow_s: float = 0.0
    words: list[Any] = Field(default_factory=list)
    answer: Any = None
    calls: int = 0
    cancelled: int = 0
    seen: list[Any] = Field(default_factory=list)
    prompts: list[Any] = Field(default_factory=list)
    release: Any = None

    @property
    def _llm_type(self) -> str:
        return "talker"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _begin(self, messages: Any, stop: Any, kwargs: Any) -> list[Any]:
        self.calls += 1
        self.seen.append({**kwargs, "stop": stop})
        self.prompts.append(messages)
        if self.fails and self.breaks_after is None:
            raise self.fails.pop(0)
        return self.words or [self.label, " says", " hi"]

    def _chunks(self, words: list[Any]) -> Any:
        error = None
        if self.breaks_after is not None and self.fails:
            error = self.fails.pop(0)
        for place, word in enumerate(words):
            if error is not None and place == self.breaks_after:
                raise error
            message = word if isinstance(word, AIMessageChunk) else None
            chunk = AIMessageChunk(content=word) if message is None else message
            yield ChatGenerationChunk(message=chunk.model_copy())

    def _result(self, words: list[Any]) -> ChatResult:
        whole = AIMessage("".join(str(w) for w in words))
        return ChatResult(generations=[ChatGeneration(message=self.answer or whole)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        words = self._begin(messages, stop, kwargs)
        if self.hangs:
            self.release.wait(5)
        time.sleep(self.slow_s)
        return self._result(words)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        words = self._begin(messages, stop, kwargs)
        if self.hangs:
            self.release.wait(5)
        time.sleep(self.slow_s)
        for chunk in self._chunks(words):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _wait(self) -> None:
        try:
            await asyncio.sleep(5 if self.hangs else self.slow_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        words = self._begin(messages, stop, kwargs)
        await self._wait()
        return self._result(words)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        words = self._begin(messages, stop, kwargs)
        await self._wait()
        for chunk in self._chunks(words):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


@pytest.fixture
def fake() -> Callable[..., Candidate]:
    def candidate(name: str, usd: float = 1, **settings: Any) -> Candidate:
        own = {key: settings.pop(key) for key in [*settings] if key in TALKER_FIELDS}
        model = Talker(label=name, release=threading.Event(), **own)
        prices = UsdPerMillion(input=usd, output=usd)
        return Candidate(model, name=name, prices=prices, catalog=CATALOG, **settings)

    return candidate


TALKER_FIELDS = set(Talker.model_fields) - {"tags", "metadata"}


class Clockwork(Timing):
    """A clock that only waiting moves, and chance without surprise."""

    @property
    def waits(self) -> list[float]:
        return self.sleep.waits


class Waiting:
    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self(seconds)


@pytest.fixture
def timing() -> Clockwork:
    waiting = Waiting()
    return Clockwork(
        clock=lambda: waiting.now,
        chance=lambda: 0.5,
        sleep=waiting,
        asleep=waiting.asleep,
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Candidate]:
    def candidate(
        name: str, usd: float | None = None, profile: Any = None, **fields: Any
    ) -> Candidate:
        model = FakeListChatModel(responses=["yes"], profile=profile)
        prices = None if usd is None else UsdPerMillion(input=usd, output=usd)
        return Candidate(model, name=name, prices=prices, catalog=CATALOG, **fields)

    return candidate


@pytest.fixture
def embeddings() -> LetterEmbeddings:
    return LetterEmbeddings()


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Prompts about pigs are easy, those about moons need the strong model."""
    easy = [
        {"prompt": f"a big pig {n} fed", "weak": True, "strong": True}
        for n in range(40)
    ]
    hard = [
        {"prompt": f"no moon {n} on loop", "weak": False, "strong": True}
        for n in range(40)
    ]
    return easy + hard

"""Every kind of chat model, a layer that writes down what it sees, and a run log."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import (
    BaseChatModel,
    FakeListChatModel,
    FakeMessagesListChatModel,
    GenericFakeChatModel,
    ParrotFakeChatModel,
)
from langchain_core.language_models._compat_bridge import (
    achunks_to_events,
    chunks_to_events,
)
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_openai import ChatOpenAI

from langchain_llmops import ModelLayer, with_layers

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER = "one two"


class OnlyGenerate(BaseChatModel):
    """The least that a chat model can be."""

    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _answer(self, kwargs: dict[str, Any]) -> str:
        extra = "".join(f" {k}={v}" for k, v in sorted(kwargs.items()) if k != "stream")
        return f"{ANSWER} {self.temperature}{extra}"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        message = AIMessage(self._answer(kwargs))
        return ChatResult(generations=[ChatGeneration(message=message)])


class GenerateAndStream(OnlyGenerate):
    """Streams synchronously; core bridges the rest through threads."""

    streaming: bool = False

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for word in self._answer(kwargs).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(word + " "))

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=[tool["name"] for tool in tools], **kwargs)


class AllFour(GenerateAndStream):
    """Implements each hook natively."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages, stop, **kwargs)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for chunk in self._stream(messages, stop, **kwargs):
            yield chunk


class OnlyAsync(OnlyGenerate):
    """Refuses to be called synchronously."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        raise NotImplementedError("asynchronous only")

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return OnlyGenerate._generate(self, messages, stop, **kwargs)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for word in self._answer(kwargs).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(word + " "))


class OwnEvents(AllFour):
    """Has hooks of its own for v3 events, which a layer could not see into."""

    def _stream_chat_model_events(self, messages, **kwargs):
        yield from chunks_to_events(AllFour._stream(self, messages, **kwargs))

    async def _astream_chat_model_events(self, messages, **kwargs):
        chunks = AllFour._astream(self, messages, **kwargs)
        async for event in achunks_to_events(chunks):
            yield event


class MyOpenAI(ChatOpenAI):
    """What users write on top of an integration."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        result = super()._generate(messages, stop, run_manager, **kwargs)
        result.llm_output = {**(result.llm_output or {}), "mine": True}
        return result


class CountingLimiter(BaseRateLimiter):
    """Grants everything and counts."""

    def __init__(self) -> None:
        self.granted = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.granted += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.granted += 1
        return True


class Watching(ModelLayer):
    """Passes everything through and writes down each call and each end."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.name = name
        self.log: list[str] = [] if log is None else log

    def see(self, mode: str, call: Any) -> None:
        self.calls.append((mode, call))
        self.log.append(f"{self.name}{mode}")

    def generate(self, call, handler):
        self.see("generate", call)
        try:
            return handler(call)
        finally:
            self.log.append(f"{self.name}end")

    async def agenerate(self, call, handler):
        self.see("agenerate", call)
        try:
            return await handler(call)
        finally:
            self.log.append(f"{self.name}end")

    def stream(self, call, handler):
        self.see("stream", call)
        try:
            yield from handler(call)
        finally:
            self.log.append(f"{self.name}end")

    async def astream(self, call, handler):
        self.see("astream", call)
        try:
            async with aclosing(handler(call)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.log.append(f"{self.name}end")


class RunLog(BaseCallbackHandler):
    """Every callback event, with ids replaced by the order of appearance."""

    run_inline = True

    def __init__(self, log: list[str] | None = None) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.ids: dict[Any, int] = {}
        self.log = log

    def note(self, event: str, run_id: Any, *rest: Any) -> None:
        self.events.append((event, self.ids.setdefault(run_id, len(self.ids)), *rest))
        if self.log is not None:
            self.log.append(event)

    @property
    def by_run(self) -> list[tuple[Any, ...]]:
        """The events of one run after those of another: runs may interleave."""
        return sorted(self.events, key=lambda event: event[1])

    @property
    def open_runs(self) -> set[int]:
        started = [e[1] for e in self.events if e[0].endswith("start")]
        ended = [e[1] for e in self.events if e[0].endswith(("end", "error"))]
        assert len(set(ended)) == len(ended), "a run ended twice"
        return set(started) - set(ended)

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id, **kwargs):
        self.note("chain start", run_id, self.ids.get(parent_run_id), kwargs["name"])

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        self.note("chain end", run_id)

    def on_chain_error(self, error, *, run_id, **kwargs):
        self.note("chain error", run_id, type(error))

    def on_chat_model_start(
        self, serialized, messages, *, run_id, parent_run_id, metadata=None, **kwargs
    ):
        shown = {k: v for k, v in serialized.items() if k != "repr"}
        self.note(
            "llm start",
            run_id,
            self.ids.get(parent_run_id),
            kwargs.get("name"),
            repr(shown),
            repr(messages),
            repr(kwargs.get("invocation_params")),
            repr(metadata),
        )

    def on_llm_new_token(self, token, *, run_id, **kwargs):
        self.note("llm token", run_id, token)

    def on_stream_event(self, event, *, run_id, **kwargs):
        self.note("llm event", run_id, event["event"])

    def on_llm_end(self, response, *, run_id, **kwargs):
        self.note("llm end", run_id, response.generations[0][0].message.content)

    def on_llm_error(self, error, *, run_id, **kwargs):
        self.note("llm error", run_id, type(error))


def openai_response(request: httpx.Request) -> httpx.Response:
    """Answer as OpenAI's API does, whole or streamed, by tool if one is asked for."""
    body = json.loads(request.content)
    tools = body.get("tools")
    head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    if not body.get("stream"):
        content = '{"answer": 4}' if "response_format" in body else ANSWER
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if tools:
            function = {"name": tools[0]["function"]["name"], "arguments": "{}"}
            call = {"id": "call-1", "type": "function", "function": function}
            message |= {"tool_calls": [call], "content": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {**head, "object": "chat.completion", "choices": [choice]}
        return httpx.Response(200, json={**answer, "usage": usage})
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word + " "} for word in ANSWER.split()]
    chunk = {**head, "object": "chat.completion.chunk"}
    lines = [
        {**chunk, "choices": [{"index": 0, "delta": d, "finish_reason": None}]}
        for d in deltas
    ]
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    lines += [{**chunk, "choices": [end]}, {**chunk, "choices": [], "usage": usage}]
    text = "".join(f"data: {json.dumps(line)}\n\n" for line in lines)
    return httpx.Response(
        200,
        text=text + "data: [DONE]\n\n",
        headers={"content-type": "text/event-stream"},
    )


def openai(cls: type[ChatOpenAI] = ChatOpenAI, **kwargs: Any) -> ChatOpenAI:
    """Return a real ChatOpenAI on a transport that answers in memory."""
    transport = httpx.MockTransport(openai_response)
    return cls(
        model="gpt-4o",
        api_key="sk-test",
        base_url="http://openai.invalid/v1",
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        stream_usage=True,
        **kwargs,
    )


KINDS: dict[str, Callable[[], BaseChatModel]] = {
    "only _generate": OnlyGenerate,
    "_generate, _stream": GenerateAndStream,
    "all four hooks": AllFour,
    "only async": OnlyAsync,
    "own v3 events": OwnEvents,
    "streaming=True": lambda: AllFour(streaming=True),
    "sync streaming=True": lambda: GenerateAndStream(streaming=True),
    "disable_streaming": lambda: AllFour(disable_streaming=True),
    "rate_limiter": lambda: AllFour(rate_limiter=CountingLimiter()),
    "layered twice": lambda: with_layers(AllFour(), Watching()),
    "FakeList": lambda: FakeListChatModel(responses=["a b", "c d"]),
    "GenericFake": lambda: GenericFakeChatModel(messages=iter(["a b", "c d"])),
    "FakeMessagesList": lambda: FakeMessagesListChatModel(
        responses=[AIMessage("a b"), AIMessage("c d")]
    ),
    "ParrotFake": ParrotFakeChatModel,
    "ChatOpenAI": openai,
    "ChatOpenAI streaming": lambda: openai(streaming=True),
    "subclass of ChatOpenAI": lambda: openai(MyOpenAI),
}


@pytest.fixture(params=KINDS)
def kind(request) -> Callable[[], BaseChatModel]:
    """A function that makes a fresh model of one kind."""
    return KINDS[request.param]


@pytest.fixture
def models() -> dict[str, Callable[..., Any]]:
    """The kinds and their classes by name."""
    classes = (OnlyGenerate, GenerateAndStream, AllFour, OnlyAsync)
    return {**KINDS, **{cls.__name__: cls for cls in classes}, "openai": openai}


@pytest.fixture
def watching() -> type[Watching]:
    return Watching


@pytest.fixture
def run_log() -> type[RunLog]:
    return RunLog


@pytest.fixture
def limiter() -> CountingLimiter:
    return CountingLimiter()

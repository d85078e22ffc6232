"""The caches with a real client, a real server and its invoice, and real processes."""

from __future__ import annotations

import asyncio
import functools
import operator
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import OpenAIInvalidRequestError
from pydantic import BaseModel, SecretStr

from langchain_llmops.caching import CacheLayer, MemoryTier, SQLiteTier, TieredCache
from langchain_llmops.models import with_layers
from langchain_llmops.testing import (
    ContentFiltered,
    Cut,
    HttpFailure,
    LocalProvider,
    MalformedSSE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODES = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]
CHAT = [
    SystemMessage("Answer from the context. Context: Rome is the capital of Italy."),
    HumanMessage("What is the capital of Italy?"),
]


def openai(provider: LocalProvider, **fields: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o-mini",
        temperature=0,
        api_key=SecretStr("test"),
        base_url=provider.base_url,
        max_retries=0,
        stream_usage=True,
        **fields,
    )


@pytest.fixture
def cache() -> TieredCache:
    return TieredCache()


@pytest.fixture
def model(provider: LocalProvider, cache: TieredCache) -> ChatOpenAI:
    return with_layers(openai(provider), CacheLayer(cache))


Ask = Callable[..., Any]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Ask a model in any mode, off the loop or on one that lives for the test."""
    with asyncio.Runner() as runner:

        def ask(model: Any, mode: str, question: Any = CHAT) -> Any:
            match mode:
                case "invoke":
                    return model.invoke(question)
                case "ainvoke":
                    return runner.run(model.ainvoke(question))
                case "batch":
                    return model.batch([question])[0]
                case "abatch":
                    return runner.run(model.abatch([question]))[0]
                case "stream":
                    return functools.reduce(operator.add, model.stream(question))
            return functools.reduce(operator.add, runner.run(read(model, question)))

        yield ask


async def read(model: Any, question: Any) -> list[Any]:
    return [chunk async for chunk in model.astream(question)]


@pytest.mark.parametrize("first", MODES)
def test_one_call_is_billed_whatever_the_mode(
    first: str, model: ChatOpenAI, provider: LocalProvider, ask: Ask
):
    cold = ask(model, first)
    (billed,) = provider.invoice
    for mode in MODES:
        hit = ask(model, mode)
        assert hit.content == cold.content != ""
        assert hit.usage_metadata is not None
        assert hit.usage_metadata["total_tokens"] == 0
        mark = hit.response_metadata["cache"]
        assert mark["saved_tokens"] == billed.input_tokens + billed.output_tokens
        assert mark["saved_usd"] == pytest.approx(float(billed.usd))
        assert (
            hit.response_metadata["model_name"]
            == (cold.response_metadata["model_name"])
        )
    assert len(provider.requests) == 1


def test_a_chain_is_answered_from_the_cache(
    model: ChatOpenAI, provider: LocalProvider, ask: Ask
):
    prompt = ChatPromptTemplate.from_messages([("system", "s"), ("human", "{q}")])
    chain = prompt | model | (lambda message: message.text)
    first = chain.invoke({"q": "Why?"})
    assert [ask(chain, mode, {"q": "Why?"}) for mode in MODES] == [first] * len(MODES)
    assert len(provider.invoice) == 1
    chain.invoke({"q": "Why?"}, {"metadata": {"tenant": "acme"}})
    assert len(provider.invoice) == 2


def test_as_a_base_cache_it_saves_the_same_call(
    provider: LocalProvider, cache: TieredCache
):
    model = openai(provider, cache=cache)
    cold, hit = model.invoke(CHAT), model.invoke(CHAT)
    assert hit.content == cold.content
    assert hit.response_metadata["cache"]["saved_usd"] == pytest.approx(
        float(provider.invoiced_usd)
    )
    assert len(provider.invoice) == 1


@pytest.mark.parametrize("kind", ["layer", "base cache"])
def test_the_second_turn_hits_whether_the_first_was_a_hit_or_not(
    kind: str, provider: LocalProvider, cache: TieredCache
):
    if kind == "layer":
        model = with_layers(openai(provider), CacheLayer(cache))
    else:
        model = openai(provider, cache=cache)

    def talk() -> Any:
        turns: list[Any] = [*CHAT]
        turns += [model.invoke(turns), HumanMessage("Are you sure?")]
        return model.invoke(turns).content

    assert talk() == talk() == talk()
    assert len(provider.invoice) == 2


class Capital(BaseModel):
    country: str
    city: str


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_is_parsed_from_hits(
    method: Any, model: ChatOpenAI, provider: LocalProvider
):
    question = "Reply in JSON: the capital of Italy?"
    structured = model.with_structured_output(Capital, method=method, include_raw=True)
    cold, hit = structured.invoke(question), structured.invoke(question)
    assert isinstance(cold, dict)
    assert isinstance(hit, dict)
    assert hit["raw"].response_metadata["cache"]["hit"]
    assert hit["parsed"] == cold["parsed"]
    assert type(hit["parsed"]) is type(cold["parsed"])
    assert len(provider.invoice) == 1


def test_tool_calls_are_replayed_in_a_stream(
    model: ChatOpenAI, provider: LocalProvider
):
    tool = {
        "title": "get_weather",
        "description": "Weather of a city",
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    bound = model.bind_tools([tool], tool_choice="get_weather")
    cold = bound.invoke("Weather in Rome?")
    whole: Any = None
    for chunk in bound.stream("Weather in Rome?"):
        whole = chunk if whole is None else whole + chunk
    assert cold.tool_calls
    assert whole.tool_calls == cold.tool_calls
    assert len(provider.invoice) == 1


@pytest.mark.parametrize("mode", ["stream", "astream"])
@pytest.mark.parametrize(
    "fault", [Cut(at_token=2), MalformedSSE(at_token=2), ContentFiltered(at_token=2)]
)
def test_a_stream_that_went_wrong_is_asked_for_again(
    fault: Any, mode: str, model: ChatOpenAI, provider: LocalProvider, ask: Ask
):
    provider.inject(fault)
    with suppress(Exception):  # what the client makes of it is its own business
        ask(model, mode)
    provider.clear_faults()
    whole = ask(model, mode)
    assert "cache" not in whole.response_metadata
    assert len(provider.requests) == 2


def test_standard_content_blocks_are_made_of_hits_too(provider: LocalProvider):
    layer = CacheLayer(TieredCache())
    model = with_layers(openai(provider, output_version="v1"), layer)
    cold, hit = model.invoke(CHAT), model.invoke(CHAT)
    whole = functools.reduce(operator.add, model.stream(CHAT))
    assert hit.content == cold.content == [{"type": "text", "text": cold.text}]
    assert whole.content == [{"type": "text", "text": cold.text, "index": 0}]
    assert len(provider.invoice) == 1


def test_a_stream_that_is_left_is_asked_for_again(
    model: ChatOpenAI, provider: LocalProvider
):
    stream = model.stream(CHAT)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert "cache" not in model.invoke(CHAT).response_metadata
    assert len(provider.requests) == 2


def test_a_restarted_process_finds_its_answers(provider: LocalProvider, tmp_path: Path):
    for expected in (False, True):
        tiers = [MemoryTier(), SQLiteTier(tmp_path / "cache.db")]
        with closing(TieredCache(tiers)) as cache:
            answer = with_layers(openai(provider), CacheLayer(cache)).invoke(CHAT)
        assert ("cache" in answer.response_metadata) is expected
    assert answer.response_metadata["cache"]["tier"] == "sqlite"
    assert len(provider.invoice) == 1


OTHER_PROCESS = """
    import sys
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI
    from langchain_llmops import CacheLayer, SQLiteTier, TieredCache, with_layers

    base_url, path, worker = sys.argv[1:]
    model = ChatOpenAI(
        model="gpt-4o-mini", api_key="other-key", base_url=base_url, timeout=30
    )
    model = with_layers(model, CacheLayer(TieredCache([SQLiteTier(path)])))
    marks = [
        "cache" in model.invoke([HumanMessage(f"Question {n}?")]).response_metadata
        for n in range(40)
    ]
    for n in range(40):
        model.invoke([HumanMessage(f"Question {n} of {worker}?")])
    print(sum(marks))
"""


def test_two_processes_share_one_file(provider: LocalProvider, tmp_path: Path):
    path = tmp_path / "cache.db"
    shared = TieredCache([SQLiteTier(path)])
    mine = with_layers(openai(provider, timeout=9), CacheLayer(shared))
    # Another key, another timeout, no temperature: only the last one counts.
    mine = mine.model_copy(update={"temperature": None})
    for number in range(40):
        mine.invoke([HumanMessage(f"Question {number}?")])
    assert len(provider.invoice) == 40
    command = [sys.executable, "-c", textwrap.dedent(OTHER_PROCESS)]
    workers = [
        subprocess.Popen(  # both write while the other reads and writes
            [*command, provider.base_url, str(path), worker],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for worker in ("one", "two")
    ]
    for worker in workers:
        output, errors = worker.communicate(timeout=50)
        assert (output.strip(), errors) == ("40", "")
    assert len(provider.invoice) == 40 + 2 * 40
    for worker in ("one", "two"):
        answer = mine.invoke([HumanMessage(f"Question 7 of {worker}?")])
        assert answer.response_metadata["cache"]["tier"] == "sqlite"
    assert shared.stats().errors == {"sqlite": 0}
    shared.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_request_that_is_invalid_is_sent_once(
    mode: str, provider: LocalProvider, cache: TieredCache, ask: Ask
):
    model = with_layers(openai(provider, max_tokens=10**6), CacheLayer(cache))
    errors = []
    for _ in range(3):
        with pytest.raises(OpenAIInvalidRequestError) as caught:
            ask(model, mode)
        errors.append(caught.value)
    assert len(provider.requests) == 1
    assert cache.stats().negative_hits == 2
    assert {str(error) for error in errors} == {str(errors[0])}
    assert {type(error) for error in errors} == {OpenAIInvalidRequestError}
    assert [bool(getattr(error, "__notes__", None)) for error in errors] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("status", [401, 429, 500])
def test_errors_that_may_pass_are_asked_for_again(
    status: int, model: ChatOpenAI, provider: LocalProvider
):
    provider.inject(HttpFailure(status=status, nth={1}))
    with pytest.raises(ModelError):
        model.invoke(CHAT)
    assert model.invoke(CHAT).text
    assert len(provider.requests) == 2

"""Tools, structured output, images and embeddings through the real clients."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import AsyncOpenAI, BadRequestError, OpenAI
from pydantic import BaseModel, Field

from langchain_llmops.testing import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


@tool
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Look up the weather in a city."""
    return f"It is 21 degrees {unit} in {city}."


@tool
def multiply(first: int, second: int) -> int:
    """Multiply two numbers."""
    return first * second


@pytest.fixture
def model(provider: LocalProvider) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o",
        base_url=provider.base_url,
        api_key="-",
        max_retries=0,
        stream_usage=True,
    )


@pytest.fixture
def client(provider: LocalProvider) -> Iterator[OpenAI]:
    with OpenAI(base_url=provider.base_url, api_key="-") as client:
        yield client


@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_is_called_with_arguments_from_the_question(provider, model, stream):
    bound = model.bind_tools([get_weather, multiply])
    question = "What is the weather in San Francisco?"
    if stream:
        message: Any = None
        for chunk in bound.stream(question):
            message = chunk if message is None else message + chunk
    else:
        message = bound.invoke(question)
    (call,) = message.tool_calls
    assert (call["name"], call["args"]["city"]) == ("get_weather", "San Francisco")
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert provider.invoice[0].output_tokens == message.usage_metadata["output_tokens"]


def test_numbers_become_arguments_in_order(model):
    message = model.bind_tools([get_weather, multiply]).invoke("Multiply 6 by 7.")
    assert message.tool_calls[0]["args"] == {"first": 6, "second": 7}


def test_a_question_about_nothing_else_calls_no_tool(model):
    assert model.bind_tools([get_weather, multiply]).invoke("Hello!").tool_calls == []


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("any", ["get_weather"]),
        ("multiply", ["multiply"]),
        ("none", []),
        ("auto", ["get_weather"]),
    ],
)
def test_the_tool_choice_is_obeyed(model, choice, names):
    bound = model.bind_tools([get_weather, multiply], tool_choice=choice)
    message = bound.invoke("What is the weather in Rome?")
    assert [call["name"] for call in message.tool_calls] == names


def test_tools_that_are_named_are_called_side_by_side(model):
    question = "Call get_weather for Rome and multiply with 2 and 3."
    both = model.bind_tools([get_weather, multiply]).invoke(question)
    assert [call["name"] for call in both.tool_calls] == ["get_weather", "multiply"]
    one = model.bind_tools([get_weather, multiply], parallel_tool_calls=False)
    assert len(one.invoke(question).tool_calls) == 1


def test_a_tool_result_is_answered_from(model):
    messages = [HumanMessage("What is the weather in Rome?")]
    bound = model.bind_tools([get_weather])
    asked = bound.invoke(messages)
    result = get_weather.invoke(asked.tool_calls[0])
    answer = bound.invoke([*messages, asked, result])
    assert answer.tool_calls == []
    assert answer.content == "It is 21 degrees celsius in Rome."


def test_a_history_without_the_tool_call_is_refused(model):
    messages = [HumanMessage("hi"), ToolMessage("1", tool_call_id="x")]
    with pytest.raises(BadRequestError, match="role 'tool' must be a response"):
        model.invoke(messages)


class Person(BaseModel):
    """A person."""

    name: str = Field(description="the person's name")
    age: int
    mood: Literal["sad", "happy"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_filled_from_the_text(model, method):
    structured = model.with_structured_output(Person, method=method)
    person = structured.invoke("The woman called Ada is 36 and happy.")
    assert person == Person(name="Ada", age=36, mood="happy")


def test_follow_ups_use_the_conversation(model):
    messages = [
        SystemMessage(
            "You are helpful.\n\nContext:\nThe lake is 40 m deep. It is cold."
        ),
        HumanMessage("My name is Ada. How deep is the lake?"),
        AIMessage("The lake is 40 m deep."),
        HumanMessage("What is my name?"),
    ]
    assert model.invoke(messages).content == "My name is Ada."


def test_images_count_by_the_tile_rule(provider, model):
    def cost(size: tuple[int, int], detail: str) -> int:
        url = f"data:image/png;base64,{base64.b64encode(png(*size)).decode()}"
        part = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        model.invoke([HumanMessage([part])])
        return provider.invoice[-1].input_tokens

    base = cost((1, 1), "low") - 85
    assert cost((1024, 1024), "high") - base == 765
    assert cost((2048, 4096), "high") - base == 1105
    assert cost((4096, 8192), "low") - base == 85


def png(width: int, height: int) -> bytes:
    """Return the start of a picture: its size is all that is read."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
    )


async def test_the_async_client_streams(provider):
    async with AsyncOpenAI(base_url=provider.base_url, api_key="-") as client:
        stream = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Context: Up.\n\nQuestion: Up?"}],
            stream=True,
        )
        parts = [chunk.choices[0].delta.content async for chunk in stream]
    assert "".join(part or "" for part in parts)


def embeddings(provider: LocalProvider, **options: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=provider.base_url,
        api_key="-",
        check_embedding_ctx_length=False,
        **options,
    )


def test_embeddings_are_the_same_everywhere(provider):
    texts = ["What does global do?", "¿Qué?", "", "global"]
    first = embeddings(provider).embed_documents(texts)
    with LocalProvider(seed=5) as other:
        assert embeddings(other).embed_documents(texts) == first
    assert np.linalg.norm(first, axis=1) == pytest.approx([1.0] * 4)


def test_dimensions_and_formats(provider, client):
    assert len(embeddings(provider, dimensions=64).embed_query("x")) == 64
    both = [
        client.embeddings.create(
            model="text-embedding-3-small", input="x y", encoding_format=form
        )
        .data[0]
        .embedding
        for form in ("float", "base64")
    ]
    floats = both[0]
    packed = np.frombuffer(base64.b64decode(both[1]), dtype="<f4")
    assert packed == pytest.approx(floats)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [["x"]]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": [10**9]}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"input": "word " * 9000}, "input"),
    ],
)
def test_bad_inputs_name_the_parameter(provider, client, change, param):
    body = {"model": "text-embedding-3-small", "input": "x", **change}
    with pytest.raises(BadRequestError) as caught:
        client.embeddings.create(**body)
    assert caught.value.body["param"] == param
    assert provider.invoice == []


def test_an_embedder_of_ones_own(provider):
    def embedder(texts):
        return [[3.0, 4.0, 12.0] for _ in texts]

    with LocalProvider(embedder=embedder) as own:
        assert embeddings(own).embed_query("x") == [3.0, 4.0, 12.0]
        assert embeddings(own, dimensions=2).embed_query("x") == pytest.approx(
            [0.6, 0.8]
        )

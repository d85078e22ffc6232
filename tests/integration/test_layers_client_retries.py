"""With client retries off, a failed request reaches the provider once."""

from __future__ import annotations

from contextlib import aclosing

import httpx2 as httpx
import openai
import pytest
from langchain_openai import ChatOpenAI

from langchain_llmops import ModelLayer, with_layers
from langchain_llmops.models import without_client_retries
from langchain_llmops.testing import HttpFailure, ServerError


@pytest.fixture
def model(provider) -> ChatOpenAI:
    """A model as people make it, whose client retries twice."""
    provider.inject(ServerError(retry_after_s=0.001))
    return ChatOpenAI(model="gpt-4o", base_url=provider.base_url, api_key="-")


def test_left_alone_the_client_retries_even_when_the_field_says_no(
    provider, model
) -> None:
    with pytest.raises(openai.InternalServerError):
        model.model_copy(update={"max_retries": 0}).invoke("hi")
    assert len(provider.requests) == 3


@pytest.mark.parametrize("layers", [(), (ModelLayer(),)], ids=["bare", "layered"])
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_one_failed_call_is_one_request(provider, model, mode, layers) -> None:
    once = without_client_retries(with_layers(model, *layers))
    with pytest.raises(openai.InternalServerError):
        list(getattr(once, mode)("hi"))
    assert len(provider.requests) == 1


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_one_failed_async_call_is_one_request(provider, mode) -> None:
    provider.inject(ServerError(retry_after_s=0.001))
    async with httpx.AsyncClient() as client:
        once = without_client_retries(
            ChatOpenAI(
                model="gpt-4o",
                base_url=provider.base_url,
                api_key="-",
                http_async_client=client,
            )
        )
        with pytest.raises(openai.InternalServerError):
            await (once.ainvoke("hi") if mode == "ainvoke" else _first(once))
    assert len(provider.requests) == 1


async def _first(model) -> object:
    async with aclosing(model.astream("hi")) as chunks:
        return await anext(chunks)


def test_a_layer_that_retries_is_the_only_one_that_does(provider, model) -> None:
    class Thrice(ModelLayer):
        def generate(self, call, handler):
            for _ in range(2):
                try:
                    return handler(call)
                except openai.InternalServerError:
                    continue
            return handler(call)

    provider.clear_faults()
    provider.inject(HttpFailure(status=503, nth=[1, 2]))
    once = without_client_retries(with_layers(model, Thrice()))
    assert once.invoke("Context: Ada wrote it.\n\nQuestion: Who wrote it?").text
    assert len(provider.requests) == 3
    assert len(provider.invoice) == 1


def test_the_key_and_the_address_are_those_of_the_original(provider, model) -> None:
    provider.clear_faults()
    assert without_client_retries(model).invoke("hi").text

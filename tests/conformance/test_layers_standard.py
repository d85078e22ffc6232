"""LangChain's own suite for chat models, on a layered ChatOpenAI."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_llmops import ModelLayer, with_layers


class Through(ModelLayer):
    """A layer that does nothing, with each method its own."""

    def generate(self, call, handler):
        return handler(call)

    async def agenerate(self, call, handler):
        return await handler(call)

    def stream(self, call, handler):
        yield from handler(call)

    async def astream(self, call, handler):
        async for chunk in handler(call):
            yield chunk


LAYERED = type(with_layers(ChatOpenAI(model="gpt-4o", api_key="-"), Through()))


class TestLayeredChatOpenAI(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return LAYERED

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-4o", "api_key": "sk-test"}

    @pytest.fixture
    def snapshot(self) -> Any:
        """What the bare model is serialised to, in place of a stored file."""
        params = {**self.standard_chat_model_params, **self.chat_model_params}
        serialised = dumpd(ChatOpenAI(**params))
        return lambda *, name: serialised

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], Any]:
        return (
            {"OPENAI_API_KEY": "api_key", "OPENAI_ORG_ID": "org"},
            {},
            {"openai_api_key": "api_key", "openai_organization": "org"},
        )

"""LangChain's own suites for chat models, on a router over two ChatOpenAIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_llmops import ModelRouter
from langchain_llmops.routing.catalog import default_catalog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_llmops.testing import LocalProvider

default_catalog()  # list prices are read from disk, once

pytestmark = [
    # ChatOpenAI's own: it streams parsed objects through the client's models, and
    # sends pydantic v1 schemas as tools.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema"),
]


class Routed(ModelRouter):
    """A router that is made as the suites make models: from a ChatOpenAI's settings."""

    def __init__(self, **settings: Any) -> None:
        names = ("gpt-4o-mini", "gpt-4.1-mini")
        settings = {"api_key": "-", **settings}
        models = [ChatOpenAI(**{"model": name, **settings}) for name in names]
        super().__init__(models)


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[Routed]:
        return Routed

    @pytest.mark.xfail(reason="bind_tools gives a router, where others give a binding")
    def test_bind_tool_pydantic(self, model: Any, my_adder_tool: Any) -> None:
        super().test_bind_tool_pydantic(model, my_adder_tool)


class TestIntegration(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    async def _serve(self, provider: LocalProvider) -> AsyncIterator[None]:
        self.base_url = provider.base_url
        # The client that langchain-openai would share outlives each test's loop.
        async with httpx.AsyncClient() as self.http:
            yield

    @property
    def chat_model_class(self) -> type[Routed]:
        return Routed

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "http_async_client": self.http,
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

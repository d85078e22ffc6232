"""LangChain's own suite for chat models, on ChatOpenAI served by LocalProvider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_llmops.testing import LocalProvider

pytestmark = [
    # ChatOpenAI's own: it streams parsed objects through the client's models, and
    # sends pydantic v1 schemas as tools.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema"),
]


class TestLocalProvider(ChatModelIntegrationTests):
    """What passes here works with the provider as with OpenAI's."""

    @pytest.fixture(autouse=True)
    async def _serve(self, provider: LocalProvider) -> AsyncIterator[None]:
        self.base_url = provider.base_url
        # The client that langchain-openai would share outlives each test's loop.
        async with httpx.AsyncClient() as self.http:
            yield

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "gpt-4o-mini",
            "base_url": self.base_url,
            "api_key": "-",
            "http_async_client": self.http,
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "gpt-4.1-mini"

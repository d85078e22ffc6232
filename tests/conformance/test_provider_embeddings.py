"""LangChain's own suite for embeddings, on OpenAIEmbeddings served by LocalProvider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_llmops.testing import LocalProvider


class TestLocalProvider(EmbeddingsIntegrationTests):
    """What passes here works with the provider as with OpenAI's."""

    @pytest.fixture(autouse=True)
    async def _serve(self, provider: LocalProvider) -> AsyncIterator[None]:
        self.base_url = provider.base_url
        # The client that langchain-openai would share outlives each test's loop.
        async with httpx.AsyncClient() as self.http:
            yield

    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": "text-embedding-3-small",
            "base_url": self.base_url,
            "api_key": "-",
            "http_async_client": self.http,
            "check_embedding_ctx_length": False,
        }

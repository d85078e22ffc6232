"""CachedEmbeddings is an `Embeddings` to the letter, in front of OpenAI's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from langchain_llmops.caching import CachedEmbeddings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_llmops.testing import LocalProvider


class TestCachedEmbeddings(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[CachedEmbeddings]:
        return CachedEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"embeddings": DeterministicFakeEmbedding(size=8)}


class TestCachedOpenAIEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[CachedEmbeddings]:
        return CachedEmbeddings

    @pytest.fixture
    async def model(self, provider: LocalProvider) -> AsyncIterator[CachedEmbeddings]:
        async with DefaultAsyncHttpxClient() as http:
            openai = OpenAIEmbeddings(
                model="text-embedding-3-small",
                base_url=provider.base_url,
                api_key=SecretStr("local"),
                http_async_client=http,
                # Texts go as they are: cutting them would need a rank file.
                check_embedding_ctx_length=False,
            )
            yield CachedEmbeddings(openai)

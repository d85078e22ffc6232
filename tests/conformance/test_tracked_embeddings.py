"""TrackedEmbeddings is an `Embeddings` to the letter, around OpenAI's and a fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from langchain_llmops import CostCallbackHandler, TrackedEmbeddings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_llmops.testing import LocalProvider


class TestTrackedEmbeddings(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[TrackedEmbeddings]:
        return TrackedEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "embeddings": DeterministicFakeEmbedding(size=8),
            "tracker": CostCallbackHandler(),
        }


class TestTrackedOpenAIEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[TrackedEmbeddings]:
        return TrackedEmbeddings

    @pytest.fixture
    async def model(self, provider: LocalProvider) -> AsyncIterator[TrackedEmbeddings]:
        async with DefaultAsyncHttpxClient() as http:
            openai = OpenAIEmbeddings(
                model="text-embedding-3-small",
                base_url=provider.base_url,
                api_key=SecretStr("local"),
                http_async_client=http,
                # Texts go as they are: cutting them would need a rank file.
                check_embedding_ctx_length=False,
            )
            yield TrackedEmbeddings(openai, CostCallbackHandler())

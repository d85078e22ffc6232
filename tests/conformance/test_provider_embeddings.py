"""LangChain's own suite for embeddings, on OpenAIEmbeddings served by LocalProvider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

if TYPE_CHECKING:
    from langchain_llmops.testing import LocalProvider


class TestLocalProvider(EmbeddingsIntegrationTests):
    """What passes here works with the provider as with OpenAI's."""

    @pytest.fixture(autouse=True)
    def _serve(self, provider: LocalProvider) -> None:
        self.base_url = provider.base_url

    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": "text-embedding-3-small",
            "base_url": self.base_url,
            "api_key": "-",
            "check_embedding_ctx_length": False,
        }

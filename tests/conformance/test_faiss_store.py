"""LangChain's own vector-store suite on FaissStore: 25 checks, none overridden."""

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from langchain_llmops.retrieval import FaissStore


class TestFaissStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> VectorStore:
        return FaissStore(self.get_embeddings())

"""LangChain's own retriever suite on ThresholdRetriever, none overridden."""

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_llmops.retrieval import FaissStore, ThresholdRetriever

STORES = {"FaissStore": FaissStore, "InMemoryVectorStore": InMemoryVectorStore}


class TestThresholdRetriever(RetrieversIntegrationTests):
    @pytest.fixture(params=STORES)
    def store(self, request):
        store = STORES[request.param](DeterministicFakeEmbedding(size=16))
        store.add_texts([f"text {number}" for number in range(8)])
        return store

    @pytest.fixture(autouse=True)
    def _give(self, store):
        type(self).params = {"vectorstore": store, "threshold": -1.0}

    @property
    def retriever_constructor(self):
        return ThresholdRetriever

    @property
    def retriever_constructor_params(self):
        return self.params

    @property
    def retriever_query_example(self):
        return "text 3"

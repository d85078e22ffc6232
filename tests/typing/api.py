"""Only type-checked, never run: the public signatures as users write them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import assert_type

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.vectorstores import VectorStore
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    Budget,
    BudgetLayer,
    CacheLayer,
    Candidate,
    CostAnalyzer,
    CostCallbackHandler,
    FailoverPolicy,
    FaissStore,
    MemoryTier,
    ModelCall,
    ModelLayer,
    ModelRouter,
    SemanticCache,
    SQLiteTier,
    ThresholdRetriever,
    TieredCache,
    TokenCounter,
    TokenTextSplitter,
    TrackedEmbeddings,
    UsageLedger,
    track_costs,
    with_layers,
)
from langchain_llmops.caching import Calibration
from langchain_llmops.models import StreamHandler, without_client_retries
from langchain_llmops.pricing import price
from langchain_llmops.testing import LocalProvider


class Loud(ModelLayer):
    def stream(
        self, call: ModelCall, handler: StreamHandler
    ) -> Iterator[ChatGenerationChunk]:
        yield from handler(call)


def layers_keep_the_type(model: ChatOpenAI, embeddings: Embeddings) -> None:
    tiers = TieredCache([MemoryTier(max_entries=10), SQLiteTier("cache.db")])
    cache = SemanticCache(embeddings, threshold=0.95, tier=tiers)
    assert_type(with_layers(model, Loud(), CacheLayer(cache)), ChatOpenAI)
    assert_type(without_client_retries(model), ChatOpenAI)


def counting() -> None:
    counter = TokenCounter("gpt-4o")
    assert_type(counter.count("text"), int)
    assert_type(counter.count_messages([HumanMessage("hi")]), int)
    assert_type(counter.exact, bool)
    assert_type(counter.running().total, int)


def costs() -> None:
    report = CostCallbackHandler().report()
    assert_type(report.usd, Decimal)
    assert_type(report.by_model["gpt-4o"].calls, int)
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    assert_type(price("gpt-4o", usage), Decimal | None)

    with UsageLedger() as ledger, track_costs(ledger) as tracked:
        assert_type(tracked, CostCallbackHandler)
        assert_type(CostAnalyzer(ledger).analyze(by=("feature",)).total.usd, Decimal)


def budgets(model: ChatOpenAI) -> None:
    budget = Budget(limit_usd="0.5", window="day")
    assert_type(with_layers(model, BudgetLayer(budget)), ChatOpenAI)
    assert_type(budget.pressure({"tenant": "acme"}), float)


def embeddings_are_embeddings(model: Embeddings) -> Embeddings:
    return TrackedEmbeddings(model, CostCallbackHandler())


def calibrating(cache: SemanticCache) -> None:
    found = cache.calibrate([("one", "other", True)])
    assert_type(found, Calibration)
    assert_type(found.to_json(), str)
    assert_type(cache.same("one", "other"), bool)


def routing(cheap: ChatOpenAI, strong: ChatOpenAI) -> BaseChatModel:
    tiers = FailoverPolicy(tiers=["standard", "spare"], deadline_s=30)
    router = ModelRouter([cheap, Candidate(strong, tier="spare")], failover=tiers)
    assert_type(with_layers(router, Loud()), ModelRouter)
    return router


def splitting() -> None:
    assert_type(TokenTextSplitter(chunk_size=100).split_text("text"), list[str])


def retrieval(embeddings: Embeddings) -> VectorStore:
    store = FaissStore(embeddings, index="hnsw")
    found = ThresholdRetriever(store, threshold=0.8).invoke("question")
    assert_type(found, list[Document])
    return store


def provider() -> None:
    with LocalProvider() as running:
        assert_type(running.base_url, str)
        for row in running.invoice:
            assert_type(row.output_tokens, int)

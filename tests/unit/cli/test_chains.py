"""The chain under test: what it searches, sends, and how its two versions differ."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_llmops.cli.demo.chains import (
    calibrated_lines,
    changed_lines,
    context,
    rag_chain,
)
from langchain_llmops.retrieval import FaissStore


class Store(FaissStore):
    def __init__(self):
        super().__init__(DeterministicFakeEmbedding(size=8))
        self.searched = []

    async def asimilarity_search(self, query, k=4, **kwargs):
        self.searched.append(query)
        return await super().asimilarity_search(query, k, **kwargs)


@pytest.fixture
def store():
    store = Store()
    store.add_texts(
        [f"text {n}" for n in range(9)],
        [{"topic": "t"} for _ in range(9)],
        ids=[f"t#{n}" for n in range(9)],
    )
    return store


async def ask(store, question, turns=()):
    prompts = []
    chain = rag_chain(RunnableLambda(lambda p: prompts.append(p) or "yes"), store)
    answer = await chain.ainvoke({"question": question, "turns": list(turns)})
    return answer, prompts[0].to_messages()


async def test_the_prompt_holds_context_earlier_turns_and_question(store):
    turns = [HumanMessage("What is t?"), AIMessage("A letter.")]
    answer, (system, *earlier, human) = await ask(store, "And u?", turns)
    assert answer == "yes"
    assert system.text.count("[t]\n\ntext ") == 4
    assert earlier == turns
    assert human.text == "And u?"


async def test_a_later_turn_is_searched_with_the_one_before(store):
    await ask(store, "And u?", [HumanMessage("What is t?"), AIMessage("A letter.")])
    await ask(store, "What is t?")
    assert store.searched == ["What is t?\nAnd u?", "What is t?"]


def test_the_same_evidence_reads_the_same_in_any_order():
    documents = [
        Document(f"text {n}", id=f"t#{n}", metadata={"topic": "t"}) for n in range(3)
    ]
    assert context(documents) == context(documents[::-1])
    assert context(documents).startswith("[t]\n\ntext 0\n\n[t]\n\ntext 1")


def test_shadow_mode_takes_four_statements_and_serving_two_more():
    embeddings, tiers, cache, model = changed_lines()
    assert embeddings == "embeddings = CachedEmbeddings(embeddings)"
    assert tiers.startswith("tiers = TieredCache(")
    assert "mode='shadow'" in cache
    assert model == "model = with_layers(model, CacheLayer(cache))"
    cache, calibrate = calibrated_lines()
    assert "max_false_hit_rate=" in cache
    assert calibrate == "cache.calibrate(pairs)"

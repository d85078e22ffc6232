"""Ranking with embeddings: what they add, what they cost, and when they fail."""

from __future__ import annotations

import logging

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmops import WindowPolicy
from langchain_llmops.memory import WindowIndex


class Meanings(Embeddings):
    """Two meanings, animals and weather; counts the texts that it embeds."""

    def __init__(self):
        self.seen = []
        self.broken = False

    def embed_documents(self, texts):
        if self.broken:
            raise ConnectionError("no embeddings today")
        self.seen += texts
        return [[1.0, 0.1] if self._animal(text) else [0.1, 1.0] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]

    @staticmethod
    def _animal(text):
        return any(word in text for word in ("kitten", "pet"))


@pytest.fixture
def embeddings():
    return Meanings()


@pytest.fixture
def messages():
    small = [f"A calm day by the sea, number {n}." for n in range(60)]
    texts = ["I got a kitten, Ada.", "Nice.", *small, "Do I own a pet?"]
    return [(AIMessage if n % 2 else HumanMessage)(t) for n, t in enumerate(texts)]


async def test_meaning_finds_what_words_do_not(messages, embeddings):
    hybrid = WindowPolicy(70, keep_last=0, ranker="hybrid", embeddings=embeddings)
    words = WindowPolicy(70, keep_last=0)
    assert messages[0] in hybrid.select(messages)
    assert messages[0] in await hybrid.aselect(messages)
    assert messages[0] not in words.select(messages)


async def test_with_an_index_each_message_is_embedded_once(messages, embeddings):
    policy = WindowPolicy(70, ranker="hybrid", embeddings=embeddings)
    index = WindowIndex()
    policy.select(messages[:40], index=index)
    await policy.aselect(messages, index=index)
    assert embeddings.seen.count("A calm day by the sea, number 7.") == 1


async def test_embeddings_that_fail_leave_ranking_to_words(
    messages, embeddings, caplog
):
    embeddings.broken = True
    policy = WindowPolicy(70, keep_last=0, ranker="hybrid", embeddings=embeddings)
    with caplog.at_level(logging.WARNING):
        window = policy.select(messages, "the kitten?")
        assert await policy.aselect(messages, "the kitten?") == window
    assert messages[0] in window
    assert len(caplog.records) == 1

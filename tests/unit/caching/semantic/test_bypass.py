"""Which calls of a model the semantic step is left out of, through `CacheLayer`."""

from __future__ import annotations

import re
import zlib

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmops import CachedEmbeddings, CacheLayer, SemanticCache, with_layers

ASKED = "How do I sort a list of numbers in Python?"
ALIKE = "In Python, how do I sort a list of numbers?"
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
CALL = AIMessage("", tool_calls=[{"name": "look_up", "args": {}, "id": "call-1"}])


class Words(Embeddings):
    """Questions are as near as they share words; remembers what it embedded."""

    def __init__(self, model="words"):
        self.model = model
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        vector = [0.0] * 512
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 512] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def cache():
    return SemanticCache(Words())


def kinds(model, one, other, **kwargs):
    """How the same request, and then another wording, are answered the second time."""
    model.invoke(one, **kwargs)
    again = model.invoke(one, **kwargs)
    alike = model.invoke(other, **kwargs)
    return [m.response_metadata.get("cache", {}).get("kind") for m in (again, alike)]


def image(text):
    url = {"url": "data:image/png;base64,AAAA"}
    return [HumanMessage([{"type": "text", "text": text}, {"image_url": url}])]


def after_a_tool(text):
    return [HumanMessage(text), CALL, ToolMessage("42", tool_call_id="call-1")]


@pytest.mark.parametrize(
    ("fields", "kwargs", "turn"),
    [
        ({}, {"tools": [TOOL]}, str),
        ({}, {"functions": [TOOL["function"]]}, str),
        ({"temperature": 1.5}, {}, str),
        ({}, {"temperature": 1.5}, str),
        ({"n": 2}, {}, str),
        ({}, {"n": 2}, str),
        ({}, {}, image),
        ({}, {}, after_a_tool),
        ({}, {}, lambda text: [HumanMessage(text), AIMessage("Well,")]),
        ({}, {}, lambda text: [HumanMessage([{"type": "text", "text": ""}])]),
    ],
    ids=[
        *("tools", "functions", "hot-field", "hot-argument", "n-field", "n-argument"),
        *("image", "tool-result", "prefill", "empty"),
    ],
)
def test_such_calls_only_hit_exactly_and_embed_nothing(
    cache, counting, fields, kwargs, turn
):
    model = with_layers(counting("answer", **fields), CacheLayer(cache))
    if turn("a") == turn("b"):  # the empty turn: there is no other wording
        assert kinds(model, turn(ASKED), turn(ALIKE), **kwargs) == ["exact", "exact"]
    else:
        assert kinds(model, turn(ASKED), turn(ALIKE), **kwargs) == ["exact", None]
    assert cache._embedder._embeddings.asked == []
    assert cache.stats().bypassed > 0


def test_a_plain_turn_after_tool_calls_may_share_an_answer(cache, counting):
    model = with_layers(counting("answer"), CacheLayer(cache))
    earlier = [*after_a_tool("What is the answer?"), AIMessage("It is 42.")]
    one, other = ([*earlier, HumanMessage(text)] for text in (ASKED, ALIKE))
    assert kinds(model, one, other) == ["exact", "semantic"]
    assert model.invoke(ALIKE).response_metadata.get("cache") is None


def test_a_hot_call_does_not_get_the_answer_of_a_cool_one(cache, counting):
    model = with_layers(counting("answer"), CacheLayer(cache))
    model.invoke(ASKED)
    assert "cache" not in model.invoke(ALIKE, temperature=1.5).response_metadata
    assert "cache" not in model.invoke(ALIKE, temperature=0.5).response_metadata


def test_vectors_are_told_apart_by_the_model_inside_a_wrapper(tmp_path):
    entries = []
    for model in ("one", "two", "one"):
        embeddings = CachedEmbeddings(Words(model), namespace="test")
        cache = SemanticCache(embeddings, path=tmp_path / "questions.db")
        entries.append(cache.stats().entries)
        cache._questions.add("p", f"key of {model}", ASKED, cache._embedder.embed("a"))
        cache.close()
    assert entries == [0, 0, 1]

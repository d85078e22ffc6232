from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_openai import OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr

from langchain_llmops.caching.embeddings.keys import embedding_keys
from langchain_llmops.errors import ConfigurationError


class Plain(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[0.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return [0.0]


class Fields(BaseModel, Plain):
    model: str = "m"
    handle: Any = None
    session: Any = Field(default=None, exclude=True)


class Wrapper(BaseModel, Plain):
    inner: Any


def key_of(
    embeddings: Embeddings, text: str = "t", kind: Any = "document", **options: Any
) -> str:
    return embedding_keys(embeddings, kind=kind, **{"namespace": None, **options})(text)


def openai(**fields: Any) -> OpenAIEmbeddings:
    fields = {"api_key": SecretStr("k"), "base_url": "http://localhost/v1", **fields}
    return OpenAIEmbeddings(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "text-embedding-3-large"},
        {"dimensions": 64},
        {"base_url": "http://elsewhere/v1"},
        {"model_kwargs": {"user": "u"}},
    ],
)
def test_what_changes_an_embedding_changes_the_key(fields: dict[str, Any]):
    assert key_of(openai(**fields)) != key_of(openai())


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": SecretStr("other")},
        {"chunk_size": 5},
        {"max_retries": 9},
        {"timeout": 3},
        {"show_progress_bar": True},
        {"default_headers": {"x-trace": "1"}},
    ],
)
def test_what_only_reaches_the_transport_does_not(fields: dict[str, Any]):
    assert key_of(openai(**fields)) == key_of(openai())


def test_settings_count_as_they_are_now():
    model = DeterministicFakeEmbedding(size=8)
    before = key_of(model)
    model.size = 9
    assert key_of(model) != before


def test_kind_class_and_namespace_count():
    keys = [
        key_of(Fields()),
        key_of(Fields(), kind="query"),
        key_of(Fields(), namespace="n"),
        key_of(Plain(), namespace="n"),
        key_of(Plain(), namespace="n2"),
        key_of(DeterministicFakeEmbedding(size=1)),
    ]
    assert len(set(keys)) == len(keys)


TEXTS = st.text(st.characters())


@given(TEXTS, TEXTS)
def test_texts_share_a_key_only_if_they_are_the_same(one: str, other: str):
    assert (key_of(Fields(), one) == key_of(Fields(), other)) == (one == other)


def test_a_plain_class_needs_a_name():
    with pytest.raises(ConfigurationError, match=r"Plain .*namespace="):
        key_of(Plain())


def test_a_setting_that_cannot_be_read_needs_a_name():
    opaque = Fields(handle=object())
    with pytest.raises(ConfigurationError, match=r"handle: .*namespace="):
        key_of(opaque)
    assert key_of(opaque, namespace="n") == key_of(Fields(handle=len), namespace="n")
    assert key_of(Fields(session=object())) == key_of(Fields())


def test_the_model_inside_a_wrapper_counts():
    small, large = (Wrapper(inner=openai(dimensions=size)) for size in (64, 128))
    assert key_of(small) != key_of(large)
    with pytest.raises(ConfigurationError, match="Plain"):
        key_of(Wrapper(inner=Plain()))

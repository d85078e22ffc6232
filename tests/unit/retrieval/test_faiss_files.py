"""Saving and loading: whole or not at all, no pickle, damage is named."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.retrieval import FaissStore


@pytest.fixture
def store(embeddings):
    store = FaissStore(embeddings)
    store.add_texts(["1 0 é", "0 1"], [{"n": [1, None]}, {}], ids=["a", "b"])
    return store


def test_a_loaded_store_finds_the_same_and_goes_on(store, embeddings, tmp_path):
    store.delete(["b"])
    store.add_texts(["1 1"], ids=["c"])
    store.save(tmp_path / "new" / "folder")
    loaded = FaissStore.load(tmp_path / "new" / "folder", embeddings)
    before = store.similarity_search_with_score("1 0", k=5)
    assert loaded.similarity_search_with_score("1 0", k=5) == before
    assert loaded.get_by_ids(["a"]) == [
        Document("1 0 é", id="a", metadata={"n": [1, None]})
    ]
    loaded.add_texts(["0 1 again"], ids=["a"])
    assert {d.id for d in loaded.similarity_search("1 0", k=5)} == {"a", "c"}
    with pytest.raises(ConfigurationError, match="3 dimensions"):
        loaded.similarity_search("1 0 0")


def test_an_empty_store_survives(embeddings, tmp_path):
    FaissStore(embeddings).save(tmp_path)
    loaded = FaissStore.load(tmp_path, embeddings)
    assert loaded.similarity_search("1 0") == []
    loaded.add_texts(["1 0 0"])
    assert len(loaded.similarity_search("1 0 0")) == 1


def test_saving_again_replaces_the_old_files(store, tmp_path):
    store.save(tmp_path)
    store.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_pickled(store, tmp_path):
    store.save(tmp_path)
    page = json.loads((tmp_path / "store.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in page["documents"]] == ["a", "b"]
    assert (tmp_path / page["vectors"]).read_bytes().startswith(b"IxFI")


def test_a_full_disk_keeps_the_saved_store(store, embeddings, tmp_path, monkeypatch):
    store.save(tmp_path)
    kept = sorted(tmp_path.iterdir())
    store.add_texts(["1 1"], ids=["late"])

    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match=r"No space left on device.*free some space"):
        store.save(tmp_path)
    assert sorted(tmp_path.iterdir()) == kept
    assert FaissStore.load(tmp_path, embeddings).get_by_ids(["late"]) == []


def test_metadata_that_json_cannot_hold_are_named(store, tmp_path):
    store.add_documents([Document("1 0", id="odd", metadata={"x": object()})])
    with pytest.raises(ConfigurationError, match="document 'odd' cannot be saved"):
        store.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_store_is_said_to_be_missing(embeddings, tmp_path):
    with pytest.raises(StorageError, match="there is no vector store"):
        FaissStore.load(tmp_path, embeddings)


@pytest.mark.parametrize("damage", ["page", "vectors", "format", "row", "cut"])
def test_damage_is_found_before_use(store, embeddings, tmp_path, damage):
    store.save(tmp_path)
    page = tmp_path / "store.json"
    content = json.loads(page.read_text(encoding="utf-8"))
    vectors = tmp_path / content["vectors"]
    if damage == "page":
        page.write_text("{", encoding="utf-8")
    elif damage == "vectors":
        vectors.write_bytes(vectors.read_bytes()[:-1] + b"!")
    elif damage == "cut":
        vectors.write_bytes(b"")
    else:
        changed = {"format": {"format": 9}, "row": {"documents": [{"id": "a"}]}}
        page.write_text(json.dumps(content | changed[damage]), encoding="utf-8")
    with pytest.raises(StorageError, match=r"cannot be read.*delete the folder"):
        FaissStore.load(tmp_path, embeddings)

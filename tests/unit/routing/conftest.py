"""What the routing tests share: candidates made in a line, an embedding model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import FakeListChatModel

from langchain_llmops.pricing import UsdPerMillion
from langchain_llmops.routing import Candidate, ModelCatalog

if TYPE_CHECKING:
    from collections.abc import Callable

CATALOG = ModelCatalog()


class LetterEmbeddings(Embeddings):
    """Count letters: texts that share them are near."""

    model = "letters"

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.error: Exception | None = None

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.error is not None:
            raise self.error
        self.calls.append(len(texts))
        letters = "abcdefghijklmnop"
        return [[1.0, *(float(text.count(each)) for each in letters)] for text in texts]


@pytest.fixture(scope="session")
def make() -> Callable[..., Candidate]:
    def candidate(
        name: str, usd: float | None = None, profile: Any = None, **fields: Any
    ) -> Candidate:
        model = FakeListChatModel(responses=["yes"], profile=profile)
        prices = None if usd is None else UsdPerMillion(input=usd, output=usd)
        return Candidate(model, name=name, prices=prices, catalog=CATALOG, **fields)

    return candidate


@pytest.fixture
def embeddings() -> LetterEmbeddings:
    return LetterEmbeddings()


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Prompts about pigs are easy, those about moons need the strong model."""
    easy = [
        {"prompt": f"a big pig {n} fed", "weak": True, "strong": True}
        for n in range(40)
    ]
    hard = [
        {"prompt": f"no moon {n} on loop", "weak": False, "strong": True}
        for n in range(40)
    ]
    return easy + hard

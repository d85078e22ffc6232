"""Embeddings whose vectors a test can read: the text itself says where it points."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.embeddings import Embeddings


class SpelledVectors(Embeddings):
    """Embeds "3 4 hello" as [3.0, 4.0]: leading numbers are the vector."""

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.sync_calls = 0
        self.async_calls = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.sync_calls += 1
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.sync_calls += 1
        return self._vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.async_calls += 1
        self.embedded += texts
        await asyncio.sleep(0)
        return [self._vector(text) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        self.async_calls += 1
        return self._vector(text)

    @staticmethod
    def _vector(text: str) -> list[float]:
        numbers = []
        for word in text.split():
            try:
                numbers.append(float(word))
            except ValueError:
                break
        return numbers


@pytest.fixture
def embeddings() -> SpelledVectors:
    return SpelledVectors()

"""The second arm: shadow mode first, then labels, then serving."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeAlias

from langchain_llmops.cli.demo import chains
from langchain_llmops.cli.demo.shadow import ShadowReport, label, report

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings

    from langchain_llmops.caching import Calibration, SemanticCache
    from langchain_llmops.cli.demo.endpoints import Endpoint
    from langchain_llmops.cli.demo.questions import Question

    Part: TypeAlias = tuple[chains.Chain, Sequence[Question]]

__all__ = ["SHADOW_SHARE", "Cached", "Part"]

SHADOW_SHARE: Final = 2 / 3
"""Share of the log that is asked in shadow mode."""


class Cached:
    """Introduce a semantic cache as one should: look, label, calibrate, serve.

    Args:
        documents: Where the documents were saved.
        path: The cache's SQLite file.
    """

    def __init__(self, documents: Path, path: Path) -> None:
        self._documents = documents
        self._path = path
        self._shadow: SemanticCache | None = None
        self._shadowed: Sequence[Question] = ()
        self._calibration: Calibration | None = None

    def parts(
        self, endpoint: Endpoint, embeddings: Embeddings, questions: Sequence[Question]
    ) -> Generator[Part]:
        """Yield the chain for the earlier part of the log, then that for the rest.

        Each chain must have answered its part before the next one is asked for.
        """
        places = (endpoint.chat, embeddings, self._documents, self._path)
        cut = round(SHADOW_SHARE * len(questions))
        chain, self._shadow = chains.shadowed(*places)
        with closing(self._shadow):
            self._shadowed = questions[:cut]
            yield chain, self._shadowed
            pairs = label(self._shadow.shadow_hits(), questions)
            if not pairs:  # nothing to calibrate on: shadow mode goes on
                self._shadowed = questions
                yield chain, questions[cut:]
                return
        chain, cache = chains.calibrated(*places, pairs)
        with closing(cache):
            self._calibration = cache.stats().calibration
            yield chain, questions[cut:]

    def report(self) -> ShadowReport:
        """Return what shadow mode showed, and what the calibration proved."""
        hits = self._shadow.shadow_hits() if self._shadow else ()
        return report(hits, self._shadowed, calibration=self._calibration)

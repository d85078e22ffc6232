"""Knowledge base: one document changes, and what was told before is told no more."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from langchain_core.documents import Document
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops.caching import CacheLayer, MemoryTier, TieredCache
from langchain_llmops.cli.demo.chains import rag_chain
from langchain_llmops.cli.demo.chapter import Chapter, sample
from langchain_llmops.cli.demo.endpoints import open_endpoint
from langchain_llmops.cli.demo.results import Figure
from langchain_llmops.knowledge import KnowledgeBaseSync
from langchain_llmops.models import with_layers
from langchain_llmops.retrieval import FaissStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from langchain_llmops.cli.demo.chains import Chain
    from langchain_llmops.cli.demo.chapter import Stage
    from langchain_llmops.cli.demo.endpoints import Endpoint
    from langchain_llmops.cli.demo.results import Unit, Value
    from langchain_llmops.cli.demo.turns import Turn
    from langchain_llmops.knowledge import VersionSwitch

__all__ = ["Edit", "find_edit", "knowledge_chapter"]

_TITLE: Final = "Knowledge base: a document changes"
_NAME: Final = "demo"
_TAG: Final = f"kb:{_NAME}"
_REGION: Final = "here"
_ASKED: Final = 10
_ADDED: Final = ", says the new edition."
_SENTENCE: Final = re.compile(r"\S.{24,}?\.(?=\s|$)")
"""Long enough to stand in one place only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A sentence of one document that will read otherwise.

    Args:
        before: What it says.
        after: What it will say.
        document: The document that says it, after the change.
    """

    before: str
    after: str
    document: Document

    def applied(self, documents: Iterable[Document]) -> list[Document]:
        """Return documents with the changed one in its place."""
        return [
            self.document if one.id == self.document.id else one for one in documents
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one version of the documents took, and what is answered from it.

    Args:
        written: Documents that were written for it.
        embedded: Tokens that were embedded for it, as billed.
        turns: Questions that were asked before, asked again.
    """

    written: int
    embedded: int
    turns: Sequence[Turn]

    def saying(self, sentence: str) -> int:
        """Count the answers that say a sentence."""
        return sum(sentence in turn.answer for turn in self.turns)


def knowledge_chapter(stage: Stage) -> Chapter:
    """Ask, change one of the documents that was quoted, and ask again.

    Args:
        stage: What to work with; the provider is local.
    """
    with (
        open_endpoint(stage.settings, at_once=True) as endpoint,
        closing(_Desk(stage, endpoint)) as desk,
    ):
        written, embedded = desk.sync(stage.chunks)
        first = desk.ask()
        edit = find_edit(first, stage.chunks)
        if edit is None:
            why = "Skipped: no answer quotes a whole sentence of a document."
            return Chapter.left_out("knowledge", _TITLE, why)
        old = _Seen(written=written, embedded=embedded, turns=desk.ask())
        written, embedded = desk.sync(edit.applied(stage.chunks))
        new = _Seen(written=written, embedded=embedded, turns=desk.ask())
    return _chapter(old, new, edit)


def find_edit(turns: Iterable[Turn], documents: Sequence[Document]) -> Edit | None:
    """Find a sentence that an answer quotes from exactly one document.

    Args:
        turns: Questions with their answers.
        documents: Where the answers come from; each has an id.

    Returns:
        How that document is to be changed; `None` if no answer quotes one so.
    """
    for turn in turns:
        quoted = _SENTENCE.match(turn.answer) if turn.error is None else None
        if quoted is None:
            continue
        before = quoted[0]
        found = list(_places(before, documents))
        if len(found) == 1:
            ((document, (start, end)),) = found
            text, after = document.page_content, before[:-1] + _ADDED
            changed = Document(
                text[:start] + after + text[end:],
                id=document.id,
                metadata=document.metadata,
            )
            return Edit(before=before, after=after, document=changed)
    return None


def _places(
    sentence: str, documents: Iterable[Document]
) -> Iterator[tuple[Document, tuple[int, int]]]:
    """Yield where a sentence stands, whatever its line breaks there."""
    pattern = re.compile(r"\s+".join(map(re.escape, sentence.split())))
    for document in documents:
        for found in pattern.finditer(document.page_content):
            yield document, found.span()


class _Desk:
    """The knowledge base, a cache in front of the model, and the questions."""

    def __init__(self, stage: Stage, endpoint: Endpoint) -> None:
        self._stage = stage
        self._endpoint = endpoint
        self._asked = sample(stage.questions, _ASKED)
        self._cache = TieredCache([MemoryTier()])
        embeddings = OpenAIEmbeddings(**endpoint.embeddings)
        self._base = KnowledgeBaseSync(
            {_REGION: FaissStore(embeddings)},
            manifest=f"sqlite:///{stage.folder / 'knowledge.db'}",
            embeddings=embeddings,
            name=_NAME,
            on_switch=self._forget,
        )

    def close(self) -> None:
        """Close what has files or connections."""
        self._base.close()
        self._cache.close()

    def sync(self, documents: Iterable[Document]) -> tuple[int, int]:
        """Bring the store to these documents.

        Returns:
            Documents that were written, and tokens that were embedded.
        """
        before = self._embedded()
        with self._base.plan(documents) as changes:
            report = self._base.apply(changes)
        return report.written, self._embedded() - before

    def ask(self) -> list[Turn]:
        """Ask the questions."""
        return self._stage.ask(self._stage.arm("knowledge"), self._chain(), self._asked)

    def _forget(self, switch: VersionSwitch) -> None:
        self._cache.invalidate([f"kb:{switch.name}"])

    def _chain(self) -> Chain:
        model = with_layers(ChatOpenAI(**self._endpoint.chat), CacheLayer(self._cache))
        reader = self._base.reader(_REGION)
        return rag_chain(model, reader).with_config(configurable={"cache_tags": [_TAG]})

    def _embedded(self) -> int:
        _, embedded = self._endpoint.invoice()
        return embedded.input_tokens if embedded else 0


def _chapter(old: _Seen, new: _Seen, edit: Edit) -> Chapter:
    def line(
        key: str, label: str, unit: Unit, value: Callable[[_Seen], Value]
    ) -> Figure:
        return Figure(
            key=key, label=label, unit=unit, before=value(old), after=value(new)
        )

    return Chapter(
        key="knowledge",
        title=_TITLE,
        columns=("at first", "changed"),
        figures=(
            line("written", "Chunks written", "count", lambda one: one.written),
            line("embedded", "Tokens embedded", "count", lambda one: one.embedded),
            line("asked", "Questions asked again", "count", lambda o: len(o.turns)),
            line("cached", "Answers from the cache", "count", _cached),
            line(
                "old_sentence",
                "Answers with the old sentence",
                "count",
                lambda one: one.saying(edit.before),
            ),
            line(
                "new_sentence",
                "Answers with the new sentence",
                "count",
                lambda one: one.saying(edit.after),
            ),
        ),
        note=(
            "One sentence that an answer quotes was changed. The sync embedded that "
            f"chunk alone and switched readers to the new version; its callback made "
            f"all cached answers with the tag {_TAG} invalid. The tag stands for the "
            "whole knowledge base, so answers that did not change were asked for "
            "again, too."
        ),
    )


def _cached(seen: _Seen) -> int:
    return sum(turn.source == "exact" for turn in seen.turns)

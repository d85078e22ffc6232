"""TokenTextSplitter: chunks with a limit in tokens, cut where the text allows it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from langchain_text_splitters import TextSplitter

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.counter import TokenCounter
from langchain_llmops.tokens.cuts import spans
from langchain_llmops.tokens.meaning import Meaning, passages
from langchain_llmops.tokens.structure import Structure
from langchain_llmops.tokens.token_map import token_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.embeddings import Embeddings

    from langchain_llmops.tokens.cuts import Borders

__all__ = ["TokenTextSplitter"]

_SLACK, _SLACK_FOR_MEANING = 0.015, 0.25


class TokenTextSplitter(TextSplitter):
    r"""Splits text into chunks of at most so many tokens, without losing a character.

    ```python
    from langchain_llmops import TokenTextSplitter

    splitter = TokenTextSplitter(chunk_size=12)
    text = "# Tea\n\nGreen tea steeps for two minutes. Black tea takes four.\n"
    chunks = splitter.split_text(text)
    assert "".join(chunks) == text
    assert chunks[1] == "Black tea takes four.\n"
    ```

    No chunk has more tokens than the limit, by the counter's own count. Chunks end,
    the best first, before a heading, after a paragraph, between list items or lines,
    after a sentence, a comma or a word; blocks of code and tables are cut only where
    nothing else is near; characters as readers see them (`é`, flags, families of emoji)
    stay whole unless one alone is over the limit. White space is kept: without overlap
    the chunks, joined, are the text.

    The fewest chunks that can hold the text come first: `slack` says how many more
    are worth it for better borders. Takes 50 ms per MB, nearly all of it the encoding.
    Safe across threads and event loops; the async methods work on another thread.

    Args:
        chunk_size: Tokens that a chunk may have. From 4 on every character fits.
        chunk_overlap: Tokens that a chunk may repeat of the one before; whole
            sentences, or else words.
        counter: Counts tokens; those of `gpt-4o` by default.
        slack: Share of the tokens that may be given up for better borders: 0.1 makes
            some 10 % more chunks than the fewest. By default 0.015, with embeddings
            0.25.
        embeddings: Where given, chunks end where the subject changes: between the
            two sentences that are least alike. Each sentence is embedded once.
        add_start_index: Whether documents get `start_index`, their first character's
            place in the text, into their metadata.

    Raises:
        ConfigurationError: A size, an overlap or a slack that cannot be.
    """

    def __init__(
        self,
        chunk_size: int = 512,
        chunk_overlap: int = 0,
        *,
        counter: TokenCounter | None = None,
        slack: float | None = None,
        embeddings: Embeddings | None = None,
        add_start_index: bool = False,
    ) -> None:
        if chunk_size < 1:
            raise ConfigurationError(f"chunk_size={chunk_size!r} must be at least 1")
        if not 0 <= chunk_overlap < chunk_size:
            raise ConfigurationError(
                f"chunk_overlap={chunk_overlap!r} must be at least 0 and below "
                f"chunk_size={chunk_size!r}"
            )
        if slack is None:
            slack = _SLACK if embeddings is None else _SLACK_FOR_MEANING
        if not 0 <= slack < 1:
            raise ConfigurationError(f"slack={slack!r} must be from 0 to below 1")
        self._counter = TokenCounter() if counter is None else counter
        super().__init__(
            chunk_size,
            chunk_overlap,
            length_function=self._counter.count,
            add_start_index=add_start_index,
            strip_whitespace=False,
        )
        self._slack = slack
        self._embeddings = embeddings

    def split_text(self, text: str) -> list[str]:
        """Return the chunks of a text; none for an empty one."""
        return [text[start:end] for start, end in self.split_spans(text)]

    async def asplit_text(self, text: str) -> list[str]:
        """Return the chunks of a text, without holding up the event loop."""
        return [text[start:end] for start, end in await self.asplit_spans(text)]

    def split_spans(self, text: str) -> list[tuple[int, int]]:
        """Return where the chunks of a text start and end, in characters."""
        borders: Borders = Structure(text)
        if self._embeddings is not None:
            parts = passages(text)
            vectors = self._embeddings.embed_documents(parts.texts)
            borders = Meaning(borders, parts, vectors)
        return self._spans(text, borders)

    async def asplit_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the same, without holding up the event loop."""
        borders: Borders = Structure(text)
        if self._embeddings is not None:
            parts = await run_in_executor(None, passages, text)
            vectors = await self._embeddings.aembed_documents(parts.texts)
            borders = Meaning(borders, parts, vectors)
        return await run_in_executor(None, self._spans, text, borders)

    def create_documents(
        self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None
    ) -> list[Document]:
        """Return the chunks of texts as documents.

        Args:
            texts: The texts.
            metadatas: Metadata of each; every chunk gets a copy of its own.
        """
        found = [self.split_spans(text) for text in texts]
        return self._documents(texts, metadatas, found)

    async def acreate_documents(
        self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None
    ) -> list[Document]:
        """Return the same, without holding up the event loop."""
        found = [await self.asplit_spans(text) for text in texts]
        return self._documents(texts, metadatas, found)

    async def atransform_documents(
        self, documents: Sequence[Document], **kwargs: Any
    ) -> Sequence[Document]:
        """Return the chunks of documents, without holding up the event loop."""
        del kwargs
        return await self.acreate_documents(
            [document.page_content for document in documents],
            [document.metadata for document in documents],
        )

    def _spans(self, text: str, borders: Borders) -> list[tuple[int, int]]:
        return spans(
            token_map(text, self._counter),
            borders,
            limit=self._chunk_size,
            overlap=self._chunk_overlap,
            slack=self._slack,
        )

    def _documents(
        self,
        texts: Sequence[str],
        metadatas: Sequence[dict[Any, Any]] | None,
        found: Iterable[list[tuple[int, int]]],
    ) -> list[Document]:
        documents = []
        kept = metadatas or [{} for _ in texts]
        for text, metadata, places in zip(texts, kept, found, strict=True):
            for start, end in places:
                own = copy.deepcopy(metadata)
                if self._add_start_index:
                    own["start_index"] = start
                documents.append(Document(page_content=text[start:end], metadata=own))
        return documents

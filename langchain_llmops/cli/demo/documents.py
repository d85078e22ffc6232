"""What the demo answers from: Python's own language reference, or a folder of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["SUFFIXES", "load_folder", "load_reference", "split"]

SUFFIXES = (".md", ".txt", ".rst", ".py")
"""Files that `load_folder` reads."""

_CHUNK_CHARACTERS = 1_200
_COPIED_CHARACTERS = 80
_NAMED_AT_MOST = 3


def load_reference() -> list[Document]:
    """Return the language reference that every CPython carries, one document a topic.

    Raises:
        ConfigurationError: This Python was packaged without `pydoc_data`.
    """
    try:
        from pydoc_data.topics import topics  # noqa: PLC0415 - 700 kB of text
    except ImportError as error:
        raise ConfigurationError(
            "this Python has no pydoc_data.topics, the text the demo reads: use a "
            "CPython from python.org, or pass --docs DIR --questions FILE"
        ) from error
    return [
        Document(page_content=text, id=topic, metadata={"topic": topic})
        for topic, text in sorted(topics.items())
    ]


def load_folder(folder: Path) -> list[Document]:
    """Return the text files below a folder; a file's topic is its path.

    Hidden files and folders are skipped, empty files too.

    Args:
        folder: Where to look, at any depth, for files that end in `SUFFIXES`.

    Raises:
        ConfigurationError: There is no such folder, no such file in it, or a file
            cannot be read; every unreadable file is counted, the first ones named.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"--docs {str(folder)!r} is not a folder: pass one that holds "
            f"{' '.join(SUFFIXES)} files"
        )
    documents: list[Document] = []
    unreadable: list[str] = []
    for path in _files(folder):
        topic = path.relative_to(folder).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            unreadable.append(f"{topic} ({_why(error)})")
            continue
        if text.strip():
            documents.append(
                Document(page_content=text, id=topic, metadata={"topic": topic})
            )
    if unreadable:
        more = len(unreadable) - _NAMED_AT_MOST
        named = ", ".join(unreadable[:_NAMED_AT_MOST])
        raise ConfigurationError(
            f"cannot read {len(unreadable)} of the documents in {str(folder)!r}: "
            f"{named}{f' and {more} more' if more > 0 else ''}; save them as UTF-8, "
            "make them readable, or move them out of the folder"
        )
    if not documents:
        raise ConfigurationError(
            f"--docs {str(folder)!r} holds no text: put {' '.join(SUFFIXES)} files "
            "there"
        )
    return documents


def split(
    documents: Sequence[Document], *, chunk_characters: int = _CHUNK_CHARACTERS
) -> list[Document]:
    """Cut documents into chunks.

    A long paragraph that several documents share is kept in the shortest of them
    alone, so that a search does not return the same text twice.

    Args:
        documents: What to cut; `metadata["topic"]` names each.
        chunk_characters: Longest chunk.

    Returns:
        Chunks whose ids sort in reading order; metadata are the document's.
    """
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=chunk_characters, chunk_overlap=0, keep_separator="end"
    )
    seen: set[str] = set()
    chunks: list[Document] = []
    for document in sorted(documents, key=lambda one: len(one.page_content)):
        topic = document.metadata["topic"]
        own = "\n\n".join(_unseen_paragraphs(document.page_content, seen))
        chunks += [
            Document(
                page_content=text,
                id=f"{topic}#{number:04d}",
                metadata=dict(document.metadata),
            )
            for number, text in enumerate(splitter.split_text(own))
        ]
    return chunks


def _unseen_paragraphs(text: str, seen: set[str]) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        if len(words) >= _COPIED_CHARACTERS:
            if words in seen:
                continue
            seen.add(words)
        yield paragraph


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in SUFFIXES and not path.is_dir():
            yield path


def _why(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return error.strerror or type(error).__name__

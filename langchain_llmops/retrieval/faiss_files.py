"""A store on disk: one JSON page and one FAISS file, no pickle.

The page is replaced in one step and names the vector file that belongs to it, so a
crash while saving leaves the previous version readable.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from langchain_core.documents import Document

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.retrieval.index_spec import IndexSpec

if TYPE_CHECKING:
    import os

__all__ = ["SavedStore", "read_store", "write_store"]

_FORMAT = 2
_PAGE = "store.json"


class SavedStore(NamedTuple):
    """What is on disk: the index as bytes, its documents in order, and its kind."""

    vectors: bytes
    documents: list[Document]
    spec: IndexSpec


def write_store(folder: str | os.PathLike[str], saved: SavedStore) -> None:
    """Write a store into a folder, which is made if it does not exist.

    Args:
        folder: Where to. A store that is there already is replaced.
        saved: What to write.

    Raises:
        ConfigurationError: Metadata hold something that JSON cannot.
        StorageError: The folder cannot be written.
    """
    path = Path(folder)
    vectors, documents, spec = saved
    rows = [_row(document) for document in documents]
    vector_file = f"vectors-{uuid.uuid4().hex}.faiss"
    page = {
        "format": _FORMAT,
        "vectors": vector_file,
        "sha256": hashlib.sha256(vectors).hexdigest(),
        "index": asdict(spec),
    }
    # One document per line: readable, and small in a diff.
    text = json.dumps(page)[:-1] + ', "documents": [\n' + ",\n".join(rows) + "\n]}\n"
    fresh = path / f"{vector_file}.page"
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / vector_file).write_bytes(vectors)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path / _PAGE)
    except OSError as error:
        for leftover in (fresh, path / vector_file):
            leftover.unlink(missing_ok=True)
        raise StorageError(
            f"cannot save the vector store in {str(path)!r} ({error.strerror}): "
            "free some space or choose another folder"
        ) from error
    for old in path.glob("vectors-*.faiss"):
        if old.name != vector_file:
            old.unlink(missing_ok=True)


def read_store(folder: str | os.PathLike[str]) -> SavedStore:
    """Read what `write_store` wrote; the vectors are checked against their hash.

    Args:
        folder: Where it was saved.

    Raises:
        StorageError: No store is there, it is damaged, or a newer version wrote it.
    """
    path = Path(folder)
    try:
        page = json.loads((path / _PAGE).read_text(encoding="utf-8"))
        if page["format"] != _FORMAT:
            _damaged(path, f"format {page['format']!r} instead of {_FORMAT}")
        vectors = (path / page["vectors"]).read_bytes()
        # Checked before FAISS sees it: its reader trusts what a file says of itself.
        if hashlib.sha256(vectors).hexdigest() != page["sha256"]:
            _damaged(path, "its vectors do not match their checksum")
        documents = [
            Document(id=row["id"], page_content=row["text"], metadata=row["metadata"])
            for row in page["documents"]
        ]
        return SavedStore(vectors, documents, IndexSpec(**page["index"]))
    except FileNotFoundError as error:
        raise StorageError(
            f"there is no vector store in {str(path)!r}: save() writes one"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        _damaged(path, repr(error), cause=error)


def _damaged(path: Path, why: str, cause: Exception | None = None) -> NoReturn:
    raise StorageError(
        f"the vector store in {str(path)!r} cannot be read ({why}): delete the folder "
        "and save the store again, built from its documents"
    ) from cause


def _row(document: Document) -> str:
    row = {
        "id": document.id,
        "text": document.page_content,
        "metadata": document.metadata,
    }
    try:
        return json.dumps(row)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"document {document.id!r} cannot be saved, its metadata are not JSON "
            f"({error}): use strings, numbers, booleans, lists and mappings"
        ) from error

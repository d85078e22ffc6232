"""When two documents are the same: their content, and the metadata that count."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from json import JSONEncoder
from typing import TYPE_CHECKING, Final

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.documents import Document

__all__ = ["Fingerprint", "canonical_metadata", "fingerprint"]

_SIZE: Final = 16
_ENCODER: Final = JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a document is compared by.

    Args:
        content: Hash of its text: what an embedding depends on.
        metadata: Hash of its metadata without the volatile keys.
    """

    content: bytes
    metadata: bytes

    @property
    def name(self) -> str:
        """An id for a document that has none: the same text is the same document."""
        return (self.content[:8] + self.metadata[:8]).hex()


def fingerprint(document: Document, volatile: frozenset[str]) -> Fingerprint:
    """Return what a document is compared by.

    Args:
        document: The document.
        volatile: Metadata keys that say nothing about it, such as a time of loading.

    Raises:
        ConfigurationError: The metadata hold something that JSON cannot.
    """
    metadata = document.metadata
    if volatile and not volatile.isdisjoint(metadata):
        metadata = {key: metadata[key] for key in metadata if key not in volatile}
    text = document.page_content.encode("utf-8", "surrogatepass")
    return Fingerprint(
        blake2b(text, digest_size=_SIZE).digest(),
        blake2b(
            canonical_metadata(metadata, document.id).encode(), digest_size=_SIZE
        ).digest(),
    )


def canonical_metadata(metadata: dict[str, object], name: str | None) -> str:
    """Return metadata as JSON, the same for equal metadata.

    Args:
        metadata: What to write.
        name: Whose they are, for the error.

    Raises:
        ConfigurationError: They hold something that JSON cannot.
    """
    try:
        return _ENCODER.encode(metadata)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"the metadata of document {name!r} are not JSON ({error}): use strings, "
            "numbers, booleans, lists and mappings with strings as keys"
        ) from error

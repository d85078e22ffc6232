"""Which message has which word: an inverted index that grows with a conversation."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from langchain_llmops.memory.window.words import stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

__all__ = ["Lexicon"]

_HEAD = 4
_KINDRED = 0.6
"""Share of the longer word that two kindred words have in common, at least."""


class _Postings(dict[str, "array[int]"]):
    """The places of each word; a word that is new joins those of its stem."""

    def __init__(self) -> None:
        super().__init__()
        self.of_stem: dict[str, list[array[int]]] = {}
        self.of_head: dict[str, list[str]] = {}

    def __missing__(self, word: str) -> array[int]:
        places = self[word] = array("i")
        known = stem(word)
        family = self.of_stem.get(known)
        if family is None:
            family = self.of_stem[known] = []
            if len(known) >= _HEAD:
                self.of_head.setdefault(known[:_HEAD], []).append(known)
        family.append(places)
        return places


class Lexicon:
    """The words of messages, added one message after the other."""

    __slots__ = ("_lengths", "_postings", "_words")

    def __init__(self) -> None:
        self._postings = _Postings()
        self._lengths = array("f")
        self._words = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, message: Sequence[str]) -> None:
        """Add the words of the next message."""
        place = len(self._lengths)
        postings = self._postings
        for word in message:
            postings[word].append(place)
        self._lengths.append(len(message))
        self._words += len(message)

    @property
    def lengths(self) -> npt.NDArray[np.float32]:
        """Words of each message, as a share of what a message has on average."""
        mean = self._words / len(self._lengths) if self._words else 1.0
        return np.array(self._lengths, dtype=np.float32) / np.float32(mean)

    def occurrences(
        self, wanted: str
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the messages that have a stem, and how often each does.

        Args:
            wanted: The stem of a word.
        """
        family = self._postings.of_stem.get(wanted, ())
        places = [np.array(each, dtype=np.intp) for each in family]
        if not places:
            return np.empty(0, np.intp), np.empty(0, np.intp)
        return np.unique(np.concatenate(places), return_counts=True)

    def places(self, wanted: Iterable[str]) -> npt.NDArray[np.intp]:
        """Return the messages that have any of these stems; some more than once.

        Args:
            wanted: The stems.
        """
        of_stem = self._postings.of_stem
        found = [np.array(p, np.intp) for each in wanted for p in of_stem.get(each, ())]
        return np.concatenate(found) if found else np.empty(0, np.intp)

    def kindred(self, wanted: str) -> Iterator[str]:
        """Yield other stems that begin as a stem does: `music` and `musician`.

        Args:
            wanted: The stem of a word.
        """
        for other in self._postings.of_head.get(wanted[:_HEAD], ()):
            short, long = sorted((wanted, other), key=len)
            alike = len(short) >= _KINDRED * len(long)
            if alike and short != long and long.startswith(short):
                yield other

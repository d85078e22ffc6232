"""The vectors of one partition: dense rows, a shortlist by single bits, exact cosines.

Rows live in blocks of float16, so that growing copies at most one block; the last row
takes the place of one that is removed. Beyond `EXACT_ROWS` a search first takes the
nearest rows by one bit per random direction (`SHORTLIST` of them, by Hamming distance),
then compares those exactly.

The directions are random and the rows are centred before their signs are taken: the
signs of the raw components lose neighbours as soon as vectors are sparse (hashed words)
or share a common direction, as those of many embedding models do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["EXACT_ROWS", "SHORTLIST", "Directions", "Rows", "Slot", "Vector"]

EXACT_ROWS: Final = 128
"""Up to so many rows a search compares them all; their mean centres the signatures."""

SHORTLIST: Final = 64
"""How many rows the signatures nominate for the exact comparison."""

_SIGNATURE_BITS: Final = 512
_BLOCK_ROWS: Final = 8192

Vector: TypeAlias = "npt.NDArray[np.float32]"
Signatures: TypeAlias = "npt.NDArray[np.uint8]"
_Number = TypeVar("_Number", bound=np.generic)


class Directions:
    """Random directions whose signs make a signature; the same in every process.

    Args:
        width: Dimensions of the vectors.
    """

    __slots__ = ("_faiss", "matrix", "width")

    def __init__(self, width: int) -> None:
        # Not at the top of the module: importing faiss takes a tenth of a second.
        import faiss  # noqa: PLC0415

        rng = np.random.default_rng(0)
        self._faiss = faiss
        self.width = width
        self.matrix = rng.standard_normal((width, _SIGNATURE_BITS), dtype=np.float32)

    def sign(self, vectors: Vector, center: Vector) -> Signatures:
        """Return one bit per direction: the side of the centre a vector lies on."""
        return np.packbits((vectors - center) @ self.matrix > 0, axis=-1)

    def nearest(
        self, signature: Signatures, signatures: Signatures
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return Hamming distances and rows of the `SHORTLIST` nearest signatures."""
        # One query is no work for a team of threads; waiting for a busy core to join
        # it made one lookup in fifty take 20 ms. The setting is this thread's own.
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)
        try:
            distances, rows = self._faiss.knn_hamming(
                signature[None, :], signatures, min(SHORTLIST, len(signatures))
            )
        finally:
            self._faiss.omp_set_num_threads(threads)
        return distances[0], rows[0]


class Slot:
    """One stored question, and where its vector is at the moment."""

    __slots__ = ("key", "row", "rows", "text")

    def __init__(self, key: str, text: str, rows: Rows, row: int) -> None:
        self.key, self.text, self.rows, self.row = key, text, rows, row


class Rows:
    """The questions of one partition; not safe across threads by itself.

    Args:
        partition: Its name.
        directions: What signatures are taken along.
    """

    __slots__ = ("_center", "_directions", "_signs", "_vectors", "partition", "slots")

    def __init__(self, partition: str, directions: Directions) -> None:
        self.partition = partition
        self.slots: list[Slot] = []
        self._directions = directions
        self._center: Vector | None = None
        self._vectors: list[npt.NDArray[np.float16]] = []
        self._signs: list[Signatures] = []

    @property
    def width(self) -> int:
        """Dimensions of the vectors."""
        return self._directions.width

    def append(self, key: str, text: str, vector: Vector) -> Slot:
        """Add a question; its direction is as wide as the directions."""
        row = len(self.slots)
        block, offset = divmod(row, _BLOCK_ROWS)
        self._grow(block, offset)
        self._vectors[block][offset] = vector
        slot = Slot(key, text, self, row)
        self.slots.append(slot)
        if self._center is not None:
            self._signs[block][offset] = self._directions.sign(vector, self._center)
        elif row == EXACT_ROWS:
            self._sign_all()
        return slot

    def remove(self, row: int) -> None:
        """Remove the question at a row; the last one takes its place."""
        last = self.slots.pop()
        if last.row != row:
            to, to_offset = divmod(row, _BLOCK_ROWS)
            block, offset = divmod(last.row, _BLOCK_ROWS)
            self._vectors[to][to_offset] = self._vectors[block][offset]
            if self._center is not None:
                self._signs[to][to_offset] = self._signs[block][offset]
            self.slots[row], last.row = last, row
        if len(self.slots) <= (len(self._vectors) - 1) * _BLOCK_ROWS:
            self._vectors.pop()
            if self._center is not None:
                self._signs.pop()

    def nearest(self, vector: Vector, limit: int) -> list[tuple[float, Slot]]:
        """Return the nearest questions with their cosines, the nearest first."""
        rows = self._shortlist(vector)
        stored = self._rows(rows)
        # A row's own length is not quite 1 in float16: without it 1e-4 would be lost.
        lengths = np.sqrt(np.einsum("ij,ij->i", stored, stored))
        similarities = (stored @ vector) / lengths
        best = np.argsort(-similarities, kind="stable")[:limit]
        return [(round(float(similarities[i]), 6), self.slots[rows[i]]) for i in best]

    def _shortlist(self, vector: Vector) -> npt.NDArray[np.int64]:
        count = len(self.slots)
        if count <= EXACT_ROWS or self._center is None:
            return np.arange(count)
        query = self._directions.sign(vector, self._center)
        distances, rows = [], []
        for start, signs in zip(range(0, count, _BLOCK_ROWS), self._signs, strict=True):
            near, ids = self._directions.nearest(query, signs[: count - start])
            distances.append(near)
            rows.append(ids + start)
        found = np.concatenate(rows)
        order = np.argsort(np.concatenate(distances), kind="stable")
        return np.asarray(found[order[:SHORTLIST]])

    def _rows(self, rows: npt.NDArray[np.int64]) -> Vector:
        if len(self._vectors) == 1:
            return self._vectors[0][rows].astype(np.float32)
        blocks, offsets = np.divmod(rows, _BLOCK_ROWS)
        return np.stack(
            [
                self._vectors[block][offset]
                for block, offset in zip(blocks.tolist(), offsets.tolist(), strict=True)
            ]
        ).astype(np.float32)

    def _sign_all(self) -> None:
        """Sign the rows for the first time, with their mean as the centre for good."""
        vectors = self._vectors[0][: len(self.slots)].astype(np.float32)
        self._center = vectors.mean(axis=0)
        signs = np.empty((len(self._vectors[0]), _SIGNATURE_BITS // 8), np.uint8)
        signs[: len(vectors)] = self._directions.sign(vectors, self._center)
        self._signs = [signs]

    def _grow(self, block: int, offset: int) -> None:
        """Make room for one more row: double the first block, then add whole ones."""
        if block == len(self._vectors):
            size = _BLOCK_ROWS if block else 2
            self._vectors.append(np.empty((size, self.width), np.float16))
            if self._center is not None:
                self._signs.append(np.empty((size, _SIGNATURE_BITS // 8), np.uint8))
        elif offset == len(self._vectors[block]):
            self._vectors[block] = _doubled(self._vectors[block])
            if self._center is not None:
                self._signs[block] = _doubled(self._signs[block])


def _doubled(rows: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    larger = np.empty((min(2 * len(rows), _BLOCK_ROWS), rows.shape[1]), rows.dtype)
    larger[: len(rows)] = rows
    return larger

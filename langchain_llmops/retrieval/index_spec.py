"""Which FAISS index a store keeps its vectors in, and how that index is built."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

__all__ = ["IndexKind", "IndexSpec", "load_faiss"]

IndexKind = Literal["flat", "hnsw", "ivf", "sq8", "bits"]

_TRAIN_PER_LIST: Final = 39
"""Vectors per list below which FAISS's k-means says that it has too few."""


def load_faiss() -> Any:
    """Import FAISS, which takes 150 ms: the first store pays.

    Without its types, which know neither keyword arguments nor arrays.
    """
    import faiss  # noqa: PLC0415 - see above

    return faiss


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec:
    """How vectors of length 1 are indexed; every kind ranks by inner product.

    A store is exact and flat up to `build_at` vectors. Then it builds the index, since
    lists and codes are learnt from vectors, and a small store gains nothing by them.

    | kind | finds | memory per vector of d dimensions |
    | --- | --- | --- |
    | `flat` | all, exactly | 4d bytes |
    | `hnsw` | most, by a graph | 4d + about 8m bytes |
    | `ivf` | most, in the nearest lists | 4d bytes |
    | `sq8` | almost all, from one byte per number | d bytes |
    | `bits` | most, by one bit per number, then compares in float16 | 2d + d/8 bytes |

    Args:
        kind: Which index.
        build_at: Up to how many vectors the store stays flat.
        m: HNSW: neighbours of a node.
        ef_construction: HNSW: how widely a new node looks for its neighbours.
        ef_search: HNSW: how widely a search looks.
        lists: IVF: how many lists; by default four times the root of the count.
        probes: IVF: how many lists a search reads.
        refine: Bits: how many times `k` candidates are compared again.

    Raises:
        ConfigurationError: The kind is unknown or a number is not positive.
    """

    kind: IndexKind = "flat"
    build_at: int = 10_000
    m: int = 32
    ef_construction: int = 80
    ef_search: int = 64
    lists: int | None = None
    probes: int = 16
    refine: int = 20

    def __post_init__(self) -> None:
        if self.kind not in get_args(IndexKind):
            raise ConfigurationError(
                f"index kind {self.kind!r} is unknown: use one of "
                f"{', '.join(get_args(IndexKind))}"
            )
        for name, value in asdict(self).items():
            if isinstance(value, int) and value < 1:
                raise ConfigurationError(f"{name}={value!r}: use 1 or more")

    @property
    def lossy(self) -> bool:
        """Whether stored vectors are rounded, so that scores are close, not exact."""
        return self.kind in {"sq8", "bits"}

    def lists_for(self, count: int) -> int:
        """Return how many IVF lists suit so many vectors."""
        wanted = self.lists or 4 * math.isqrt(count)
        return max(1, min(wanted, count // _TRAIN_PER_LIST))

    def build(self, vectors: Vectors) -> Any:
        """Return an index of this kind that holds the vectors as rows, in order.

        Args:
            vectors: Rows of length 1; at least one for the kinds that learn.
        """
        index = self._empty(*vectors.shape)
        if not index.is_trained:
            index.train(vectors)
        if len(vectors):
            index.add(vectors)
        if self.kind == "ivf":
            index.make_direct_map(True)  # noqa: FBT003 - to read vectors back by row
        return index

    def search_parameters(self, selector: Any | None) -> Any:
        """Return the parameters of one search; FAISS only borrows the selector."""
        faiss = load_faiss()

        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=self.ef_search, sel=selector)
        if self.kind == "ivf":
            return faiss.SearchParametersIVF(nprobe=self.probes, sel=selector)
        if self.kind == "bits":
            rough = faiss.RaBitQSearchParameters(qb=8, sel=selector)
            return faiss.IndexRefineSearchParameters(
                k_factor=self.refine, base_index_params=rough
            )
        return faiss.SearchParameters(sel=selector)

    def _empty(self, count: int, dimension: int) -> Any:
        faiss = load_faiss()

        metric = faiss.METRIC_INNER_PRODUCT
        if self.kind == "hnsw":
            graph = faiss.IndexHNSWFlat(dimension, self.m, metric)
            graph.hnsw.efConstruction = self.ef_construction
            return graph
        if self.kind == "ivf":
            lists = self.lists_for(count)
            coarse = faiss.IndexFlatIP(dimension)
            inverted = faiss.IndexIVFFlat(coarse, dimension, lists, metric)
            return _owning(inverted, coarse, "own_fields")
        if self.kind == "sq8":
            return _scalar(dimension, faiss.ScalarQuantizer.QT_8bit)
        if self.kind == "bits":
            rough = faiss.IndexRaBitQ(dimension, metric)
            fine = _scalar(dimension, faiss.ScalarQuantizer.QT_fp16)
            refined = faiss.IndexRefine(rough, fine)
            _owning(refined, rough, "own_fields")
            return _owning(refined, fine, "own_refine_index")
        return faiss.IndexFlatIP(dimension)


def _scalar(dimension: int, code: int) -> Any:
    faiss = load_faiss()
    return faiss.IndexScalarQuantizer(dimension, code, faiss.METRIC_INNER_PRODUCT)


def _owning(outer: Any, inner: Any, flag: str) -> Any:
    """Let an index free its inner one, as if FAISS had made both."""
    setattr(outer, flag, True)
    inner.this.disown()
    return outer

"""Frozen values that several floors share."""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["CACHE_KEY", "CacheKind", "CacheMark"]

CACHE_KEY = "cache"
"""Key under which `response_metadata` of a cached message carries its `CacheMark`."""

CacheKind = Literal["exact", "semantic"]


class CacheMark(TypedDict):
    """How an answer came out of a cache: written by caching, read by cost and reports.

    The saved figures are what the provider would have billed for the same call;
    `saved_usd` is `None` where the model has no known price. Plain JSON types, so that
    tracers and stores can carry the mark.
    """

    hit: bool
    kind: CacheKind
    tier: str
    similarity: float | None
    age_s: float
    saved_tokens: int
    saved_input_tokens: int
    saved_output_tokens: int
    saved_usd: float | None
    hit_id: str

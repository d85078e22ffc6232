"""Which value leaves a full tier first: pure bookkeeping over keys.

`LeastRecent` is LRU. `LeastValuable` is GreedyDual-Size-Frequency (L. Cherkasova,
*Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy*, HP
Labs 1998), whose cost is what a hit saves: an entry's rank is

    level + uses x (dollars saved by a use) / (bytes it takes)

and the lowest leaves. `level` is the rank of the last one that left, and a rank is
computed anew when its entry is used: so what was dear, and is asked for no more, falls
behind those that came or were used later, and leaves at last.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Final, Literal, Protocol, TypeAlias

__all__ = ["Appraiser", "EvictionOrder", "EvictionRule", "LeastRecent", "LeastValuable"]

EvictionRule: TypeAlias = Literal["lru", "value"]

_USD_PER_TOKEN: Final = 1e-6
"""Where no price is known at all: any number ranks answers without one alike."""
_BYTES_PER_TOKEN: Final = 4.0
_DEAD: Final = 64
"""Entries of the heap that may be dead before it is cleaned, beside those that live."""


class Appraiser:
    """Say what an answer is worth where its price is not known; not safe by itself.

    Tokens of an unknown price are taken to cost what those of the priced answers cost
    on average; an answer of unknown tokens to have as many as its bytes suggest, which
    makes all of those equally dear per byte, and leaves it to how often they are used.
    """

    __slots__ = ("_tokens", "_usd")

    def __init__(self) -> None:
        self._usd = 0.0
        self._tokens = 0

    def worth(self, usd: float | None, tokens: int, size: int) -> float:
        """Return the dollars that a use saves, estimated if need be.

        Args:
            usd: What is known of it; 0 is a price too.
            tokens: Tokens that a use saves; 0 if that is not known.
            size: Bytes of the value.
        """
        if usd is not None and 0 <= usd < math.inf:
            if tokens > 0:
                self._usd += usd
                self._tokens += tokens
            return usd
        per_token = self._usd / self._tokens if self._usd > 0 else _USD_PER_TOKEN
        return per_token * (tokens if tokens > 0 else size / _BYTES_PER_TOKEN)


class EvictionOrder(Protocol):
    """The order in which keys leave; not safe across threads by itself."""

    def add(self, key: str, *, usd: float | None, tokens: int, size: int) -> None:
        """Take in a key that is not there."""
        ...

    def use(self, key: str) -> None:
        """Note that a key was asked for."""
        ...

    def remove(self, key: str) -> None:
        """Take a key out that is there: it expired or was replaced."""
        ...

    def evict(self) -> str:
        """Take out the key that is to leave, and return it; there is one."""
        ...

    def clear(self) -> None:
        """Take out every key."""
        ...


class LeastRecent:
    """LRU: what was not used for the longest time leaves; each step is O(1)."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self.use = self._keys.move_to_end  # on the way of each hit
        self.clear = self._keys.clear

    def add(self, key: str, *, usd: float | None, tokens: int, size: int) -> None:
        """Take in a key as the most recent one, whatever it is worth."""
        del usd, tokens, size
        self._keys[key] = None

    def remove(self, key: str) -> None:
        """Take a key out."""
        del self._keys[key]

    def evict(self) -> str:
        """Take out the least recent key, and return it."""
        return self._keys.popitem(last=False)[0]


class _Ranked:
    __slots__ = ("key", "rank", "uses", "value")

    def __init__(self, key: str, value: float, rank: float) -> None:
        self.key: str | None = key
        self.value = value
        self.uses = 1
        self.rank = rank


class LeastValuable:
    """GreedyDual-Size-Frequency: what saves the least money per byte leaves.

    A use costs O(1), an eviction O(log n) amortised: a rank only grows, so the heap may
    hold older, lower ones, which are put right when they come up. Of equal ranks the
    one that was ranked first leaves.
    """

    def __init__(self) -> None:
        self._appraiser = Appraiser()
        self._kept: dict[str, _Ranked] = {}
        self._heap: list[tuple[float, int, _Ranked]] = []
        self._turn = 0
        self.level = 0.0

    def add(self, key: str, *, usd: float | None, tokens: int, size: int) -> None:
        """Take in a key, used once."""
        value = self._appraiser.worth(usd, tokens, size) / size
        ranked = self._kept[key] = _Ranked(key, value, self.level + value)
        self._push(ranked)

    def use(self, key: str) -> None:
        """Rank a key anew, used once more."""
        ranked = self._kept[key]
        ranked.uses += 1
        ranked.rank = self.level + ranked.uses * ranked.value

    def remove(self, key: str) -> None:
        """Take a key out."""
        self._kept.pop(key).key = None
        if len(self._heap) > 2 * len(self._kept) + _DEAD:
            self._heap = [item for item in self._heap if item[2].key is not None]
            heapify(self._heap)

    def evict(self) -> str:
        """Take out the key of the lowest rank, which is the new level; return it."""
        while True:
            noted, _, ranked = heappop(self._heap)
            if ranked.key is None:
                continue
            if noted < ranked.rank:
                self._push(ranked)
                continue
            self.level = noted
            del self._kept[ranked.key]
            return ranked.key

    def clear(self) -> None:
        """Take out every key; what prices were seen is remembered."""
        self._kept.clear()
        self._heap.clear()
        self.level = 0.0

    def _push(self, ranked: _Ranked) -> None:
        self._turn += 1
        heappush(self._heap, (ranked.rank, self._turn, ranked))

"""`sticky`: a conversation stays where its prompt is already cached."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from langchain_llmops.routing.base import Opinion, SelectionPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["sticky"]

_SPAN: Final = 2**64


def sticky() -> SelectionPolicy:
    """Prefer for each conversation always the same candidate, by rendezvous hashing.

    Providers charge less, and answer sooner, for a prompt whose beginning they have
    just seen. What holds calls together is `RoutingRequest.affinity`: the thread, or
    the tools, system prompt and first question. Conversations spread by weight. When a
    candidate comes or goes, only its own share of them moves. Calls without a digest
    find all candidates equal.
    """
    return _Sticky()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sticky(SelectionPolicy):
    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,  # noqa: ARG002 - the interface's
        chance: Chance,  # noqa: ARG002
    ) -> Sequence[Opinion]:
        if request.affinity is None:
            return [Opinion(key=(0,))] * len(candidates)
        return [
            Opinion(
                key=_distance(request.affinity, candidate),
                reason="nearest to what the call shares with others",
            )
            for candidate in candidates
        ]


def _distance(affinity: bytes, candidate: Candidate) -> tuple[float, ...]:
    if not candidate.weight:
        return (1,)
    digest = hashlib.blake2b(
        candidate.name.encode("utf-8", "surrogatepass"), key=affinity, digest_size=8
    ).digest()
    # Uniform between 0 and 1, neither of them; its exponential waiting time is by
    # weight the shortest, as for `weighted`.
    share = (int.from_bytes(digest) + 0.5) / _SPAN
    return (0, -math.log(share) / candidate.weight)

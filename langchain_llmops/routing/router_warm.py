"""Warm a router up: open connections, load files, and find out who answers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from langchain_llmops.routing.failures import classify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.router_desk import Desk

__all__ = ["awarm", "warm"]

_SHORTEST = {"max_tokens": 1}


def warm(
    candidates: Sequence[Candidate], desk: Desk, prompt: str, kwargs: Mapping[str, Any]
) -> dict[str, Exception | None]:
    """Ask each candidate on a thread of its own; see `ModelRouter.awarm`."""

    def one(candidate: Candidate) -> Exception | None:
        desk.counters[candidate.name].load()
        live = desk.board.begin(candidate.name, forced=True)
        assert live is not None  # noqa: S101 - a forced one is never refused
        try:
            candidate.model.invoke(prompt, **(kwargs or _SHORTEST))
        except Exception as error:  # noqa: BLE001 - it is reported
            live.failed(classify(error))
            return error
        live.succeeded()
        return None

    with ThreadPoolExecutor(len(candidates)) as pool:
        found = pool.map(one, candidates)
        return {each.name: error for each, error in zip(candidates, found, strict=True)}


async def awarm(
    candidates: Sequence[Candidate], desk: Desk, prompt: str, kwargs: Mapping[str, Any]
) -> dict[str, Exception | None]:
    """Ask all candidates at once; see `ModelRouter.awarm`."""

    async def one(candidate: Candidate) -> Exception | None:
        await desk.counters[candidate.name].aload()
        live = desk.board.begin(candidate.name, forced=True)
        assert live is not None  # noqa: S101 - a forced one is never refused
        try:
            await candidate.model.ainvoke(prompt, **(kwargs or _SHORTEST))
        except Exception as error:  # noqa: BLE001 - it is reported
            live.failed(classify(error))
            return error
        except asyncio.CancelledError:
            live.released()
            raise
        live.succeeded()
        return None

    found = await asyncio.gather(*map(one, candidates))
    return {each.name: error for each, error in zip(candidates, found, strict=True)}

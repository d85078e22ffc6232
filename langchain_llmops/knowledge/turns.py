"""Those who change a knowledge base take turns, from threads and from event loops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from langchain_llmops.knowledge.manifest_lock import ManifestLock
from langchain_llmops.knowledge.steps import finished
from langchain_llmops.storage.plans import arun, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.knowledge.workshop import Workshop
    from langchain_llmops.storage.plans import Plan

__all__ = ["ain_turn", "in_thread", "in_turn"]

T = TypeVar("T")


def in_turn(parts: Workshop, plan: Plan[T]) -> T:
    """Carry out a plan under the manifest's lock.

    Raises:
        KnowledgeBaseBusyError: Somebody else kept the lock for too long.
    """
    lock = ManifestLock(parts.manifest, parts.limits.wait_s)
    lock.acquire()
    try:
        return run(plan)
    finally:
        lock.release()


async def ain_turn(parts: Workshop, plan: Plan[T]) -> T:
    """Carry out a plan under the manifest's lock; never blocks the event loop."""
    lock = ManifestLock(parts.manifest, parts.limits.wait_s)
    try:
        await in_thread(lock.acquire)
        return await arun(plan)
    finally:
        await in_thread(lock.release)


async def in_thread(do: Callable[[], T]) -> T:
    """Do something that blocks; a cancelled task waits for its end."""
    return await finished(asyncio.create_task(asyncio.to_thread(do)))

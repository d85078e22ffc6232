"""From the provider's answer to what a tier keeps: or to the reason why it does not."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_llmops.caching.tiers.base import Entry
from langchain_llmops.caching.values.answers import stored_answer
from langchain_llmops.caching.values.codec import encode
from langchain_llmops.caching.values.storable import flaw_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.outputs import Generation

    from langchain_llmops.caching.base import CacheRequest
    from langchain_llmops.caching.counter import CacheCounter
    from langchain_llmops.caching.freshness import Freshness
    from langchain_llmops.pricing import Prices

__all__ = ["AnswerWriter"]

logger = logging.getLogger(__name__)


class AnswerWriter:
    """Write answers down; never raises.

    Args:
        freshness: How long they are good.
        counter: Counts those that are not stored.
        rng: A number in [0, 1) for the jitter.
    """

    def __init__(
        self, freshness: Freshness, counter: CacheCounter, rng: Callable[[], float]
    ) -> None:
        self._freshness = freshness
        self._counter = counter
        self._rng = rng
        self._told = False

    def entry(
        self,
        request: CacheRequest,
        generations: Sequence[Generation],
        *,
        prices: Prices,
        epochs: Mapping[str, str] | None,
        now: float,
    ) -> Entry | None:
        """Return what the tiers keep; `None` if the answer must not be stored.

        Args:
            request: What was asked.
            generations: What the provider returned; left as it is.
            prices: What models cost.
            epochs: What the answer depends on; `None` if that cannot be said.
            now: Seconds since the epoch.
        """
        try:
            flaw = flaw_of(generations)
            if flaw is not None or epochs is None:
                self._counter.skip(flaw or "tags")
                return None
            lifetime = self._freshness.lifetime(now, self._rng())
            answer = stored_answer(
                generations, model=request.model, prices=prices, now=now
            )
            answer = replace(
                answer,
                stale_at=lifetime.stale_at,
                # Where both are one, the tier sees to it.
                expires_at=lifetime.expires_at
                if self._freshness.stale_if_error_s
                else None,
                epochs=epochs,
            )
            return Entry(
                encode(answer), lifetime.kept_until, answer.usd, answer.total_tokens
            )
        except Exception as error:  # noqa: BLE001 - a paid answer is not lost to it
            self._counter.skip("unwritable")
            self._tell(error)
            return None

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "an answer was not cached (%s: %s). Further ones are only counted in "
                "stats().skipped.",
                type(error).__name__,
                error,
            )

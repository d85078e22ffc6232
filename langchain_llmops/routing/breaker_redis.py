"""`RedisBreakerStore`: circuits shared through a Redis or Valkey server."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, get_args

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.breaker_store import CircuitNews
from langchain_llmops.routing.circuit import ErrorClass
from langchain_llmops.storage.redis_clients import RedisClients

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = ["RedisBreakerStore"]

_KEPT_MS: Final = 120_000
"""Older news are worth nothing: a circuit is probed long before."""
_KINDS: Final = get_args(ErrorClass)


class RedisBreakerStore:
    """Let processes and machines share their breakers: `CircuitBreaker(store=…)`.

    The latest news of each candidate are one key, which expires after two minutes; one
    exchange is one round trip. How long a circuit stays open is told by the server's
    clock, so that those of the machines may differ. What is there but makes no sense is
    ignored, and counted in `damaged`. Breakers share by the names of their candidates:
    give routers whose names mean different models a `prefix` each.

    Own connections with a deadline are used, with the address and credentials of
    `client`. Safe across threads.

    Args:
        client: A `redis.Redis`, a `redis.asyncio.Redis`, or a URL; of one server.
        prefix: What every key begins with.
        timeout_s: Seconds that an exchange may take.

    Raises:
        MissingExtraError: `redis` is not installed.
        ConfigurationError: There is no server behind `client`, or `timeout_s` is not
            positive.

    Example:
        ```python
        from langchain_llmops import CircuitBreaker
        from langchain_llmops.routing import RedisBreakerStore

        breaker = CircuitBreaker(store=RedisBreakerStore("redis://localhost:6379/0"))
        ```
    """

    def __init__(
        self,
        client: Redis | AsyncRedis | str,
        *,
        prefix: str = "llmops:breaker:",
        timeout_s: float = 0.25,
    ) -> None:
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"timeout_s={timeout_s!r} must be positive seconds, e.g. 0.25"
            )
        self._clients = RedisClients(
            client, timeout_s=timeout_s, feature="RedisBreakerStore"
        )
        self._prefix = prefix
        self.damaged = 0

    def exchange(
        self, news: Mapping[str, CircuitNews], names: Collection[str]
    ) -> Mapping[str, CircuitNews]:
        """Put down news and return the latest, in one round trip.

        Raises:
            redis.RedisError: The server does not answer, or refuses.
        """
        wanted = list(names)
        pipeline: Any = self._clients.threads.pipeline(transaction=False)
        pipeline.time()
        for name, latest in news.items():
            pipeline.eval(_PUT, 1, self._prefix + name, _raw(latest), _KEPT_MS)
        if wanted:
            pipeline.mget([self._prefix + name for name in wanted])
        answers = pipeline.execute()
        seconds, micros = answers[0]
        now = int(seconds) + int(micros) / 1e6
        found = {}
        for name, raw in zip(wanted, answers[-1] if wanted else (), strict=True):
            if raw is None:
                continue
            try:
                found[name] = _news(raw, now)
            except (ValueError, TypeError, KeyError, UnicodeDecodeError):
                self.damaged += 1
        return found

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._clients.close()


# The server adds its own time: when it was written.
_PUT: Final = """
local time = redis.call('time')
local at = time[1] .. '.' .. string.format('%06d', time[2])
return redis.call('set', KEYS[1], at .. ' ' .. ARGV[1], 'px', ARGV[2])
"""


def _raw(news: CircuitNews) -> str:
    fields = {"id": news.id, "why": news.why, "level": news.level}
    return json.dumps({**fields, "open_for_s": news.open_for_s})


def _news(raw: bytes, now: float) -> CircuitNews:
    at, _, text = raw.decode().partition(" ")
    fields = json.loads(text)
    why, level, open_for_s = fields["why"], fields["level"], fields["open_for_s"]
    written = float(at)
    if why is not None and why not in _KINDS:
        raise ValueError(f"unknown class of error: {why!r}")
    if type(level) is not int or not 0 <= open_for_s < math.inf or written > now + 1:
        raise ValueError(f"makes no sense: {fields!r}")
    return CircuitNews(
        id=str(fields["id"]),
        why=why,
        open_for_s=max(0.0, open_for_s - (now - written)),
        level=level,
    )

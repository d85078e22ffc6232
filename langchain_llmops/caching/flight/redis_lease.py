"""Flight leases in a Redis or Valkey server."""

from __future__ import annotations

import asyncio
import math
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.storage.redis_clients import RedisClients

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = ["RedisLease"]

_RENEW: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then
  return redis.call('pexpire', KEYS[1], ARGV[2])
end
return 0
"""
_RELEASE: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then
  return redis.call('del', KEYS[1])
end
return 0
"""


class RedisLease:
    """Let one of several processes or machines make a call: `CacheLayer(lease=…)`.

    `SET … NX PX` takes a lease; two scripts of one comparison renew it and give it
    back. Each is one round trip. Own connections with a deadline, as `RedisTier` has.
    Safe across threads, forks and event loops; the asynchronous side is native.

    Args:
        client: A `redis.Redis`, a `redis.asyncio.Redis`, or a URL; of one server.
        ttl_s: Seconds after which a process that was killed holds up the others no
            longer. A call may last longer: its lease is renewed each third of it.
        prefix: What every key begins with.
        timeout_s: Seconds that an operation may take.

    Raises:
        MissingExtraError: `redis` is not installed.
        ConfigurationError: There is no server behind `client`, or a time is not
            positive.
    """

    def __init__(
        self,
        client: Redis | AsyncRedis | str,
        *,
        ttl_s: float = 10.0,
        prefix: str = "llmops:flight:",
        timeout_s: float = 0.25,
    ) -> None:
        for name, seconds in (("ttl_s", ttl_s), ("timeout_s", timeout_s)):
            if not 0 < seconds < math.inf:
                raise ConfigurationError(f"{name}={seconds!r} must be positive seconds")
        self.ttl_s = ttl_s
        self._clients = RedisClients(client, timeout_s=timeout_s, feature="RedisLease")
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._ttl_ms = math.ceil(ttl_s * 1000)

    def acquire(self, key: str) -> str | None:
        """Take the lease of a key: its token, or `None` while another has it."""
        token = token_hex(16)
        taken = self._clients.threads.set(
            self._prefix + key, token, nx=True, px=self._ttl_ms
        )
        return token if taken else None

    async def aacquire(self, key: str) -> str | None:
        """Take the lease as `acquire` does, within `timeout_s`."""
        token = token_hex(16)
        async with asyncio.timeout(self._timeout_s):
            client = await self._clients.running()
            taken = await client.set(
                self._prefix + key, token, nx=True, px=self._ttl_ms
            )
        return token if taken else None

    def renew(self, key: str, token: str) -> bool:
        """Let a lease last `ttl_s` from now; `False` if it is another's by now."""
        name = self._prefix + key
        return bool(self._clients.threads.eval(_RENEW, 1, name, token, self._ttl_ms))

    def release(self, key: str, token: str) -> None:
        """Give a lease back, if it is still the one with this token."""
        self._clients.threads.eval(_RELEASE, 1, self._prefix + key, token)

    async def arelease(self, key: str, token: str) -> None:
        """Give a lease back as `release` does, within `timeout_s`."""
        async with asyncio.timeout(self._timeout_s):
            client = await self._clients.running()
            await cast("Any", client.eval(_RELEASE, 1, self._prefix + key, token))

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._clients.close()

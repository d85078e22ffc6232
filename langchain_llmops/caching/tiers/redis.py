"""The tier that machines share: a Redis or Valkey server, plain commands only."""

from __future__ import annotations

import math
import re
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_llmops.caching.tiers.base import Entry
from langchain_llmops.caching.tiers.epochs import new_epoch
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.storage.redis_clients import RedisClients

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

    from langchain_llmops.caching.tiers.epochs import Epochs

__all__ = ["RedisTier"]

_MARK: Final = b"e1"
_HEADER: Final = Struct("<2sd")
"""What stands before a value: a mark, and when it expires (infinity: never)."""

_BATCH: Final = 128
"""Values that travel in one round trip."""
_SCAN: Final = 1_000
"""Keys that the server looks at in one step of `clear`."""


class RedisTier:
    """Keep values in a Redis or Valkey server that processes and machines share.

    Reading or writing a value is one round trip of a plain `GET` or `SET … PX`: any
    server, hosted ones included, will do. The server expires and evicts: give it a
    `maxmemory` with an `allkeys-lru` policy. Its own connections are used, with the
    address and the credentials of `client` and a deadline; `client` itself is left
    alone.

    `clear` walks through all keys of the database in small steps and removes those
    that begin with `prefix`. (A counter in every key would make it instant, and leave
    the old values to fill the memory.)

    Safe across threads, forks and event loops; the asynchronous side is native, and its
    connections end with their event loop. A lost or slow server raises: `TieredCache`
    and `CachedEmbeddings` count that, and leave the tier alone for a few seconds.

    Args:
        client: A `redis.Redis`, a `redis.asyncio.Redis`, or a URL such as
            `"redis://localhost:6379/0"`. Of one server: no cluster, no sentinel.
        prefix: What every key begins with. Caches with other prefixes are apart.
        timeout_s: Seconds that the server may take for an operation. A synchronous one
            may take them twice: to connect, and to be answered.

    Raises:
        MissingExtraError: `redis` is not installed.
        ConfigurationError: There is no server behind `client`, `prefix` is empty, or
            `timeout_s` is not positive.

    Example:
        ```python
        from langchain_llmops import MemoryTier, RedisTier, TieredCache

        cache = TieredCache([MemoryTier(), RedisTier("redis://localhost:6379/0")])
        ```
    """

    name: Final = "redis"
    reach: Final = 2
    """Who shares it: several machines."""
    evictions: Final = 0
    """The server evicts; `INFO stats` has its count."""

    def __init__(
        self,
        client: Redis | AsyncRedis | str,
        *,
        prefix: str = "llmops:cache:",
        timeout_s: float = 0.25,
    ) -> None:
        if not prefix:
            raise ConfigurationError(
                "prefix='' would let clear() empty the database: name one"
            )
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"timeout_s={timeout_s!r} must be positive seconds, e.g. 0.25"
            )
        self._clients = RedisClients(client, timeout_s=timeout_s, feature="RedisTier")
        self._prefix = prefix
        self._pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"

    def get(self, key: str, now: float) -> Entry | None:
        """Return what is kept under a key, unless it expired by `now`."""
        return _entry(self._clients.threads.get(self._prefix + key), now)

    async def aget(self, key: str, now: float) -> Entry | None:
        """Return what `get` returns, within `timeout_s`."""
        async with self._clients.turn() as client:
            return _entry(await client.get(self._prefix + key), now)

    def get_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        """Return what is kept under each key; one round trip for 128 of them."""
        found: list[Any] = []
        for names in self._batches(keys):
            found += cast("list[Any]", self._clients.threads.mget(names))
        return [_entry(raw, now) for raw in found]

    async def aget_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        """Return what `get_many` returns; each round trip within `timeout_s`."""
        found: list[Any] = []
        for names in self._batches(keys):
            async with self._clients.turn() as client:
                found += await client.mget(names)
        return [_entry(raw, now) for raw in found]

    def set(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value until it expires or the server evicts it."""
        self._clients.threads.set(
            self._prefix + key, _raw(entry), px=_lifetime_ms(entry, now)
        )

    async def aset(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value as `set` does, within `timeout_s`."""
        async with self._clients.turn() as client:
            await client.set(
                self._prefix + key, _raw(entry), px=_lifetime_ms(entry, now)
            )

    def set_many(self, entries: Mapping[str, Entry], now: float) -> None:
        """Keep several values; one round trip for 128 of them."""
        for names in self._batches(list(entries)):
            pipeline = self._clients.threads.pipeline(transaction=False)
            self._queue(pipeline, names, entries, now)
            pipeline.execute()

    async def aset_many(self, entries: Mapping[str, Entry], now: float) -> None:
        """Keep several values; each round trip within `timeout_s`."""
        for names in self._batches(list(entries)):
            async with self._clients.turn() as client:
                pipeline = client.pipeline(transaction=False)
                self._queue(pipeline, names, entries, now)
                await pipeline.execute()

    def epochs(self, names: Sequence[str]) -> Epochs:
        """Return the epoch of each name; a name that has none gets one."""
        client, keys = self._clients.threads, self._epoch_keys(names)
        found = cast("list[bytes | None]", client.mget(keys))
        if None in found:
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.set(key, new_epoch(), nx=True)
            pipeline.mget(keys)
            found = pipeline.execute()[-1]
        return _epochs(names, found)

    async def aepochs(self, names: Sequence[str]) -> Epochs:
        """Return what `epochs` returns, within `timeout_s`."""
        keys = self._epoch_keys(names)
        async with self._clients.turn() as client:
            found = await client.mget(keys)
            if None in found:
                pipeline = client.pipeline(transaction=False)
                for key in keys:
                    pipeline.set(key, new_epoch(), nx=True)
                pipeline.mget(keys)
                found = (await pipeline.execute())[-1]
        return _epochs(names, found)

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give each name a new epoch, and return them."""
        epochs = {name: new_epoch() for name in names}
        values = zip(self._epoch_keys(names), epochs.values(), strict=True)
        self._clients.threads.mset(dict(values))
        return epochs

    async def arenew(self, names: Sequence[str]) -> Epochs:
        """Renew as `renew` does, within `timeout_s`."""
        epochs = {name: new_epoch() for name in names}
        values = zip(self._epoch_keys(names), epochs.values(), strict=True)
        async with self._clients.turn() as client:
            await client.mset(dict(values))
        return epochs

    def clear(self) -> None:
        """Forget every value under the prefix, for everyone who shares the server."""
        client, cursor = self._clients.threads, 0
        while True:
            cursor, names = cast(
                "tuple[int, list[bytes]]",
                client.scan(cursor, match=self._pattern, count=_SCAN),
            )
            if names:
                client.unlink(*names)
            if not cursor:
                return

    async def aclear(self) -> None:
        """Forget every value as `clear` does; each step within `timeout_s`."""
        cursor = 0
        while True:
            async with self._clients.turn() as client:
                cursor, names = await client.scan(
                    cursor, match=self._pattern, count=_SCAN
                )
                if names:
                    await client.unlink(*names)
            if not cursor:
                return

    def close(self) -> None:
        """Close the connections; the values stay. A later use opens new ones."""
        self._clients.close()

    def _epoch_keys(self, names: Sequence[str]) -> list[str]:
        return [f"{self._prefix}epoch:{name}" for name in names]

    def _batches(self, keys: Sequence[str]) -> Iterator[list[str]]:
        names = [self._prefix + key for key in keys]
        for start in range(0, len(names), _BATCH):
            yield names[start : start + _BATCH]

    def _queue(
        self,
        pipeline: Any,
        names: Sequence[str],
        entries: Mapping[str, Entry],
        now: float,
    ) -> None:
        for name in names:
            entry = entries[name.removeprefix(self._prefix)]
            pipeline.set(name, _raw(entry), px=_lifetime_ms(entry, now))


def _epochs(names: Sequence[str], found: Sequence[Any]) -> Epochs:
    pairs = zip(names, found, strict=True)
    return {name: epoch.decode() for name, epoch in pairs if epoch is not None}


def _raw(entry: Entry) -> bytes:
    expires_at = math.inf if entry.expires_at is None else entry.expires_at
    return _HEADER.pack(_MARK, expires_at) + entry.value


def _lifetime_ms(entry: Entry, now: float) -> int | None:
    if entry.expires_at is None:
        return None
    return max(1, math.ceil((entry.expires_at - now) * 1000))


def _entry(raw: Any, now: float) -> Entry | None:
    if raw is None:
        return None
    if len(raw) < _HEADER.size or not raw.startswith(_MARK):
        # Not written by a tier. The cache that decodes values finds it damaged and
        # counts it; were it to fail here, the whole tier would be left alone.
        return Entry(raw, None)
    expires_at = _HEADER.unpack_from(raw)[1]
    if expires_at <= now:
        return None
    value = raw[_HEADER.size :]
    return Entry(value, None if expires_at == math.inf else expires_at)

"""Clients of one Redis server that wait for it no longer than they are told to.

An application's own client retries and waits for seconds, as it should for its own
data; a cache must not. So these clients take address and credentials from it, nothing
else: they wait for an answer once, and ask twice only if the server had hung up.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from langchain_llmops._lazy import require
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = ["RedisClients"]

_CONNECTIONS: Final = 32
"""Connections per process, and per event loop; further callers wait for a free one."""
_LOOK_EVERY_S: Final = 10.0

_KINDS: Final = ("Connection", "SSLConnection", "UnixDomainSocketConnection")
_ADDRESS: Final = frozenset(
    {
        "client_name",
        "credential_provider",
        "db",
        "host",
        "password",
        "path",
        "port",
        "socket_keepalive",
        "socket_keepalive_options",
        "username",
    }
)


class RedisClients:
    """A client for threads, and one for every event loop that asks.

    A client of an event loop lives as long as the loop: `asyncio.run` closes its
    connections. Nothing is connected before the first command. Safe across threads,
    event loops and forks.

    Args:
        client: What the application uses, synchronous or not, or a URL.
        timeout_s: Seconds that a connection or an answer is waited for.
        feature: Who needs it, for the error when the extra is missing.

    Raises:
        MissingExtraError: `redis` is not installed.
        ConfigurationError: The client is not that of one server, the URL is wrong.
    """

    def __init__(
        self, client: Redis | AsyncRedis | str, *, timeout_s: float, feature: str
    ) -> None:
        redis = require("redis", feature=feature, extra="redis")
        if isinstance(client, str):
            try:
                client = redis.Redis.from_url(client)
            except ValueError as error:  # a URL may hold a password: not shown
                raise ConfigurationError(
                    f"the URL given as client is wrong: {error}"
                ) from error
        pool = getattr(client, "connection_pool", None)
        self._kind = getattr(getattr(pool, "connection_class", None), "__name__", "")
        if pool is None or self._kind not in _KINDS:
            raise ConfigurationError(
                f"client={client!r} is no client of one server: give a redis.Redis, "
                'or a URL such as "redis://localhost:6379/0"'
            )
        self._address = _address(pool.connection_kwargs)
        # Newer clients introduce themselves, and read from disk what to say, again for
        # every connection.
        self._anonymous = {"driver_info": None} if hasattr(redis, "driver_info") else {}
        self._timeout_s = timeout_s
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._lock = Lock()
        self.threads: Redis = redis.Redis(
            connection_pool=redis.BlockingConnectionPool(
                connection_class=getattr(redis.connection, self._kind),
                retry=_again(redis, redis.retry.Retry),
                socket_timeout=timeout_s,
                timeout=timeout_s,
                **self._settings(),
            )
        )

    async def running(self) -> AsyncRedis:
        """Return the client of the running event loop.

        It sets no limit to how long an answer takes: the caller's deadline does.
        """
        return (await self._session()).client

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncRedis]:
        """Lend the client of the running loop for one round trip, within `timeout_s`.

        A burst of callers takes turns, and the time that a caller waits for its own is
        not the server's: it does not count. If the server fails others meanwhile, the
        caller is not sent after them, but fails too.
        """
        session = await self._session()
        clock = asyncio.get_running_loop().time
        begun = clock()
        async with session.turns:
            if session.failed_at >= begun:
                raise TimeoutError("the server failed others while this one waited")
            try:
                async with asyncio.timeout(self._timeout_s):
                    yield session.client
            except Exception as error:
                session.failed_at = clock()
                if isinstance(error, TimeoutError):
                    raise TimeoutError(
                        f"no answer within {self._timeout_s} s"
                    ) from error
                raise

    async def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            opened = _opened(self._make())
            session = _Session(await anext(opened), asyncio.Semaphore(_CONNECTIONS))
            _watch(loop, ref(session), opened)
            with self._lock:
                for known in [known for known in self._sessions if known.is_closed()]:
                    del self._sessions[known]
                self._sessions[loop] = session
        return session

    def close(self) -> None:
        """Close the connections; a later use opens new ones.

        Those of an event loop are closed by the loop, within ten seconds or at its end.
        """
        self.threads.connection_pool.disconnect()
        with self._lock:
            self._sessions.clear()

    def _make(self) -> AsyncRedis:
        redis = require("redis.asyncio", feature="redis.asyncio", extra="redis")
        sync = require("redis", feature="redis", extra="redis")
        client: AsyncRedis = redis.Redis.from_pool(
            redis.BlockingConnectionPool(
                connection_class=getattr(redis.connection, self._kind),
                retry=_again(sync, redis.retry.Retry),
                socket_timeout=None,
                timeout=None,
                **self._settings(),
            )
        )
        return client

    def _settings(self) -> dict[str, Any]:
        settings = {
            **self._address,
            "max_connections": _CONNECTIONS,
            # The older protocol: every server speaks it, and it takes one round trip
            # less to say hello.
            "protocol": 2,
            **self._anonymous,
        }
        if "path" not in self._address:
            settings["socket_connect_timeout"] = self._timeout_s
        return settings


def _address(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the server is and who asks, out of a pool's settings."""
    return {
        name: value
        for name, value in settings.items()
        if name in _ADDRESS
        # Options that are not set are left out: not every kind of client knows all.
        or (name.startswith("ssl_") and (value is not None and value is not False))
        or name == "ssl_check_hostname"
    }


def _again(redis: Any, retry: Any) -> Any:
    """Ask twice, at once, if the server had hung up; never if it hangs."""
    return retry(
        redis.backoff.NoBackoff(), 1, supported_errors=(redis.ConnectionError,)
    )


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Session:
    """The client of an event loop, for as long as somebody may ask for it."""

    client: AsyncRedis
    turns: asyncio.Semaphore
    failed_at: float = float("-inf")


async def _opened(client: AsyncRedis) -> AsyncGenerator[AsyncRedis]:
    """Hold a client open. `asyncio.run` ends by closing all generators of its loop."""
    try:
        yield client
    finally:
        await client.aclose()


def _watch(
    loop: asyncio.AbstractEventLoop,
    session: ref[_Session],
    opened: AsyncGenerator[AsyncRedis],
) -> None:
    """Keep connections open until the session is gone.

    The loop's timer holds them, not the tier: a tier that is closed or forgotten just
    before the loop ends would otherwise leave their closing to a loop that has stopped.
    A generator that nobody holds any more is closed by its loop.
    """
    if session() is not None:
        loop.call_later(_LOOK_EVERY_S, _watch, loop, session, opened)

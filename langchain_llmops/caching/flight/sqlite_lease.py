"""Flight leases in a SQLite file."""

from __future__ import annotations

import asyncio
import math
import time
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Float,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.storage.engine import create_tables, open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SQLiteLease"]

_LEASES = Table(
    "llmops_flight_lease",
    MetaData(),
    Column("key", String, primary_key=True),
    Column("token", String, nullable=False),
    Column("expires_at", Float, nullable=False),
)
_TAKEN: Final = select(_LEASES.c.token).where(
    _LEASES.c.key == bindparam("wanted"), _LEASES.c.expires_at > bindparam("now")
)
_INSERT: Final = insert(_LEASES)
# One statement, which SQLite runs under its write lock: of several, one succeeds.
_TAKE: Final = _INSERT.on_conflict_do_update(
    index_elements=[_LEASES.c.key],
    set_={name: _INSERT.excluded[name] for name in ("token", "expires_at")},
    where=_LEASES.c.expires_at <= bindparam("now"),
)
_MINE: Final = and_(
    _LEASES.c.key == bindparam("wanted"), _LEASES.c.token == bindparam("held")
)
_RENEW: Final = update(_LEASES).where(_MINE).values(expires_at=bindparam("until"))
# What processes that were killed left behind goes along.
_RELEASE: Final = delete(_LEASES).where(
    or_(_MINE, _LEASES.c.expires_at <= bindparam("now"))
)


class SQLiteLease:
    """Let one of several processes of a machine make a call: `CacheLayer(lease=…)`.

    May share its file with a `SQLiteTier`. Asking for a lease that another holds only
    reads. Asynchronous methods run in a thread. Opening the file blocks. Safe across
    threads, event loops and forks.

    Args:
        path: The file; made with its folder if it is not there.
        ttl_s: Seconds after which a process that was killed holds up the others no
            longer. A call may last longer: its lease is renewed each third of it.
        busy_timeout_s: Seconds that a write waits for another writer.
        clock: Seconds since the epoch: the clock that the processes share.

    Raises:
        ConfigurationError: `ttl_s` is not positive.
        StorageError: The file cannot be used: not a database, locked, read-only.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        ttl_s: float = 10.0,
        busy_timeout_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < ttl_s < math.inf:
            raise ConfigurationError(f"ttl_s={ttl_s!r} must be positive seconds")
        self.ttl_s = ttl_s
        self._clock = clock
        self._engine = open_engine(path, busy_timeout_s=busy_timeout_s)
        try:
            create_tables(self._engine, _LEASES.metadata)
        except BaseException:
            self._engine.dispose()
            raise

    def acquire(self, key: str) -> str | None:
        """Take the lease of a key: its token, or `None` while another has it."""
        now = self._clock()
        with self._engine.connect() as connection:
            if connection.execute(_TAKEN, {"wanted": key, "now": now}).first():
                return None
        token = token_hex(16)
        row = {"key": key, "token": token, "expires_at": now + self.ttl_s, "now": now}
        with self._engine.begin() as connection:
            taken = connection.execute(_TAKE, row).rowcount
        return token if taken else None

    async def aacquire(self, key: str) -> str | None:
        """Take the lease as `acquire` does, from a thread."""
        return await asyncio.to_thread(self.acquire, key)

    def renew(self, key: str, token: str) -> bool:
        """Let a lease last `ttl_s` from now; `False` if it is another's by now."""
        mine = {"wanted": key, "held": token, "until": self._clock() + self.ttl_s}
        with self._engine.begin() as connection:
            return bool(connection.execute(_RENEW, mine).rowcount)

    def release(self, key: str, token: str) -> None:
        """Give a lease back, if it is still the one with this token."""
        mine = {"wanted": key, "held": token, "now": self._clock()}
        with self._engine.begin() as connection:
            connection.execute(_RELEASE, mine)

    async def arelease(self, key: str, token: str) -> None:
        """Give a lease back as `release` does, from a thread."""
        await asyncio.to_thread(self.release, key, token)

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._engine.dispose()

"""Accounts in a SQL database, shared by processes: a SQLite file, or PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from langchain_llmops.cost.budgets.base import Balance
from langchain_llmops.cost.budgets.limit import MOST
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.storage.engine import create_tables, open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection

    from langchain_llmops.cost.budgets.base import Hold

__all__ = ["SQLBudgetStore"]

P = ParamSpec("P")
T = TypeVar("T")

_CLEAN_EVERY_S: Final = 3_600.0
_NEVER: Final = 1e18  # not every database has an infinity

_METADATA: Final = MetaData()
_ACCOUNTS: Final = Table(
    "llmops_budget",
    _METADATA,
    Column("key", String, primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("unsettled", BigInteger, nullable=False),
    Column("forget_at", Float(53), nullable=False),
)
_HOLDS: Final = Table(
    "llmops_budget_hold",
    _METADATA,
    Column("id", String, primary_key=True),
    Column("key", String, nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("forget_at", Float(53), nullable=False),
)
_INSERTS: Final[dict[str, Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
_FIGURES: Final = (_ACCOUNTS.c.used, _ACCOUNTS.c.held, _ACCOUNTS.c.unsettled)


def _capped(total: ColumnElement[int]) -> ColumnElement[int]:
    return case((total > MOST, MOST), else_=total)


_TAKE_OFF: Final = (
    delete(_HOLDS).where(_HOLDS.c.id == bindparam("hold")).returning(_HOLDS.c.amount)
)
_SETTLE: Final = (
    update(_ACCOUNTS)
    .where(_ACCOUNTS.c.key == bindparam("account"))
    .values(
        used=_capped(_ACCOUNTS.c.used - bindparam("off") + bindparam("on")),
        held=_ACCOUNTS.c.held - bindparam("off"),
        unsettled=_capped(_ACCOUNTS.c.unsettled + bindparam("marked")),
    )
    .returning(*_FIGURES)
)
_LOOK: Final = select(*_FIGURES).where(_ACCOUNTS.c.key == bindparam("account"))
_OVERDUE: Final = select(func.coalesce(func.sum(_HOLDS.c.amount), 0)).where(
    _HOLDS.c.key == bindparam("account"), _HOLDS.c.expires_at <= bindparam("now")
)


class SQLBudgetStore:
    """Keep a budget in a SQLite file or in PostgreSQL, shared by all who open it.

    A reservation is one transaction: the row of its hold, and one conditional
    `INSERT … ON CONFLICT DO UPDATE … WHERE used + amount <= limit`. A settlement is
    one of a `DELETE` and an `UPDATE`. SQLite lets one process write at a time: some
    hundreds of reservations a second from several. Its writes survive a killed process;
    a crash of the whole machine may lose the last ones, never the file.

    Opening it blocks, and makes the tables if they are missing. Asynchronous methods
    work in a thread. Safe across threads, event loops and forks.

    Args:
        target: Path of a SQLite file, or an SQLAlchemy URL (`sqlite:///…`,
            `postgresql+psycopg://…`, which needs the extra `postgres`).
        busy_timeout_s: Seconds that SQLite waits for another writer.
        clock: Seconds since the epoch: when to clear away windows that are over.

    Raises:
        ConfigurationError: The URL is wrong, or that of another database.
        MissingExtraError: The database's driver is not installed.
        StorageError: The database cannot be used.

    Example:
        ```python
        from langchain_llmops import Budget, SQLBudgetStore

        store = SQLBudgetStore("budgets.db")
        budget = Budget(limit_usd=50, window="month", scope="all", store=store)
        assert budget.status().used == 0
        ```
    """

    def __init__(
        self,
        target: str | Path = "sqlite:///llmops.db",
        *,
        busy_timeout_s: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._engine = open_engine(target, busy_timeout_s=busy_timeout_s)
        if self._engine.dialect.name not in _INSERTS:
            self._engine.dispose()
            raise ConfigurationError(
                f"{self._engine.dialect.name!r} cannot keep budgets: use a SQLite file "
                "or postgresql+psycopg://…"
            )
        try:
            create_tables(self._engine, _METADATA)
        except BaseException:
            self._engine.dispose()
            raise
        insert = _INSERTS[self._engine.dialect.name]
        self._hold = insert(_HOLDS).on_conflict_do_nothing().returning(_HOLDS.c.id)
        self._take = _take(insert(_ACCOUNTS))
        self._clean_at = float("-inf")

    def reserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold an amount if it fits: whether it did, and the balance after that."""
        self._clean()
        forget_at = min(hold.forget_at, _NEVER)
        with self._engine.connect() as connection:
            if hold.amount > limit:
                return False, _look(connection, hold.key)
            row = {
                "id": hold.id,
                "key": hold.key,
                "amount": hold.amount,
                "expires_at": hold.expires_at,
                "forget_at": forget_at,
            }
            if connection.execute(self._hold, row).first() is None:
                return True, _look(connection, hold.key)
            claim = {
                "key": hold.key,
                "used": hold.amount,
                "held": hold.amount,
                "unsettled": 0,
                "forget_at": forget_at,
                "limit": limit,
            }
            figures = connection.execute(self._take, claim).first()
            if figures is None:
                connection.rollback()
                return False, _look(connection, hold.key)
            connection.commit()
        return True, _balance(figures)

    async def areserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold as `reserve` does, in a thread."""
        return await _in_thread(self.reserve, hold, limit)

    def settle(self, hold: Hold, amount: int, *, unsettled: bool) -> Balance | None:
        """Put what was used in the place of a hold; 0 releases it."""
        with self._engine.begin() as connection:
            held = connection.execute(_TAKE_OFF, {"hold": hold.id}).scalar()
            if held is None:
                return None
            figures = connection.execute(
                _SETTLE,
                {
                    "account": hold.key,
                    "off": held,
                    "on": amount,
                    "marked": amount if unsettled else 0,
                },
            ).first()
        return None if figures is None else _balance(figures)

    async def asettle(
        self, hold: Hold, amount: int, *, unsettled: bool
    ) -> Balance | None:
        """Settle as `settle` does, in a thread."""
        return await _in_thread(self.settle, hold, amount, unsettled=unsettled)

    def balance(self, key: str, now: float) -> Balance:
        """Return the balance of an account; an unknown one is empty."""
        with self._engine.connect() as connection:
            overdue = connection.execute(_OVERDUE, {"account": key, "now": now})
            return _look(connection, key, int(overdue.scalar_one()))

    async def abalance(self, key: str, now: float) -> Balance:
        """Return what `balance` returns, from a thread."""
        return await asyncio.to_thread(self.balance, key, now)

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._engine.dispose()

    def _clean(self) -> None:
        now = self._clock()
        if now < self._clean_at:
            return
        self._clean_at = now + _CLEAN_EVERY_S
        with self._engine.begin() as connection:
            for table in (_ACCOUNTS, _HOLDS):
                connection.execute(delete(table).where(table.c.forget_at <= now))


def _take(insert: Any) -> Any:
    """Return the statement that opens an account, or adds to it what still fits."""
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[_ACCOUNTS.c.key],
        set_={
            "used": _ACCOUNTS.c.used + new.used,
            "held": _ACCOUNTS.c.held + new.held,
        },
        where=_ACCOUNTS.c.used + new.used <= bindparam("limit", type_=BigInteger),
    ).returning(*_FIGURES)


def _look(connection: Connection, key: str, overdue: int = 0) -> Balance:
    figures = connection.execute(_LOOK, {"account": key}).first()
    return Balance() if figures is None else _balance(figures, overdue)


def _balance(figures: Any, overdue: int = 0) -> Balance:
    used, held, unsettled = figures
    return Balance(used=used, held=held, unsettled=unsettled, overdue=overdue)


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work in a thread, and wait for its end even if cancelled: it cannot be stopped.

    Whoever is told of the cancellation can rely on what was done: a hold that was made
    meanwhile is there, and can be released.
    """
    future = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise

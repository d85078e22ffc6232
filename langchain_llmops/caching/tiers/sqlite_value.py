"""What the rows of a `SQLiteTier` are worth: `eviction.LeastValuable`, in SQL.

The ranks have a table of their own beside the answers, so that a file of either rule
serves the other. A row without a rank (written under the other rule) leaves first.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    column,
    delete,
    func,
    literal,
    select,
    table,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from langchain_llmops.caching.tiers.eviction import Appraiser

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from langchain_llmops.caching.tiers.base import Entry

__all__ = ["RANKS", "RowValues"]

_PENDING: Final = 10_000
"""Keys whose uses are counted in memory until the next sweep writes them down."""
_ROW_BYTES: Final = 200
"""Bytes that a row takes beside its value: key, indexes, its rank."""

RANKS: Final = MetaData()
_RANKS = Table(
    "llmops_cache_rank",
    RANKS,
    Column("key", String, primary_key=True),
    Column("value", Float, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("rank", Float, nullable=False),
)
_LEVELS = Table(
    "llmops_cache_level",
    RANKS,
    Column("id", Integer, primary_key=True),
    Column("level", Float, nullable=False),
)
_ROWS = table("llmops_cache", column("key"), column("expires_at"))

_LEVEL = func.coalesce(select(_LEVELS.c.level).scalar_subquery(), 0.0)
_INSERT = insert(_RANKS).values(
    key=bindparam("stored"),
    value=bindparam("worth"),
    uses=1,
    rank=_LEVEL + bindparam("worth"),
)
# Stored anew it is as popular as before.
_RANK = _INSERT.on_conflict_do_update(
    index_elements=[_RANKS.c.key],
    set_={
        "value": _INSERT.excluded.value,
        "uses": _RANKS.c.uses + 1,
        "rank": _LEVEL + (_RANKS.c.uses + 1) * _INSERT.excluded.value,
    },
)
_USED = (
    update(_RANKS)
    .where(_RANKS.c.key == bindparam("used"))
    .values(
        uses=_RANKS.c.uses + bindparam("times"),
        rank=_LEVEL + (_RANKS.c.uses + bindparam("times")) * _RANKS.c.value,
    )
)
_LOWEST = (
    select(_ROWS.c.key, func.coalesce(_RANKS.c.rank, 0.0).label("rank"))
    .select_from(_ROWS.outerjoin(_RANKS, _RANKS.c.key == _ROWS.c.key))
    .order_by("rank", _ROWS.c.key)
    .limit(bindparam("rows"))
).subquery()
_EVICT = delete(_ROWS).where(_ROWS.c.key.in_(select(_LOWEST.c.key)))
_RAISED = func.max(select(func.max(_LOWEST.c.rank)).scalar_subquery(), _LEVEL)
_SET_LEVEL = insert(_LEVELS).from_select(["id", "level"], select(literal(1), _RAISED))
_RAISE = _SET_LEVEL.on_conflict_do_update(
    index_elements=[_LEVELS.c.id], set_={"level": _SET_LEVEL.excluded.level}
)
_EXPIRED = delete(_RANKS).where(
    _RANKS.c.key.in_(
        select(_ROWS.c.key)
        .where(_ROWS.c.expires_at <= bindparam("now"))
        .limit(bindparam("rows"))
    )
)
_ORPHANS = delete(_RANKS).where(_RANKS.c.key.not_in(select(_ROWS.c.key)))


class RowValues:
    """Rank the rows of one file; every method but `used` is part of a transaction.

    Uses are counted in memory and written down with every sweep: reading a value still
    writes nothing. Safe across threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._appraiser = Appraiser()
        self._uses: Counter[str] = Counter()

    def used(self, key: str) -> None:
        """Count that a row was read."""
        with self._lock:
            if key in self._uses or len(self._uses) < _PENDING:
                self._uses[key] += 1

    def stored(self, connection: Connection, key: str, entry: Entry) -> None:
        """Rank a row that was written."""
        size = len(entry.value) + _ROW_BYTES
        with self._lock:
            worth = self._appraiser.worth(entry.usd, entry.tokens, size) / size
        connection.execute(_RANK, {"stored": key, "worth": worth})

    def count_uses(self, connection: Connection) -> None:
        """Write down what was read since the last time."""
        with self._lock:
            uses, self._uses = self._uses, Counter()
        if uses:
            rows = [{"used": key, "times": times} for key, times in uses.items()]
            connection.execute(_USED, rows)

    def evict(self, connection: Connection, rows: int) -> int:
        """Remove so many rows of the lowest rank, and return how many went."""
        connection.execute(_RAISE, {"rows": rows})
        gone = connection.execute(_EVICT, {"rows": rows}).rowcount
        self.forget_gone(connection)
        return gone

    def forget_expired(self, connection: Connection, now: float, rows: int) -> None:
        """Drop the ranks of rows that expired, so many at once: they go next."""
        connection.execute(_EXPIRED, {"now": now, "rows": rows})

    def forget_gone(self, connection: Connection) -> None:
        """Drop the ranks whose rows are not there any more."""
        connection.execute(_ORPHANS)

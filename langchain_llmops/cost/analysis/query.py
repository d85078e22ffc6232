"""Reading sums out of the ledger: the smallest table that answers, in one snapshot."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import Column, Integer, func, select, type_coerce
from sqlalchemy.exc import DBAPIError

from langchain_llmops.cost.ledger.rollups import MEASURES
from langchain_llmops.cost.ledger.tables import DAILY, DAILY_USERS, DIMENSIONS, HOURLY
from langchain_llmops.storage import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine, Table

__all__ = ["Axis", "Selection", "snapshot"]

Axis: TypeAlias = Literal["tenant", "user", "feature", "model", "provider"]
"""What a ledger can be broken down by."""

# SQLite's sums end at 64 bits, nine million dollars in picodollars.
_SPLIT = 10**6


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a connection on which all reads see the same moment.

    Raises:
        StorageError: The database cannot be read.
    """
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
    except DBAPIError as error:
        raise storage_error(engine, error) from error


class Selection:
    """The sums that fall into a window and match the conditions.

    Args:
        where: Dimension to the value that it must have.
        since: Start of the first period, in seconds since 1970; `None`: the earliest.
        until: End of the last period; `None`: the latest.
        hourly: Whether periods are hours.
        with_users: Whether users must be told apart; only by the day.
    """

    def __init__(
        self,
        *,
        where: Mapping[Axis, str],
        since: int | None,
        until: int | None,
        hourly: bool,
        with_users: bool,
    ) -> None:
        self._table = HOURLY if hourly else DAILY_USERS if with_users else DAILY
        start = self._table.c.start
        self._conditions = [
            self._column(dimension) == value for dimension, value in where.items()
        ]
        if since is not None:
            self._conditions.append(start >= since)
        if until is not None:
            self._conditions.append(start < until)

    def periods(self, connection: Connection) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield each period's start with its measures, in order."""
        start = self._table.c.start
        for (key,), measures in self._sums(connection, [start]):
            yield key, measures

    def groups(
        self, connection: Connection, by: Sequence[Axis]
    ) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
        """Yield the measures of each combination of dimensions."""
        yield from self._sums(connection, [self._column(each) for each in by])

    def _column(self, dimension: Axis) -> Column[Any]:
        return self._table.c[DIMENSIONS[dimension]]

    def _sums(
        self, connection: Connection, keys: Sequence[Column[Any]]
    ) -> Iterator[tuple[Any, tuple[int, ...]]]:
        on_sqlite = connection.dialect.name == "sqlite"
        sums = [
            part
            for measure in MEASURES
            for part in _summed(self._table, measure, split=on_sqlite)
        ]
        query = select(*keys, *sums).where(*self._conditions)
        for row in connection.execute(query.group_by(*keys).order_by(*keys)):
            values = [int(value) for value in row[len(keys) :]]
            yield (
                tuple(row[: len(keys)]),
                _joined(values) if on_sqlite else (tuple(values)),
            )


def _summed(table: Table, measure: str, *, split: bool) -> list[ColumnElement[Any]]:
    column = table.c[measure]
    if not (split and measure.endswith("_pico")):
        return [func.sum(column)]
    whole = type_coerce(column, Integer)
    return [func.sum(whole // _SPLIT), func.sum(whole % _SPLIT)]


def _joined(values: list[int]) -> tuple[int, ...]:
    """Put the halves of split sums together again."""
    amounts = sum(measure.endswith("_pico") for measure in MEASURES)
    whole, halves = values[: len(MEASURES) - amounts], values[-2 * amounts :]
    pairs = zip(halves[::2], halves[1::2], strict=True)
    return (*whole, *(high * _SPLIT + low for high, low in pairs))

"""What a store of questions in PostgreSQL does, step by step, without doing I/O.

Every operation is a generator: it yields statements to run, is sent the rows or thrown
the error, and returns its result. The synchronous and the asynchronous side of the
store run the same steps.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from psycopg import Error, OperationalError

from langchain_llmops.caching.semantic.base import Match
from langchain_llmops.caching.semantic.pg_schema import EXACT_ROWS, MAX_WIDTH
from langchain_llmops.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from langchain_llmops.caching.semantic.pg_connections import Row, Statement
    from langchain_llmops.caching.semantic.pg_schema import PgSchema
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["Batch", "PgOperations", "Steps"]

_NEWS_EVERY_S: Final = 1.0
"""How soon a calibration that another process made is known here."""
_UPKEEP_EVERY_S: Final = 60.0
"""How long the uses of questions are collected before they are written."""
_LARGE_FOR_S: Final = 600.0
"""How long a partition counts as too large to compare all of it."""
_REMEMBERED: Final = 10_000
"""Keys, and partitions, that a process keeps in mind."""
_LEAST_VERSION: Final = (0, 8)
"""Of pgvector: the first that searches on where a filter left too little."""

_Value = TypeVar("_Value")


class Batch(NamedTuple):
    """Statements to run together.

    Attributes:
        statements: SQL with parameters.
        patient: Whether they may take far longer than a lookup.
    """

    statements: Sequence[Statement]
    patient: bool = False


Steps: TypeAlias = "Generator[Batch, list[Row], _Value]"


class PgOperations:
    """The operations on the questions of one embedding model.

    Safe across threads and event loops: what it keeps in mind are hints.

    Args:
        schema: The statements.
        place: Where the server is, for messages.
        max_entries: Questions to keep.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        schema: PgSchema,
        *,
        place: str,
        max_entries: int,
        clock: Callable[[], float],
    ) -> None:
        self.record: str | None = None
        self.entries: int | None = None
        self.evicted = 0
        self._schema = schema
        self._place = place
        self._max_entries = max_entries
        self._clock = clock
        self._lock = Lock()
        self._created: set[int | None] = set()
        self._large: OrderedDict[str, float] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()
        self._unwritten: OrderedDict[str, None] = OrderedDict()
        self._version: int | None = None
        self._next_news = float("-inf")
        self._next_upkeep = float("-inf")
        self._adds = 0

    @property
    def news_due(self) -> bool:
        """Whether `catch_up` has something to do now."""
        return self._clock() >= self._next_news

    def quarantines(self, key: str) -> bool:
        """Return whether a quarantine of this question is not written yet."""
        return key in self._unwritten

    def touch(self, key: str) -> None:
        """Note that a question was used."""
        self._keep_in_mind(self._used, key, None)

    def take_out(self, key: str) -> None:
        """Note that a question must not be returned; `quarantine` writes it."""
        self._keep_in_mind(self._unwritten, key, None)

    def failed(self) -> None:
        """Look at the tables again: they may have gone with what failed."""
        self._created.clear()

    def catch_up(self) -> Steps[None]:
        """Read the calibration; write quarantines, and the uses once a minute."""
        now = self._clock()
        self._next_news = now + _NEWS_EVERY_S
        yield from self._ready(None)
        if self._unwritten:
            yield from self.quarantine()
        for version, record in (yield Batch([self._schema.read_record(self._version)])):
            self._version, self.record = version, record
        if now >= self._next_upkeep:
            self._next_upkeep = now + _UPKEEP_EVERY_S
            yield from self._upkeep()

    def search(
        self, partition: str, vector: Vector, floor: float, limit: int
    ) -> Steps[list[Match]]:
        """Return the nearest questions of a partition, the nearest first."""
        rows: list[Row] = []
        if vector.size > MAX_WIDTH:
            return []
        yield from self._ready(vector.size)
        large = self._large.get(partition, float("-inf")) > self._clock()
        if not large:
            rows = yield Batch([self._schema.search(partition, vector, limit)])
            large = any(compared > EXACT_ROWS for *_, compared in rows)
            if large:
                until = self._clock() + _LARGE_FOR_S
                self._keep_in_mind(self._large, partition, until)
        if large:
            rows = yield Batch([self._schema.search_graph(partition, vector, limit)])
        found = (
            # Half precision: a distance may end up a hair below zero.
            Match(key=key, text=text, similarity=min(1.0, round(1.0 - distance, 6)))
            for key, text, distance, _ in rows
            if key not in self._unwritten
        )
        return [match for match in found if match.similarity >= floor]

    def add(self, partition: str, key: str, text: str, vector: Vector) -> Steps[None]:
        """Return how to keep a question, and now and then to make room.

        Raises:
            ConfigurationError: pgvector has no index for a vector so wide.
        """
        if vector.size > MAX_WIDTH:
            raise ConfigurationError(
                f"a vector of {vector.size} dimensions is too wide for an index of "
                f"pgvector: ask the embedding model for {MAX_WIDTH} or fewer"
            )
        return self._add(partition, key, text, vector)

    def _add(self, partition: str, key: str, text: str, vector: Vector) -> Steps[None]:
        yield from self._ready(vector.size)
        yield Batch([self._schema.add(partition, key, text, vector)])
        with self._lock:
            self._adds += 1
            crowded = self._adds % max(1, self._max_entries // 100) == 0
        if crowded:
            yield from self._upkeep()

    def forget(self, keys: Sequence[str]) -> Steps[None]:
        """Remove questions."""
        yield from self._ready(None)
        yield Batch([self._schema.forget(keys)])

    def quarantine(self) -> Steps[None]:
        """Write what was taken out."""
        yield from self._ready(None)
        keys = list(self._unwritten)
        yield Batch(self._schema.quarantine(keys))
        with self._lock:
            for key in keys:
                self._unwritten.pop(key, None)

    def keep(self, record: str) -> Steps[None]:
        """Keep a calibration."""
        self.record = record
        yield from self._ready(None)
        rows = yield Batch([self._schema.keep_record(record)])
        self._version = rows[0][0]

    def clear(self) -> Steps[None]:
        """Forget every question, quarantined ones too."""
        with self._lock:
            for hints in (self._large, self._used, self._unwritten):
                hints.clear()
        yield from self._ready(None)
        yield Batch([self._schema.clear()], patient=True)
        self.entries = 0

    def _upkeep(self) -> Steps[None]:
        """Write the uses, evict what is too much, and count the rest."""
        with self._lock:
            used, self._used = list(self._used), OrderedDict()
        if used:
            yield Batch([self._schema.touch(used)], patient=True)
        rows = yield Batch([self._schema.evict(self._max_entries)], patient=True)
        self.entries, evicted = rows[0]
        with self._lock:
            self.evicted += evicted

    def _ready(self, width: int | None) -> Steps[None]:
        """Create the tables that are missing, once."""
        if width in self._created:
            return
        if width is None:
            yield from self._extension()
        else:
            yield from self._ready(None)
        rows = yield Batch([self._schema.exists(width)], patient=True)
        if not rows[0][0]:
            try:
                yield Batch(self._schema.create(width), patient=True)
            except Error as error:
                raise self._unusable(
                    error,
                    "the tables of questions cannot be created",
                    "may create them",
                ) from error
        self._created.add(width)

    def _extension(self) -> Steps[None]:
        """See that pgvector is there, and new enough."""
        look = Batch([self._schema.extension()], patient=True)
        rows = yield look
        if not rows:
            try:
                yield Batch(self._schema.create_extension(), patient=True)
            except Error as error:
                raise self._unusable(
                    error,
                    "there is no pgvector",
                    "is a superuser run CREATE EXTENSION vector (package "
                    "postgresql-<version>-pgvector on the server)",
                ) from error
            rows = yield look
        version = rows[0][0]
        if _numbers(version) < _LEAST_VERSION:
            raise StorageError(
                f"pgvector {version} in {self._place} is too old: install 0.8 or newer "
                "and run ALTER EXTENSION vector UPDATE"
            )

    def _unusable(self, error: Error, what: str, way_out: str) -> Exception:
        """Return one clear sentence, unless the server is merely out of reach."""
        if isinstance(error, OperationalError):
            return error
        cause = str(error).partition("\n")[0]
        return StorageError(
            f"{what} in {self._place} ({cause}): let a role that {way_out}"
        )

    def _keep_in_mind(self, hints: OrderedDict[str, Any], key: str, value: Any) -> None:
        with self._lock:
            hints[key] = value
            hints.move_to_end(key)
            if len(hints) > _REMEMBERED:
                hints.popitem(last=False)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())

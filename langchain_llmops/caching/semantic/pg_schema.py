"""The tables of questions in PostgreSQL, and every statement about them.

A model has one narrow table of questions, which is written when a question is used, and
for each width of its vectors a table of vectors, which is not: an update there would be
another insert into the graph. Deleting a question deletes its vector.

A search compares every vector of a small partition. Only a partition too large for that
goes through the graph (HNSW), which knows nothing of partitions: it is walked on until
enough of its finds are in the right one (an iterative scan). A partition that holds a
fair share of the table is found soon; one that holds next to nothing may not be found
at all, and is never looked for that way.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from pgvector import HalfVector

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.caching.semantic.pg_connections import Statement
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["EXACT_ROWS", "MAX_WIDTH", "SESSION", "PgSchema", "check_prefix"]

EXACT_ROWS: Final = 5_000
"""Up to so many questions of a partition are all compared, in some 1.5 ms."""

SESSION: Final = """
SET enable_seqscan = off;
SET jit = off;
SET hnsw.ef_search = 200;
SET hnsw.iterative_scan = relaxed_order
"""
"""How a connection is set up for these statements.

`hnsw.ef_search` and `ef_construction` buy recall: with their defaults, 40 and 64, one
near question in fourteen was not found among 100,000; with 200 and 128 none of 600 was
missed. And each search means one index: a planner that guesses from old statistics how
large a partition is must not read the whole table instead.
"""

MAX_WIDTH: Final = 4_000
"""Dimensions that pgvector can index in half precision."""

_PREFIX: Final = re.compile(r"[a-z_][a-z0-9_]{0,29}")

_CREATE: Final = (
    """
    CREATE TABLE IF NOT EXISTS {records} (
        embedding text PRIMARY KEY,
        record text NOT NULL,
        version bigint NOT NULL DEFAULT 1
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {questions} (
        key text PRIMARY KEY,
        question text NOT NULL,
        used timestamptz NOT NULL DEFAULT now(),
        quarantined boolean NOT NULL DEFAULT false
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS {questions}_used ON {questions} (used)
    WHERE NOT quarantined
    """,
)
# Plain storage keeps a vector in its row, however wide: looking up each one elsewhere
# takes far longer than comparing it.
_CREATE_VECTORS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {vectors} (
        key text PRIMARY KEY REFERENCES {questions} ON DELETE CASCADE,
        partition text NOT NULL,
        vector halfvec({width}) STORAGE PLAIN NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS {vectors}_partition ON {vectors} (partition)",
    """
    CREATE INDEX IF NOT EXISTS {vectors}_near ON {vectors}
    USING hnsw (vector halfvec_cosine_ops) WITH (ef_construction = 128)
    """,
)
_SEARCH: Final = """
SELECT q.key, q.question, near.distance, near.compared
FROM (
    SELECT key, distance, count(*) OVER () AS compared
    FROM (
        SELECT key, vector <=> %s::halfvec({width}) AS distance
        FROM {vectors} WHERE partition = %s LIMIT %s
    ) AS part
    ORDER BY distance LIMIT %s
) AS near
JOIN {questions} AS q ON q.key = near.key
WHERE NOT q.quarantined
ORDER BY near.distance
"""
# The partition is compared as an expression, so that only the graph can answer.
_SEARCH_GRAPH: Final = """
SELECT q.key, q.question, near.distance, NULL
FROM (
    SELECT key, vector <=> %(vector)s::halfvec({width}) AS distance
    FROM {vectors} WHERE partition || '' = %(partition)s
    ORDER BY vector <=> %(vector)s::halfvec({width}) LIMIT %(limit)s
) AS near
JOIN {questions} AS q ON q.key = near.key
WHERE NOT q.quarantined
ORDER BY near.distance
"""
_ADD: Final = """
WITH kept AS (
    INSERT INTO {questions} AS q (key, question) VALUES (%s, %s)
    ON CONFLICT (key) DO UPDATE SET question = excluded.question, used = now()
    WHERE NOT q.quarantined
    RETURNING key
)
INSERT INTO {vectors} AS v (key, partition, vector)
SELECT key, %s, %s::halfvec({width}) FROM kept
ON CONFLICT (key) DO UPDATE
SET partition = excluded.partition, vector = excluded.vector
WHERE (v.partition, v.vector) <> (excluded.partition, excluded.vector)
"""
_FORGET: Final = "DELETE FROM {questions} WHERE key = ANY(%s) AND NOT quarantined"
_REMOVE: Final = "DELETE FROM {questions} WHERE key = ANY(%s)"
_MARK: Final = """
INSERT INTO {questions} (key, question, quarantined)
SELECT key, '', true FROM unnest(%s::text[]) AS key
ON CONFLICT (key) DO UPDATE SET quarantined = true
"""
_TOUCH: Final = """
UPDATE {questions} SET used = now() WHERE key = ANY(%s) AND NOT quarantined
"""
_EVICT: Final = """
WITH counted AS (SELECT count(*) AS n FROM {questions} WHERE NOT quarantined),
gone AS (
    DELETE FROM {questions} WHERE key IN (
        SELECT key FROM {questions} WHERE NOT quarantined ORDER BY used
        LIMIT (SELECT greatest(n - %s, 0) FROM counted)
    )
    RETURNING key
)
SELECT n - (SELECT count(*) FROM gone), (SELECT count(*) FROM gone) FROM counted
"""
_CLEAR: Final = "TRUNCATE {questions} CASCADE"
_READ_RECORD: Final = """
SELECT version, record FROM {records}
WHERE embedding = %s AND version IS DISTINCT FROM %s::bigint
"""
_KEEP_RECORD: Final = """
INSERT INTO {records} AS r (embedding, record) VALUES (%s, %s)
ON CONFLICT (embedding) DO UPDATE
SET record = excluded.record, version = r.version + 1
RETURNING version
"""


def check_prefix(prefix: str) -> None:
    """See that a prefix can begin the name of a table.

    Raises:
        ConfigurationError: It is no plain name: names are not quoted.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"prefix={prefix!r} cannot begin a table's name: use at most 30 "
            "lower-case letters, digits and underscores"
        )


class PgSchema:
    """Names and statements for the questions of one embedding model; does no I/O.

    Args:
        prefix: What every table's name begins with, checked.
        embedding: Identity of the model.
    """

    def __init__(self, *, prefix: str, embedding: str) -> None:
        model = blake2b(embedding.encode(), digest_size=8).hexdigest()
        self._embedding = embedding
        self._prefix = prefix
        self._questions = f"{prefix}_{model}"
        self._records = f"{prefix}_calibration"

    def extension(self) -> Statement:
        """Select the version of pgvector in this database, if it is there."""
        return "SELECT extversion FROM pg_extension WHERE extname = 'vector'", ()

    def create_extension(self) -> list[Statement]:
        """Add pgvector to the database."""
        return [self._lock(), ("CREATE EXTENSION IF NOT EXISTS vector", ())]

    def exists(self, width: int | None) -> Statement:
        """Select whether the tables are there: few may create any, many may use them.

        Args:
            width: Dimensions of the vectors; `None` asks for what they share.
        """
        names = [self._vectors(width)] if width else [self._questions, self._records]
        return (
            "SELECT bool_and(to_regclass(name) IS NOT NULL)"
            " FROM unnest(%s::text[]) AS name"
        ), (names,)

    def create(self, width: int | None) -> list[Statement]:
        """Create the tables; safe when several processes do it at once.

        Args:
            width: Dimensions of the vectors; `None` creates what they share.
        """
        templates = _CREATE if width is None else _CREATE_VECTORS
        return [self._lock(), *((self._sql(text, width), ()) for text in templates)]

    def search(self, partition: str, vector: Vector, limit: int) -> Statement:
        """Select the nearest of a partition: key, text, distance, rows compared.

        More rows compared than `EXACT_ROWS` mean that not all were.
        """
        parameters = (HalfVector(vector), partition, EXACT_ROWS + 1, limit)
        return self._sql(_SEARCH, vector.size), parameters

    def search_graph(self, partition: str, vector: Vector, limit: int) -> Statement:
        """Select the nearest of a large partition: key, text, distance, `NULL`."""
        parameters = {
            "vector": HalfVector(vector),
            "partition": partition,
            "limit": limit,
        }
        return self._sql(_SEARCH_GRAPH, vector.size), parameters

    def add(self, partition: str, key: str, text: str, vector: Vector) -> Statement:
        """Keep a question and its vector, unless it is quarantined."""
        parameters = (key, text, partition, HalfVector(vector))
        return self._sql(_ADD, vector.size), parameters

    def forget(self, keys: Sequence[str]) -> Statement:
        """Remove questions; marks of quarantined ones stay."""
        return self._sql(_FORGET), (list(keys),)

    def quarantine(self, keys: Sequence[str]) -> list[Statement]:
        """Put a mark without a vector in the place of questions, known ones or not."""
        parameters = (list(keys),)
        return [(self._sql(text), parameters) for text in (_REMOVE, _MARK)]

    def touch(self, keys: Sequence[str]) -> Statement:
        """Note that questions were used."""
        return self._sql(_TOUCH), (list(keys),)

    def evict(self, max_entries: int) -> Statement:
        """Remove the least recently used surplus; select questions left and removed."""
        return self._sql(_EVICT), (max_entries,)

    def clear(self) -> Statement:
        """Forget every question of the model, of whatever width."""
        return self._sql(_CLEAR), ()

    def read_record(self, version: int | None) -> Statement:
        """Select version and text of the calibration, unless it is the known one."""
        return self._sql(_READ_RECORD), (self._embedding, version)

    def keep_record(self, record: str) -> Statement:
        """Keep a calibration in place of the one before; select its version."""
        return self._sql(_KEEP_RECORD), (self._embedding, record)

    def _lock(self) -> Statement:
        """Let one process at a time create things, until its transaction ends.

        `IF NOT EXISTS` alone fails if two create the same table at once.
        """
        return "SELECT pg_advisory_xact_lock(hashtext(%s))", (self._prefix,)

    def _vectors(self, width: int) -> str:
        return f"{self._questions}_{width}"

    def _sql(self, template: str, width: int | None = None) -> str:
        return template.format(
            questions=self._questions,
            records=self._records,
            vectors=None if width is None else self._vectors(width),
            width=width,
        )

"""The manifest's tables: versions, what each added and removed, who reads which."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

__all__ = [
    "BASES",
    "ITEMS",
    "METADATA",
    "OWED",
    "REGIONS",
    "REMOVED",
    "SCHEMA_VERSION",
    "VERSIONS",
]

SCHEMA_VERSION: Final = 1

METADATA: Final = MetaData()

# SQLite numbers rows by itself only in a column of this very type.
_SEQ: Final = BigInteger().with_variant(Integer, "sqlite")

BASES: Final = Table(
    "llmops_kb_bases",
    METADATA,
    Column("kb", String, primary_key=True),
    Column("schema", Integer, nullable=False),
    Column("active", Integer, nullable=False),
    Column("announced", Integer, nullable=False),
    Column("sample", LargeBinary),
)
"""One row per knowledge base. `sample`: how its model embeds a fixed text."""

REGIONS: Final = Table(
    "llmops_kb_regions",
    METADATA,
    Column("kb", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("active", Integer, nullable=False),
)
"""The version that readers of a region see: all switched in one transaction."""

VERSIONS: Final = Table(
    "llmops_kb_versions",
    METADATA,
    Column("kb", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("parent", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

ITEMS: Final = Table(
    "llmops_kb_items",
    METADATA,
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    Column("kb", String, nullable=False),
    Column("name", String, nullable=False),
    Column("added", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("regions", Text, nullable=False),
    Index("llmops_kb_items_name", "kb", "name", "added", unique=True),
    Index("llmops_kb_items_added", "kb", "added", "seq"),
)
"""What stands in the stores, under `name@added`; `regions` are split by commas."""

REMOVED: Final = Table(
    "llmops_kb_removed",
    METADATA,
    Column("kb", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Index("llmops_kb_removed_seq", "seq"),
)

OWED: Final = Table(
    "llmops_kb_owed",
    METADATA,
    Column("kb", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("document", Text, nullable=False),
)
"""What a region that was down has to be given before it can go on."""

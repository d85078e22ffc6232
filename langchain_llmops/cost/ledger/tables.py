"""The ledger's tables: a row per call, its unit prices, and sums by hour and day."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
)

from langchain_llmops.cost.ledger.rollups import MEASURES

__all__ = [
    "CALLS",
    "DAILY",
    "DAILY_USERS",
    "DIMENSIONS",
    "HOURLY",
    "METADATA",
    "ROLLUPS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "UNIT_PRICES",
]

SCHEMA_VERSION: Final = 1

METADATA: Final = MetaData()

# Sums of picodollars may outgrow 64 bits; SQLite knows no other integers.
_SUM: Final = BigInteger().with_variant(Numeric(38, 0), "postgresql")

DIMENSIONS: Final = {
    "tenant": "tenant",
    "user": "user_id",
    "feature": "feature",
    "model": "model",
    "provider": "provider",
}
"""What can be reported by, to its column (`user` is a reserved word of SQL)."""

SCHEMA: Final = Table(
    "llmops_ledger_schema",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

UNIT_PRICES: Final = Table(
    "llmops_unit_prices",
    METADATA,
    Column("id", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("usd_per_million", Text, nullable=False),
)

CALLS: Final = Table(
    "llmops_calls",
    METADATA,
    Column("run_id", LargeBinary, primary_key=True),
    Column("started_at", Float, nullable=False),
    *(Column(name, String, nullable=False) for name in DIMENSIONS.values()),
    Column("service_tier", String),
    Column("basis", String, nullable=False),
    Column("error", String),
    Column("cache_kind", String),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_read", BigInteger, nullable=False),
    Column("cache_write", BigInteger, nullable=False),
    Column("cache_write_1h", BigInteger, nullable=False),
    Column("input_audio", BigInteger, nullable=False),
    Column("output_audio", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("cost_pico", BigInteger),
    Column("saved_pico", BigInteger, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("first_token_s", Float),
    Column("price_id", String),
)


def _rollup(name: str, *dimensions: str) -> Table:
    keys = ("start", *(DIMENSIONS[dimension] for dimension in dimensions))
    return Table(
        name,
        METADATA,
        *(
            Column(
                key,
                BigInteger if key == "start" else String,
                primary_key=True,
                autoincrement=False,
            )
            for key in keys
        ),
        *(
            Column(
                measure,
                _SUM if measure.endswith("_pico") else BigInteger,
                nullable=False,
            )
            for measure in MEASURES
        ),
        sqlite_with_rowid=False,
    )


HOURLY: Final = _rollup("llmops_hourly", "tenant", "feature", "model", "provider")
DAILY: Final = _rollup("llmops_daily", "tenant", "feature", "model", "provider")
DAILY_USERS: Final = _rollup("llmops_daily_users", *DIMENSIONS)

ROLLUPS: Final = (HOURLY, DAILY, DAILY_USERS)
"""The tables of sums, in the order of `rollups.Rollups`."""

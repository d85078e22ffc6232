"""Engines for everything that remembers: SQLite files, PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.storage.engine import (
        create_tables,
        open_engine,
        storage_error,
    )

__all__ = ("create_tables", "open_engine", "storage_error")

__getattr__, __dir__ = lazy_names(
    __name__, dict.fromkeys(__all__, f"{__name__}.engine")
)

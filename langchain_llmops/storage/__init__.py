"""Engines for everything that remembers: SQLite files, PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.storage.engine import open_engine

__all__ = ("open_engine",)

__getattr__, __dir__ = lazy_names(__name__, {"open_engine": f"{__name__}.engine"})

"""Many who open one PostgreSQL database at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import Column, Integer, MetaData, Table, inspect

from langchain_llmops.storage import create_tables, open_engine

OPENERS = 8


def test_tables_are_created_once_however_many_begin_at_once(postgres):
    metadata = MetaData()
    for name in ("one", "two", "three"):
        Table(name, metadata, Column("id", Integer, primary_key=True, index=True))
    start = Barrier(OPENERS)

    def create(_):
        engine = open_engine(postgres)
        try:
            start.wait(10)
            create_tables(engine, metadata)
            return inspect(engine).get_table_names()
        finally:
            engine.dispose()

    with ThreadPoolExecutor(OPENERS) as pool:
        seen = list(pool.map(create, range(OPENERS)))
    assert all({"one", "two", "three"} <= set(names) for names in seen)

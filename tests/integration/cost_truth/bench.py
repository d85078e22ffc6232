"""What each row of the truth table is made of, and how a row is run.

A scenario makes calls on a bench; the bench knows what the providers billed for them;
a watcher (a callback handler) says what it saw. The table puts the two side by side.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cost_truth.messages_api import MODEL, Bill, MessagesApi
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient

from langchain_llmops.testing import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from langchain_core.callbacks import BaseCallbackHandler

    from langchain_llmops.pricing import Prices
    from langchain_llmops.testing.invoice import InvoiceRow

__all__ = ["PROMPT", "SCENARIOS", "Bench", "Scenario", "run", "scenario"]

PROMPT = "Context: The sky is blue and the grass is green.\n\nQuestion: Which is blue?"


@dataclass(kw_only=True)
class Bench:
    """Where one scenario makes its calls."""

    provider: LocalProvider
    claude_api: MessagesApi
    watcher: BaseCallbackHandler
    elsewhere: list[Bill] = field(default_factory=list)
    http: DefaultAsyncHttpxClient | None = None
    usd_of: Callable[[InvoiceRow], Decimal] = lambda row: row.usd

    @property
    def config(self) -> dict[str, Any]:
        return {"callbacks": [self.watcher]}

    def chat(self, **options: Any) -> ChatOpenAI:
        options = {"model": "gpt-4o-mini", "max_retries": 0, **options}
        options.setdefault("stream_usage", True)
        options.setdefault("http_async_client", self.http)
        return ChatOpenAI(base_url=self.provider.base_url, api_key="-", **options)

    def claude(self, **options: Any) -> ChatAnthropic:
        url, key = self.claude_api.base_url, "-"
        return ChatAnthropic(
            model=MODEL, base_url=url, api_key=key, max_retries=0, **options
        )

    def bill(self, input_tokens: int, output_tokens: int, usd: str) -> None:
        """Note what a provider charges that is not on loopback."""
        self.elsewhere.append(
            Bill(
                input_tokens=input_tokens, output_tokens=output_tokens, usd=Decimal(usd)
            )
        )

    def bills(self) -> list[Bill]:
        """Return everything that was billed; the truth."""
        self.provider.wait_idle()
        rows = [
            Bill(
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                usd=self.usd_of(row),
            )
            for row in self.provider.invoice
        ]
        return [*rows, *self.claude_api.bills, *self.elsewhere]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row: what is done, and what a report must flag about it.

    Attributes:
        name: What the table calls it.
        act: Makes the calls.
        provider: Arguments of `LocalProvider`.
        prices: Prices of our handler, where they are not today's list prices.
        estimated: Calls whose amounts may be up to a tenth off.
        unsettled: Calls of which nobody can know; they are in no sum.
        unpriced: Calls of models that have no price.
        hits: Answers that came out of a cache.
    """

    name: str
    act: Callable[[Bench], Awaitable[None] | None]
    provider: Mapping[str, Any]
    prices: Callable[[], Prices] | None = None
    estimated: int = 0
    unsettled: int = 0
    unpriced: int = 0
    hits: int = 0


SCENARIOS: list[Scenario] = []


def scenario(
    name: str, *, provider: Mapping[str, Any] | None = None, **expected: Any
) -> Callable[[Callable[[Bench], Any]], Callable[[Bench], Any]]:
    """Add a function to the table."""

    def add(act: Callable[[Bench], Any]) -> Callable[[Bench], Any]:
        row = Scenario(name=name, act=act, provider=provider or {}, **expected)
        SCENARIOS.append(row)
        return act

    return add


def run(row: Scenario, watcher: BaseCallbackHandler) -> list[Bill]:
    """Run a scenario under a watcher and return what was billed for it."""
    with LocalProvider(**row.provider) as provider, MessagesApi() as claude_api:
        bench = Bench(provider=provider, claude_api=claude_api, watcher=watcher)
        if inspect.iscoroutinefunction(row.act):
            asyncio.run(_act(row, bench))
        else:
            row.act(bench)
        return bench.bills()


async def _act(row: Scenario, bench: Bench) -> None:
    # The client that langchain-openai would share outlives each loop.
    async with DefaultAsyncHttpxClient() as bench.http:
        await row.act(bench)

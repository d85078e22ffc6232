"""One provider, and everything that counts what its calls cost."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from langchain_llmops import (
    Budget,
    BudgetLayer,
    CostAnalyzer,
    CostCallbackHandler,
    MetricsCallbackHandler,
    UsageLedger,
    with_layers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_llmops import ModelLayer
    from langchain_llmops.testing import LocalProvider

__all__ = ["WHO", "Books"]

TO_THE_NANO = Decimal("1e-9")
WHO = {"tenant": "acme", "feature": "agent"}


class Books:
    """Everything that counts, on one set of callbacks and one budget."""

    def __init__(self, provider: LocalProvider, path: Path, **limit: Any) -> None:
        self.provider = provider
        self.ledger = UsageLedger(path)
        self.costs = CostCallbackHandler(self.ledger)
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.metrics = MetricsCallbackHandler(self._meters.get_meter("test"))
        self.budget = Budget(**limit, soft_limits=())
        self.config: Any = {"callbacks": [self.costs, self.metrics], "metadata": WHO}
        # The client that langchain-openai would share outlives each loop.
        self.http = DefaultAsyncHttpxClient()
        self.model = self.chat()

    def chat(self, *outer: ModelLayer, **options: Any) -> ChatOpenAI:
        """Return a model within the budget, and within the layers around that."""
        options = {"model": "gpt-4o-mini", "stream_usage": True, **options}
        plain = ChatOpenAI(
            base_url=self.provider.base_url,
            api_key="-",
            max_retries=0,
            http_async_client=self.http,
            **options,
        )
        return with_layers(plain, *outer, BudgetLayer(self.budget))

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.ledger.aclose()
        self._meters.shutdown()

    def metered(self) -> dict[str, float]:
        data = self._reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = metric.data.data_points
                    found[metric.name] = sum(getattr(p, "value", 0) for p in points)
                    if metric.name.endswith("duration"):
                        found[metric.name] = sum(p.count for p in points)
        return found

    def assert_all_equal_the_invoice(self, calls: int, refused: int = 0) -> None:
        """Each of them has each billed call once, at the same price, and knows it."""
        rows = self.provider.invoice
        billed = self.provider.invoiced_usd
        assert len(rows) == calls
        report, status = self.costs.report(), self.budget.status(WHO)
        total = CostAnalyzer(self.ledger).analyze(by=()).total
        metered = self.metered()
        assert report.calls == total.calls == calls
        assert metered["gen_ai.client.operation.duration"] == calls + refused
        dollars = [report.usd, total.usd, status.used]
        dollars.append(Decimal(repr(metered["llmops.client.cost"])))
        assert all(abs(usd - billed) <= TO_THE_NANO for usd in dollars)
        assert (report.estimated, report.unsettled, total.unsettled) == (0, 0, 0)
        assert (status.reserved, status.unsettled) == (0, 0)
        use = float(status.used / status.limit)
        assert abs(metered["llmops.budget.use"] - use) < 1e-9

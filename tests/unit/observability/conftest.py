"""A chat model whose replies and failures are scripted, and metrics kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pydantic import Field

from langchain_llmops import MetricsCallbackHandler
from langchain_llmops.pricing import Prices, UsdPerMillion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.metrics import Meter

USAGE = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}


class ScriptedModel(BaseChatModel):
    """Streams `words` and reports 100 tokens in, 10 out."""

    model: str = "fake-1"
    words: tuple[str, ...] = ("Hello", " there", " world")
    usage: dict[str, Any] | None = Field(default_factory=USAGE.copy)
    error: Any = None
    fails_after: int | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.error is not None:
            raise self.error
        message = AIMessage(
            "".join(self.words),
            usage_metadata=self.usage,
            response_metadata={"model_name": self.model},
        )
        return ChatResult(
            generations=[ChatGeneration(message=message)],
            llm_output={"model_name": self.model},
        )

    def _stream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        if self.error is not None and self.fails_after is None:
            raise self.error
        yield ChatGenerationChunk(message=AIMessageChunk(""))  # a role, as OpenAI's
        for number, word in enumerate(self.words):
            if number == self.fails_after:
                raise self.error
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        said = {"model_name": self.model}
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                "", usage_metadata=self.usage, response_metadata=said
            )
        )

    async def _astream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


class Metrics:
    """What a reader in memory collects, by name of the instrument."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter: Meter = self.provider.get_meter("test")

    def points(self, name: str) -> list[Any]:
        return list(self.metric(name).data.data_points)

    def metric(self, name: str) -> Any:
        return self.all()[name]

    def all(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def total(self, name: str, **labels: str) -> float:
        """Add up a counter's values, or a histogram's number of records."""
        metric = self.all().get(name)
        wanted = {key.replace("__", "."): value for key, value in labels.items()}
        return sum(
            point.count if hasattr(point, "bucket_counts") else point.value
            for point in (metric.data.data_points if metric else ())
            if wanted.items() <= dict(point.attributes).items()
        )


@pytest.fixture
def scripted() -> type[ScriptedModel]:
    return ScriptedModel


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    kept = Metrics()
    yield kept
    kept.provider.shutdown()


@pytest.fixture
def prices() -> Prices:
    """A million tokens for 1 dollar in and 10 out."""
    return Prices({"fake-1": UsdPerMillion(input=1, output=10, cache_read="0.1")})


@pytest.fixture
def handler(metrics: Metrics, prices: Prices) -> MetricsCallbackHandler:
    return MetricsCallbackHandler(metrics.meter, prices=prices)

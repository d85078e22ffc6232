"""MetricsCallbackHandler behind real exporters: Prometheus, and OTLP that is down."""

from __future__ import annotations

import logging
import socket
import threading
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from prometheus_client import REGISTRY, generate_latest, start_http_server
from pydantic import SecretStr

from langchain_llmops import (
    CacheLayer,
    MetricsCallbackHandler,
    TieredCache,
    with_layers,
)
from langchain_llmops.testing import Latency, LocalProvider, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = {"metadata": {"tenant": "acme", "feature": "faq"}}


def openai(provider: LocalProvider, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o-mini",
        base_url=provider.base_url,
        api_key=SecretStr("local"),
        max_retries=0,
        stream_usage=True,
        **more,
    )


def values(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    return {
        metric.name: list(metric.data.data_points)
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.fixture
def prometheus() -> Iterator[MeterProvider]:
    provider = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def test_prometheus_scrapes_what_the_invoice_says(
    provider: LocalProvider, prometheus: MeterProvider
):
    handler = MetricsCallbackHandler(prometheus.get_meter("test"))
    model = with_layers(openai(provider), CacheLayer(TieredCache()))
    for _ in range(2):
        list(model.stream("What is tea?", CONFIG | {"callbacks": [handler]}))
    server, thread = start_http_server(0, addr="127.0.0.1")
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url) as response:
            text = response.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    samples = [line for line in text.splitlines() if 'tenant="acme"' in line]
    labels = 'gen_ai_operation_name="chat"', 'gen_ai_request_model="gpt-4o-mini"'
    assert all(label in line for line in samples for label in labels)
    found = {
        line.split("{")[0]: float(line.rsplit(" ", 1)[1])
        for line in samples
        if "bucket" not in line
    }
    (row,) = provider.invoice
    usage = "gen_ai_client_inference_usage"
    assert found[f"{usage}_input_tokens_total"] == row.input_tokens
    assert found[f"{usage}_output_tokens_total"] == row.output_tokens
    assert found["llmops_client_cost_USD_total"] == pytest.approx(float(row.usd))
    assert found["llmops_cache_saved_USD_total"] == pytest.approx(float(row.usd))
    assert found["llmops_cache_hits_total"] == 1
    assert found["gen_ai_client_operation_duration_seconds_count"] == 1
    assert found["gen_ai_client_operation_time_to_first_chunk_seconds_count"] == 1
    assert generate_latest(REGISTRY)


def closed_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("kind", ["down", "slow"])
def test_an_exporter_in_trouble_is_not_noticed(
    kind: str,
    provider: LocalProvider,
    silent_port: int,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.CRITICAL)
    port = closed_port() if kind == "down" else silent_port
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{port}/v1/metrics", timeout=5)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=20)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    handler = MetricsCallbackHandler(meters.get_meter("test"))
    model = openai(provider)
    model.invoke("warm up")
    began = time.perf_counter()
    for _ in range(10):
        assert model.invoke("What is tea?", CONFIG | {"callbacks": [handler]}).text
        assert list(model.stream("Tea?", CONFIG | {"callbacks": [handler]}))
    assert time.perf_counter() - began < 4  # an export waits for 5 seconds
    assert len(provider.invoice) == 21
    meters.shutdown(timeout_millis=100)


async def test_time_to_first_chunk_of_a_real_stream():
    latency = Latency(first_token_s=0.2, tokens_per_s=200)
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    handler = MetricsCallbackHandler(meters.get_meter("test"))
    config = CONFIG | {"callbacks": [handler]}
    async with (
        LocalProvider(latency=latency) as provider,
        DefaultAsyncHttpxClient() as http,
    ):
        model = openai(provider, http_async_client=http)
        cached = with_layers(model, CacheLayer(TieredCache()))
        assert [chunk async for chunk in cached.astream("What is tea?", config)]
        # A replay: its chunks come at once, and are none of the provider's.
        assert [chunk async for chunk in cached.astream("What is tea?", config)]
        provider.inject(ServerError())
        failing = model.with_fallbacks([cached])
        assert [chunk async for chunk in failing.astream("What is tea?", config)]
    found = values(reader)
    (first,) = found["gen_ai.client.operation.time_to_first_chunk"]
    assert (first.count, first.sum >= 0.2) == (1, True)
    (gaps,) = found["gen_ai.client.operation.time_per_output_chunk"]
    assert gaps.count > 3
    assert gaps.sum < first.sum + 1
    assert sum(point.value for point in found["llmops.cache.hits"]) == 2
    durations = found["gen_ai.client.operation.duration"]
    assert sorted(p.count for p in durations) == [1, 1]
    meters.shutdown()


def test_many_threads_while_somebody_collects(provider: LocalProvider):
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    handler = MetricsCallbackHandler(meters.get_meter("test"))
    model = openai(provider)
    ended = threading.Event()

    def collect() -> None:
        while not ended.is_set():
            reader.get_metrics_data()

    collector = threading.Thread(target=collect)
    collector.start()

    def leave_early(_: int) -> None:
        for _chunk in model.stream("What is tea?", CONFIG | {"callbacks": [handler]}):
            break

    threads = [threading.Thread(target=leave_early, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    collector.join()
    found = values(reader)
    assert sum(p.count for p in found["gen_ai.client.operation.duration"]) == 20
    meters.shutdown()

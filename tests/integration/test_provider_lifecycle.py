"""Starting, stopping, clocks, many at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest

from langchain_llmops.errors import LocalProviderError
from langchain_llmops.testing import (
    Hang,
    Latency,
    LocalProvider,
    RateLimited,
    local_provider,
    serve,
)


def ask(text: str = "hi", **body: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **body}


class VirtualClock:
    """A clock that a sleep moves, so that paced streams take no time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def test_a_used_port_is_named_with_the_way_out(provider):
    with (
        pytest.raises(LocalProviderError, match=f"port={provider.port}.*or 0 for"),
        LocalProvider(port=provider.port),
    ):
        pass


def test_starting_twice_is_refused(provider):
    with pytest.raises(LocalProviderError, match="running already"):
        provider.start()


def test_stopping_frees_port_thread_and_keeps_the_invoice():
    threads = threading.active_count()
    provider = LocalProvider()
    with provider:
        httpx.post(f"{provider.base_url}/chat/completions", json=ask())
    assert threading.active_count() == threads
    assert len(provider.invoice) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{provider.base_url}/chat/completions", json=ask())
    provider.stop()


def test_a_stopped_provider_starts_again_on_its_port():
    provider = LocalProvider().start()
    port = provider.port
    provider.stop()
    with provider:
        assert provider.port == port
        url = f"{provider.base_url}/chat/completions"
        assert httpx.post(url, json=ask()).status_code == 200


def test_stopping_does_not_wait_for_open_streams():
    provider = LocalProvider(faults=[Hang(at_token=1)])
    with (
        provider,
        httpx.Client() as http,
        http.stream(
            "POST", f"{provider.base_url}/chat/completions", json=ask(stream=True)
        ) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        start = time.monotonic()
        provider.stop()
        assert time.monotonic() - start < 1
    assert provider.active == 0
    assert provider.invoice[0].status == "aborted"


def test_waiting_for_a_hung_request_says_what_to_do():
    with (
        LocalProvider(faults=[Hang(at_token=1)]) as provider,
        httpx.Client() as http,
        http.stream(
            "POST", f"{provider.base_url}/chat/completions", json=ask(stream=True)
        ) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        assert provider.active == 1
        with pytest.raises(LocalProviderError, match="1 requests are still open"):
            provider.wait_idle(0.02)


async def test_the_async_context_manager_blocks_no_loop():
    async with LocalProvider(faults=[Hang(at_token=1)]) as provider:
        async with httpx.AsyncClient() as http:
            request = http.build_request(
                "POST", f"{provider.base_url}/chat/completions", json=ask(stream=True)
            )
            response = await http.send(request, stream=True)
            with pytest.raises(LocalProviderError):
                await provider.await_idle(0.02)
            await response.aclose()
        await provider.await_idle()
        assert provider.invoice[0].status == "aborted"


def test_paces_follow_the_clock_that_is_given():
    clock = VirtualClock()
    with LocalProvider(
        answer=lambda _: " word" * 101,
        latency=Latency(first_token_s=2, tokens_per_s=10),
        clock=clock,
        sleep=clock.sleep,
    ) as provider:
        for stream in (True, False):
            httpx.post(f"{provider.base_url}/chat/completions", json=ask(stream=stream))
        durations = [r.duration_s for r in provider.requests]
    assert durations == pytest.approx([12.0, 12.0], abs=0.2)


def test_models_can_differ_in_speed():
    clock = VirtualClock()
    with LocalProvider(
        latency={
            "gpt-4o-mini*": Latency(first_token_s=1),
            "*": Latency(first_token_s=3),
        },
        clock=clock,
        sleep=clock.sleep,
    ) as provider:
        for model in ("gpt-4o-mini", "gpt-4o"):
            url = f"{provider.base_url}/chat/completions"
            httpx.post(url, json=ask(model=model))
        durations = [r.duration_s for r in provider.requests]
    assert durations == pytest.approx([1, 3])


async def test_capacity_is_shared_by_concurrent_requests():
    faults = [RateLimited(above_active=5)]
    latency = Latency(first_token_s=0.3)
    async with (
        LocalProvider(faults=faults, latency=latency) as provider,
        httpx.AsyncClient() as http,
    ):
        url = f"{provider.base_url}/chat/completions"
        responses = await asyncio.gather(
            *(http.post(url, json=ask(f"{i}")) for i in range(12))
        )
        assert provider.peak_active >= 6
    statuses = [r.status_code for r in responses]
    assert statuses.count(200) == 5
    assert statuses.count(429) == 7


async def test_many_streams_run_at_once():
    async with (
        LocalProvider(
            answer=lambda _: " word" * 20, latency=Latency(tokens_per_s=40)
        ) as provider,
        httpx.AsyncClient(
            limits=httpx.Limits(max_connections=None), timeout=30
        ) as http,
    ):
        url = f"{provider.base_url}/chat/completions"
        responses = await asyncio.gather(
            *(http.post(url, json=ask(f"{i}", stream=True)) for i in range(200))
        )
    assert {r.status_code for r in responses} == {200}
    assert provider.peak_active > 100
    assert {row.output_tokens for row in provider.invoice} == {20}


def test_a_server_that_cannot_start_raises_where_it_was_started(monkeypatch):
    def fail(desk):
        raise RuntimeError("no routes")

    monkeypatch.setattr(local_provider, "application", fail)
    provider = LocalProvider()
    with pytest.raises(RuntimeError, match="no routes"):
        provider.start()
    monkeypatch.undo()
    with provider:
        assert httpx.get(f"{provider.base_url}/models").status_code == 200


def test_serve_runs_until_interrupted():
    code = (
        "from langchain_llmops.testing import LocalProvider, serve\n"
        "serve(LocalProvider(), on_ready=lambda p: print(p.base_url, flush=True))\n"
        "print('stopped', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline().strip()
            assert httpx.get(f"{url}/models").status_code == 200
            process.send_signal(2)
            assert process.communicate(timeout=20)[0] == "stopped\n"
            assert process.returncode == 0
        finally:
            process.kill()


def test_serve_says_when_it_is_ready():
    provider = LocalProvider()
    ready: list[str] = []

    def interrupt(running: LocalProvider) -> None:
        ready.append(running.base_url)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(provider, on_ready=interrupt)
    assert ready == [provider.base_url]

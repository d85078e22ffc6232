"""What LocalProvider itself costs, so that its share in other figures is known.

CPU time of the provider's own thread per call and per streamed token, and 5,000 paced
streams at once: client and provider in one process. Run with
`python benchmarks/bench_provider.py`; it writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import threading
import time
from pydoc_data.topics import topics
from typing import Any

import httpx
from _harness import machine, publish, table

from langchain_llmops.testing import Latency, LocalProvider

STREAMS, TOKENS, RATE = 5_000, 100, 20.0
MAX_RSS_MB, MAX_LATE_S = 1_024, 10.0
QUESTION = "What does the global statement do?"
PROMPT = f"Context: {topics['global']}\n\nQuestion: {QUESTION}"


def chat(content: str, **body: Any) -> bytes:
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "gpt-4o", "messages": messages, **body}).encode()


def provider_cpu() -> float:
    """Return the CPU seconds that the running provider's thread has used."""
    (thread,) = (t for t in threading.enumerate() if t.name.startswith("local-prov"))
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def cost_per_call(path: str, body: bytes, repeat: int, **options: Any) -> float:
    """Return the provider's CPU microseconds per call: the median of nine turns."""
    turns = []
    with (
        LocalProvider(**options) as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        for turn in range(10):
            start = provider_cpu()
            for _ in range(repeat):
                http.post(path, content=body).raise_for_status()
            if turn:
                turns.append((provider_cpu() - start) / repeat * 1e6)
    return statistics.median(turns)


async def read_stream(port: int, number: int) -> int:
    """Open a stream with as little client as possible and count its tokens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = chat(f"stream {number}", stream=True)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    tokens = 0
    while data := await reader.read(65_536):
        tokens += data.count(b'"content": " word"')
    writer.close()
    await writer.wait_closed()
    return tokens


async def many_streams() -> tuple[float, int, int]:
    """Return the seconds taken, the tokens received and the most open at once."""
    latency = Latency(first_token_s=1.0, tokens_per_s=RATE)
    async with LocalProvider(
        answer=lambda _: " word" * TOKENS, latency=latency
    ) as provider:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(read_stream(provider.port, number))
                for number in range(STREAMS)
            ]
        took = time.monotonic() - start
        await provider.await_idle()
        billed = sum(row.output_tokens for row in provider.invoice)
        assert billed == sum(task.result() for task in tasks), "invoice and client"
        return took, billed, provider.peak_active


def main() -> None:
    words = " word" * 2_000
    whole = cost_per_call("/chat/completions", chat(PROMPT), 50)
    stream = cost_per_call(
        "/chat/completions", chat("go", stream=True), 5, answer=lambda _: words
    )
    model = "text-embedding-3-small"
    inputs = json.dumps({"model": model, "input": list(topics["class"].split("\n\n"))})
    embed = cost_per_call("/embeddings", inputs.encode(), 10)
    took, tokens, peak = asyncio.run(many_streams())
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ideal = 1 + (TOKENS - 1) / RATE
    rows = [
        ("answer over a page of context, not streamed", f"{whole:,.0f} µs CPU"),
        ("a streamed token (2,000 of them, unpaced)", f"{stream / 2_000:.1f} µs CPU"),
        ("an embeddings call of a page, without its worker", f"{embed:,.0f} µs CPU"),
        (f"streams open at once, of {STREAMS:,}", f"{peak:,}"),
        (f"time until all had ended (paced: {ideal:.1f} s)", f"{took:.1f} s"),
        ("peak memory, client included", f"{rss:,.0f} MB"),
    ]
    publish(
        "provider",
        f"## The local provider\n\nCPU time of the provider's own thread, and "
        f"{STREAMS:,} streams of {TOKENS} tokens at {RATE:.0f} tokens/s in one process "
        f"with their client ({tokens:,} tokens, all of them billed).\n\n"
        + table(("what", "cost"), rows)
        + "\n\n"
        + machine("aiohttp", "tiktoken"),
    )
    if peak < STREAMS or rss > MAX_RSS_MB or took > ideal + MAX_LATE_S:
        sys.exit("5,000 streams at once: too few, too large or too late")


if __name__ == "__main__":
    main()

"""The invoice: what is billed, at which price, for every way a call can end."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops._encodings import RANKS
from langchain_llmops.testing import Latency, LocalProvider, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 400.0


def ask(text: str = "Say it.", **body: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **body}


def talker(words: int = 2000, **options: Any) -> LocalProvider:
    options.setdefault("latency", Latency(tokens_per_s=RATE))
    return LocalProvider(answer=lambda _: " word" * words, **options)


def chat(provider: LocalProvider, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o",
        base_url=provider.base_url,
        api_key="-",
        max_retries=0,
        **options,
    )


@pytest.mark.parametrize("stream", [True, False])
def test_a_completed_call_is_billed_what_its_usage_says(provider, stream):
    model = chat(provider, stream_usage=True)
    message = None
    for chunk in model.stream("Context: It is red.\n\nQuestion: Is it red?"):
        message = chunk if message is None else message + chunk
    if not stream:
        message = model.invoke("Context: It is red.\n\nQuestion: Is it red?")
    usage = message.usage_metadata
    row = provider.invoice[-1]
    assert (row.input_tokens, row.output_tokens) == (
        usage["input_tokens"],
        usage["output_tokens"],
    )
    assert (
        row.usd
        == (
            Decimal(usage["input_tokens"]) * Decimal("2.5")
            + Decimal(usage["output_tokens"]) * 10
        )
        / 1_000_000
    )
    assert row.status == "completed"
    assert row.stream is stream
    assert row.priced
    assert row.request == provider.requests[-1].index
    assert provider.invoiced_usd == sum(r.usd for r in provider.invoice)


def test_an_aborted_stream_is_billed_up_to_the_abort_at_the_paced_rate():
    with talker() as provider:
        model = chat(provider)
        start = time.monotonic()
        seen = 0
        for chunk in model.stream("go"):
            seen += bool(chunk.content)
            if seen == 20:
                break
        provider.wait_idle()
        took = time.monotonic() - start
        row = provider.invoice[0]
    assert row.status == "aborted"
    assert 20 <= row.output_tokens <= RATE * took + 1


async def test_a_cancelled_call_is_billed_up_to_the_cancellation():
    async with talker() as provider:
        model = chat(provider)
        start = time.monotonic()
        task = asyncio.create_task(model.ainvoke("go"))
        while not provider.active:  # noqa: ASYNC110 - it is another thread that counts
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.await_idle()
        took = time.monotonic() - start
    row = provider.invoice[0]
    assert row.status == "aborted"
    assert RATE * 0.05 <= row.output_tokens <= RATE * took + 1
    assert row.input_tokens > 0


def test_a_disconnect_is_noticed_promptly():
    with (
        talker() as provider,
        httpx.Client(base_url=provider.base_url) as http,
        http.stream("POST", "/chat/completions", json=ask(stream=True)) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        http.close()
        start = time.monotonic()
        provider.wait_idle(1)
        assert time.monotonic() - start < 0.5


def test_a_disconnect_before_the_first_token_bills_the_input_alone():
    latency = Latency(first_token_s=30)
    with talker(latency=latency) as provider:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{provider.base_url}/chat/completions", json=ask(), timeout=0.2)
        provider.wait_idle()
        row = provider.invoice[0]
    assert row.output_tokens == 0
    assert row.usd == row.input_tokens * Decimal("2.5") / 1_000_000


@pytest.mark.parametrize(
    ("model", "tier", "served", "per_million"),
    [
        ("gpt-4o", None, "default", (Decimal("2.5"), Decimal(10))),
        ("gpt-4o", "priority", "priority", (Decimal("4.25"), Decimal(17))),
        ("gpt-4o", "flex", "default", (Decimal("2.5"), Decimal(10))),
        ("o4-mini", "flex", "flex", (Decimal("0.55"), Decimal("2.2"))),
        ("gpt-5-mini", "flex", "flex", (Decimal("0.125"), Decimal(1))),
        ("gpt-4o-2024-08-06", None, "default", (Decimal("2.5"), Decimal(10))),
        ("ft:gpt-4o-mini:acme::1", None, "default", (Decimal("0.3"), Decimal("1.2"))),
    ],
)
def test_tiers_have_their_prices(provider, model, tier, served, per_million):
    body = ask(model=model, **({"service_tier": tier} if tier else {}))
    answer = httpx.post(f"{provider.base_url}/chat/completions", json=body).json()
    assert answer["service_tier"] == served
    row = provider.invoice[0]
    assert row.service_tier == served
    price = row.input_tokens * per_million[0] + row.output_tokens * per_million[1]
    assert row.usd == price / 1_000_000


def test_unknown_models_are_billed_like_gpt_4o_and_marked(provider):
    body = ask(model="my-model")
    httpx.post(f"{provider.base_url}/chat/completions", json=body)
    httpx.post(f"{provider.base_url}/chat/completions", json=ask())
    mine, known = provider.invoice
    assert not mine.priced
    assert known.priced
    assert mine.usd == known.usd


def test_repeated_prefixes_are_cheaper_with_prompt_caching():
    long = "All work and no play makes Jack a dull boy. " * 200
    with (
        LocalProvider(settings=ProviderSettings(prompt_caching=True)) as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        usages = [
            http.post("/chat/completions", json=ask(long + end)).json()["usage"]
            for end in ("One?", "Two?")
        ]
    cached = [u["prompt_tokens_details"]["cached_tokens"] for u in usages]
    assert cached[0] == 0
    assert cached[1] >= 1024
    assert cached[1] % 128 == 0
    first, second = provider.invoice
    saved = cached[1] * Decimal("1.25") / 1_000_000
    assert second.cached_input_tokens == cached[1]
    assert first.usd - second.usd == saved


def test_reasoning_is_billed_as_output_and_hidden():
    settings = ProviderSettings(reasoning_tokens=50)
    with (
        LocalProvider(settings=settings, answer=lambda _: "yes") as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        for stream in (False, True):
            body = ask(model="o4-mini", stream=stream)
            http.post("/chat/completions", json=body)
        http.post("/chat/completions", json=ask())
        usage = http.post("/chat/completions", json=ask(model="gpt-5")).json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 50
    assert [row.output_tokens for row in provider.invoice] == [51, 51, 1, 51]
    assert [row.reasoning_tokens for row in provider.invoice] == [50, 50, 0, 50]


def test_every_choice_is_billed(provider):
    model = chat(provider, n=3)
    model.invoke("Context: It is red.\n\nQuestion: Is it red?")
    row = provider.invoice[0]
    one = chat(provider).invoke("Context: It is red.\n\nQuestion: Is it red?")
    assert row.output_tokens >= 3 * one.usage_metadata["output_tokens"]


def test_embeddings_are_billed_by_their_tokens(provider):
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-large",
        base_url=provider.base_url,
        api_key="-",
        check_embedding_ctx_length=False,
    )
    embeddings.embed_documents(["hello world", "a"])
    row = provider.invoice[0]
    assert (row.input_tokens, row.output_tokens) == (3, 0)
    assert row.usd == Decimal(3) * Decimal("0.13") / 1_000_000


def test_token_ids_are_billed_like_their_text(
    provider, monkeypatch: pytest.MonkeyPatch, rank_files: Callable[[], None]
):
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small", base_url=provider.base_url, api_key="-"
    )
    from_ids = embeddings.embed_query("What does the global statement do?")
    embeddings.check_embedding_ctx_length = False
    from_text = embeddings.embed_query("What does the global statement do?")
    assert from_ids == pytest.approx(from_text, abs=1e-6)
    assert provider.invoice[0].input_tokens == provider.invoice[1].input_tokens


@pytest.fixture
def rank_files(monkeypatch: pytest.MonkeyPatch, provider: LocalProvider) -> None:
    """Let the client's own tiktoken find the rank files too."""
    if not provider.exact:
        pytest.skip("tiktoken's rank files are not on this machine: make setup")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(RANKS))


def test_reset_starts_new_books(provider):
    chat(provider).invoke("hi")
    provider.reset()
    assert provider.invoice == []
    assert provider.requests == []
    chat(provider).invoke("hi")
    assert len(provider.invoice) == 1
    assert provider.requests[0].index == 0

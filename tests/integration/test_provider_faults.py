"""Every kind of fault, as an HTTP client and as LangChain see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.exceptions import ModelConnectionError, ModelRateLimitError
from langchain_openai import ChatOpenAI

from langchain_llmops.testing import (
    ContentFiltered,
    Cut,
    EmptyStream,
    Hang,
    HttpFailure,
    LocalProvider,
    MalformedSSE,
    RateLimited,
    ServerError,
    SlowTokens,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = 12


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """One that always says the same twelve tokens."""
    with LocalProvider(answer=lambda _: "word " * (WORDS - 1)) as running:
        yield running


@pytest.fixture
def http(provider: LocalProvider) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=provider.base_url, timeout=5) as client:
        yield client


def ask(text: str = "Say it.", **body: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **body}


def post(http: httpx.Client, **body: Any) -> httpx.Response:
    return http.post("/chat/completions", json=ask(**body))


def pieces(http: httpx.Client, **body: Any) -> list[str]:
    """Read a stream for as long as it is one."""
    said: list[str] = []
    request = ask(stream=True, **body)
    with http.stream("POST", "/chat/completions", json=request) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choice = json.loads(line.removeprefix("data: "))["choices"][0]
                if choice["delta"].get("content"):
                    said.append(choice["delta"]["content"])
    return said


def test_rate_limits_say_when_to_come_back(provider, http):
    provider.inject(RateLimited(retry_after_s=1.5, nth=[1]))
    response = post(http)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"
    assert response.headers["retry-after-ms"] == "1500"
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert post(http).status_code == 200
    assert [r.status for r in provider.requests] == [429, 200]
    assert [r.fault for r in provider.requests] == ["RateLimited", None]
    assert len(provider.invoice) == 1


def test_langchain_sees_a_rate_limit_error_and_its_header(provider):
    provider.inject(RateLimited(retry_after_s=3))
    model = ChatOpenAI(
        model="gpt-4o", base_url=provider.base_url, api_key="-", max_retries=0
    )
    with pytest.raises(ModelRateLimitError) as caught:
        model.invoke("hi")
    assert caught.value.response.headers["retry-after"] == "3"


def test_hidden_retries_are_counted(provider):
    provider.inject(ServerError(nth=[1]))
    model = ChatOpenAI(
        model="gpt-4o", base_url=provider.base_url, api_key="-", max_retries=1
    )
    model.invoke("hi")
    assert [(r.status, r.retry) for r in provider.requests] == [(500, 0), (200, 1)]


@pytest.mark.parametrize("status", [500, 503])
def test_server_errors_are_not_billed(provider, http, status):
    provider.inject(ServerError(status=status))
    response = post(http)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "server_error"
    assert provider.invoice == []


def test_any_http_error_can_be_sent(provider, http):
    provider.inject(
        HttpFailure(status=429, code="insufficient_quota", message="Pay first.")
    )
    error = post(http).json()["error"]
    assert (error["message"], error["code"]) == ("Pay first.", "insufficient_quota")


def test_a_cut_stream_breaks_after_its_tokens_which_are_billed(provider):
    provider.inject(Cut(at_token=5))
    model = ChatOpenAI(
        model="gpt-4o", base_url=provider.base_url, api_key="-", max_retries=0
    )
    said: list[str] = []
    with pytest.raises(ModelConnectionError):
        said.extend(chunk.text for chunk in model.stream("Say it."))
    assert len([piece for piece in said if piece]) == 5
    provider.wait_idle()
    assert [(r.status, r.output_tokens) for r in provider.invoice] == [("cut", 5)]
    assert provider.requests[0].outcome == "cut"


def test_a_cut_before_the_headers_is_a_lost_connection_and_free(provider, http):
    provider.inject(Cut())
    for stream in (True, False):
        with pytest.raises(httpx.RemoteProtocolError):
            post(http, stream=stream)
    provider.wait_idle()
    assert provider.invoice == []
    assert [r.status for r in provider.requests] == [None, None]


def test_a_cut_answer_in_one_body_is_lost_and_billed(provider, http):
    provider.inject(Cut(at_token=5))
    with pytest.raises(httpx.RemoteProtocolError):
        post(http)
    provider.wait_idle()
    assert [(r.status, r.output_tokens) for r in provider.invoice] == [("cut", 5)]


@pytest.mark.parametrize("stream", [True, False])
def test_a_hang_ends_when_the_client_gives_up(provider, http, stream):
    provider.inject(Hang(at_token=4))
    with pytest.raises(httpx.ReadTimeout):
        http.post("/chat/completions", json=ask(stream=stream), timeout=0.2)
    provider.wait_idle()
    assert [(r.status, r.output_tokens) for r in provider.invoice] == [("aborted", 4)]


def test_a_hang_before_the_headers_is_free(provider, http):
    provider.inject(Hang())
    with pytest.raises(httpx.ReadTimeout):
        http.post("/chat/completions", json=ask(stream=True), timeout=0.2)
    provider.wait_idle()
    assert provider.invoice == []
    assert provider.requests[0].outcome == "aborted"


@pytest.mark.parametrize("stream", [True, False])
def test_a_stall_goes_on_and_loses_nothing(provider, http, stream):
    provider.inject(Hang(at_token=4, for_s=0.05), Hang(for_s=0.01, nth=[2]))
    text = "".join(pieces(http)) if stream else post(http).json()["choices"][0]
    if stream:
        assert text == "word " * (WORDS - 1)
    assert provider.requests[0].duration_s >= 0.05
    assert provider.invoice[0].status == "completed"
    assert provider.invoice[0].output_tokens == WORDS


def test_malformed_events_are_no_json_and_end_the_stream(provider, http):
    provider.inject(MalformedSSE(at_token=3))
    text = post(http, stream=True).text
    *good, broken, done = [line for line in text.split("\n\n") if line]
    assert done == "data: [DONE]"
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.removeprefix("data: "))
    assert len(good) == 4  # the role and three tokens
    assert [(r.status, r.output_tokens) for r in provider.invoice] == [("malformed", 3)]


def test_a_malformed_body_is_no_json(provider, http):
    provider.inject(MalformedSSE())
    with pytest.raises(json.JSONDecodeError):
        post(http).json()
    assert provider.invoice[0].status == "malformed"


def test_an_empty_stream_has_no_chunk_and_bills_the_input(provider, http):
    provider.inject(EmptyStream())
    assert post(http, stream=True).text == "data: [DONE]\n\n"
    assert post(http).json()["choices"][0]["message"]["content"] == ""
    rows = provider.invoice
    assert [row.output_tokens for row in rows] == [0, 0]
    assert all(row.input_tokens > 0 for row in rows)


def test_a_content_filter_ends_the_answer(provider, http):
    provider.inject(ContentFiltered(at_token=2))
    choice = post(http).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"].split() == ["word", "word"]
    assert provider.invoice[0].output_tokens == 2


def test_slow_tokens_come_slowly(provider, http):
    provider.inject(SlowTokens(first_token_s=0.02, tokens_per_s=200))
    assert "".join(pieces(http)) == "word " * (WORDS - 1)
    assert provider.requests[0].duration_s >= 0.02 + (WORDS - 1) / 200


def test_a_brown_out_has_a_window_and_a_share(provider, http):
    start = provider.elapsed_s
    provider.inject(ServerError(probability=0.5, between=(start, start + 60)))
    provider.inject(RateLimited(between=(start + 60, start + 61)))
    statuses = [post(http, text=f"question {i}").status_code for i in range(40)]
    assert set(statuses) == {200, 500}
    provider.clear_faults()
    assert post(http).status_code == 200


def test_the_same_requests_meet_the_same_faults_in_any_order():
    def outcomes(order: list[int]) -> dict[int, int]:
        with (
            LocalProvider(seed=3, faults=[ServerError(probability=0.5)]) as provider,
            httpx.Client(base_url=provider.base_url) as http,
        ):
            return {i: post(http, text=f"no {i}").status_code for i in order}

    order = list(range(20))
    assert outcomes(order) == outcomes(order[::-1])


def test_seeds_differ():
    def outcomes(seed: int) -> list[int]:
        with (
            LocalProvider(seed=seed, faults=[ServerError(probability=0.5)]) as provider,
            httpx.Client(base_url=provider.base_url) as http,
        ):
            return [post(http, text=f"no {i}").status_code for i in range(20)]

    assert outcomes(1) == outcomes(1) != outcomes(2)


def test_faults_choose_models_and_endpoints(provider, http):
    provider.inject(
        ServerError(model="gpt-4o-mini*"), RateLimited(endpoint="embeddings")
    )
    assert post(http).status_code == 200
    assert post(http, model="gpt-4o-mini-2024-07-18").status_code == 500
    body = {"model": "text-embedding-3-small", "input": "x"}
    assert http.post("/embeddings", json=body).status_code == 429


def test_the_first_of_two_faults_wins_and_both_count(provider, http):
    provider.inject(ServerError(nth=[1]), RateLimited(nth=[2]))
    assert [post(http).status_code for _ in range(3)] == [500, 429, 200]


def test_one_provider_is_down_while_another_is_up():
    with (
        LocalProvider(faults=[ServerError()]) as down,
        LocalProvider(answer=lambda _: "up") as up,
    ):

        def model(provider: LocalProvider) -> ChatOpenAI:
            return ChatOpenAI(
                model="gpt-4o", base_url=provider.base_url, api_key="-", max_retries=0
            )

        chain = model(down).with_fallbacks([model(up)])
        assert chain.invoke("hi").content == "up"
        assert (len(down.requests), len(up.requests)) == (1, 1)

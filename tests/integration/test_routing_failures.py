"""`classify` on the errors that the real ChatOpenAI raises, against a real server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from langchain_openai import ChatOpenAI

from langchain_llmops.routing import classify
from langchain_llmops.testing import (
    Cut,
    EmptyStream,
    Hang,
    HttpFailure,
    MalformedSSE,
    RateLimited,
    ServerError,
)

if TYPE_CHECKING:
    from langchain_llmops.routing import Failure
    from langchain_llmops.testing import LocalProvider


def chat(provider: LocalProvider, **settings: Any) -> ChatOpenAI:
    given: dict[str, Any] = {"model": "gpt-4o-mini", "api_key": "-", "max_retries": 0}
    return ChatOpenAI(**given | {"base_url": provider.base_url} | settings)


def failure_of(model: ChatOpenAI, *, stream: bool, prompt: str = "hi") -> Failure:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - any: that is the question
        list(model.stream(prompt)) if stream else model.invoke(prompt)
    return classify(raised.value)


def refusal(status: int, code: str | None = None, message: str = "no") -> HttpFailure:
    return HttpFailure(status=status, code=code, message=message, kind="error")


@pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (RateLimited(), "rate_limit"),
        (refusal(429, "insufficient_quota"), "quota"),
        (refusal(401, "invalid_api_key"), "auth"),
        (refusal(403), "auth"),
        (refusal(404, "model_not_found"), "not_found"),
        (refusal(400, "context_length_exceeded"), "context_length"),
        (
            refusal(400, None, "This model's maximum context length is 8"),
            "context_length",
        ),
        (refusal(400, "content_filter"), "content_policy"),
        (refusal(400), "bad_request"),
        (refusal(422), "bad_request"),
        (ServerError(), "server"),
        (ServerError(status=503), "server"),
        (Cut(), "connection"),
    ],
)
def test_faults_of_a_provider(provider, fault, kind, stream):
    provider.inject(fault)
    assert failure_of(chat(provider), stream=stream).kind == kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Cut(at_token=2), "connection"),
        (MalformedSSE(at_token=2), "server"),
        (EmptyStream(), "server"),
    ],
)
def test_faults_in_the_middle_of_a_stream(provider, fault, kind):
    provider.inject(fault)
    assert failure_of(chat(provider), stream=True).kind == kind


@pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
def test_a_hang_is_a_timeout(provider, stream):
    provider.inject(Hang())
    assert failure_of(chat(provider, timeout=0.2), stream=stream).kind == "timeout"


def test_a_refused_connection(provider):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    model = chat(provider, base_url=url)
    assert failure_of(model, stream=False).kind == "connection"


@pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
def test_retry_after_arrives_exactly(provider, stream):
    provider.inject(RateLimited(retry_after_s=0.25))
    assert failure_of(chat(provider), stream=stream).retry_after_s == 0.25


async def test_the_same_of_asynchronous_calls(provider):
    provider.inject(RateLimited(retry_after_s=3))
    with pytest.raises(Exception) as raised:  # noqa: PT011 - any: that is the question
        await chat(provider).ainvoke("hi")
    failure = classify(raised.value)
    assert (failure.kind, failure.retry_after_s) == ("rate_limit", 3)
    assert failure.error is raised.value

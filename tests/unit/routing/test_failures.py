"""`classify`: each provider's way of saying what went wrong leads to one kind."""

from __future__ import annotations

import asyncio
import json
import socket
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import pytest
from langchain_anthropic import chat_models as claude
from langchain_core import exceptions as core
from langchain_core.exceptions import OutputParserException
from langchain_openai.chat_models import base as gpt

from langchain_llmops import BudgetExceededError
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import classify

REQUEST = httpx2.Request("POST", "https://api.example.com/v1/messages")


def response(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json=body, headers=named, request=REQUEST)


def gpt_error(cls: type[Exception], status: int, **body: Any) -> Exception:
    make: Any = cls
    said = body.get("message", "no")
    return make(message=said, response=response(status), body=body)


def claude_error(cls: type[Exception], status: int, kind: str, said: str) -> Exception:
    body = {"type": "error", "error": {"type": kind, "message": said}}
    make: Any = cls
    return make(message=said, response=response(status, body), body=body)


class Http(Exception):  # noqa: N818 - any client's
    def __init__(self, status: int, text: str = "no", headers: Any = None) -> None:
        super().__init__(text)
        self.response = SimpleNamespace(status_code=status, headers=headers or {})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ModelRateLimitError", "rate_limit"),
        ("ModelAPIError", "server"),
        ("ModelConnectionError", "connection"),
        ("ModelTimeoutError", "timeout"),
        ("ModelAuthenticationError", "auth"),
        ("ModelPermissionDeniedError", "auth"),
        ("ModelInvalidRequestError", "bad_request"),
        ("ModelNotFoundError", "not_found"),
        ("ContextOverflowError", "context_length"),
    ],
)
def test_errors_of_langchain_core(name, kind):
    assert classify(getattr(core, name)("no")).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            gpt_error(gpt.OpenAIRateLimitError, 429, code="rate_limit_exceeded"),
            "rate_limit",
        ),
        (gpt_error(gpt.OpenAIRateLimitError, 429, code="insufficient_quota"), "quota"),
        (
            gpt_error(
                gpt.OpenAIRateLimitError, 429, message="You exceeded your current quota"
            ),
            "quota",
        ),
        (gpt_error(gpt.OpenAIAuthenticationError, 401), "auth"),
        (gpt_error(gpt.OpenAIPermissionDeniedError, 403), "auth"),
        (gpt_error(gpt.OpenAIModelNotFoundError, 404), "not_found"),
        (gpt_error(gpt.OpenAIContextOverflowError, 400), "context_length"),
        (
            gpt_error(gpt.OpenAIInvalidRequestError, 400, code="content_filter"),
            "content_policy",
        ),
        (
            gpt_error(
                gpt.OpenAIInvalidRequestError,
                400,
                innererror={"code": "ResponsibleAIPolicyViolation"},
            ),
            "content_policy",
        ),
        (gpt_error(gpt.OpenAIInvalidRequestError, 400), "bad_request"),
        (gpt_error(gpt.OpenAIAPIError, 503), "server"),
        (gpt.OpenAITimeoutError(REQUEST), "timeout"),
        (gpt.OpenAIConnectionError(request=REQUEST), "connection"),
        (gpt.OpenAIRefusalError("I cannot help"), "content_policy"),
        # In the middle of a stream there is no status, only a body.
        (
            openai.APIError("no", REQUEST, body={"code": "rate_limit_exceeded"}),
            "rate_limit",
        ),
        (openai.APIError("no", REQUEST, body={"type": "server_error"}), "server"),
        (openai.ContentFilterFinishReasonError(), "content_policy"),
    ],
)
def test_errors_of_openai(error, kind):
    assert classify(error).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            claude_error(
                claude.AnthropicRateLimitError, 429, "rate_limit_error", "slow"
            ),
            "rate_limit",
        ),
        (
            claude_error(
                claude.AnthropicAuthenticationError, 401, "authentication_error", "key"
            ),
            "auth",
        ),
        (
            claude_error(
                claude.AnthropicPermissionDeniedError, 403, "permission_error", "no"
            ),
            "auth",
        ),
        (
            claude_error(
                claude.AnthropicModelNotFoundError, 404, "not_found_error", "model"
            ),
            "not_found",
        ),
        (
            claude_error(
                claude.AnthropicOverloadedError, 529, "overloaded_error", "busy"
            ),
            "server",
        ),
        (claude_error(claude.AnthropicAPIError, 500, "api_error", "oops"), "server"),
        (
            claude_error(
                claude.AnthropicContextOverflowError,
                400,
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
            "context_length",
        ),
        (
            claude_error(
                claude.AnthropicInvalidRequestError,
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API.",
            ),
            "quota",
        ),
        (
            claude_error(
                claude.AnthropicInvalidRequestError,
                400,
                "invalid_request_error",
                "Output blocked by content filtering policy",
            ),
            "content_policy",
        ),
        (
            claude_error(
                claude.AnthropicInvalidRequestError,
                400,
                "invalid_request_error",
                "messages: at least one message is required",
            ),
            "bad_request",
        ),
        (
            claude_error(anthropic.PaymentRequiredError, 402, "billing_error", "pay"),
            "quota",
        ),
        (
            claude_error(
                anthropic.RequestTooLargeError, 413, "request_too_large", "big"
            ),
            "context_length",
        ),
        (claude.AnthropicTimeoutError(REQUEST), "timeout"),
        (claude.AnthropicConnectionError(request=REQUEST), "connection"),
        (
            TypeError("Could not resolve authentication method. Expected one of"),
            "auth",
        ),
    ],
)
def test_errors_of_anthropic(error, kind):
    assert classify(error).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("no"), "connection"),
        (httpx.ConnectTimeout("no"), "timeout"),
        (httpx.ReadTimeout("no"), "timeout"),
        (httpx.RemoteProtocolError("cut"), "connection"),
        (httpx2.ReadError("cut"), "connection"),
        (aiohttp.ClientPayloadError("cut"), "connection"),
        (aiohttp.ServerDisconnectedError(), "connection"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (ConnectionResetError(), "connection"),
        (socket.gaierror("no such host"), "connection"),
        (TimeoutError(), "timeout"),
        (json.JSONDecodeError("broken event", "{", 1), "server"),
        (ValueError("No generation chunks were returned"), "server"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (BudgetExceededError("tenant:a", 1, 1, 1, None), "refused"),
        (ConfigurationError("wrong"), "refused"),
        (KeyError("answer"), "unknown"),
        (OutputParserException("no JSON"), "unknown"),
    ],
)
def test_errors_of_http_libraries_python_and_our_own(error, kind):
    assert classify(error).kind == kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (402, "quota"),
        (403, "auth"),
        (404, "not_found"),
        (408, "timeout"),
        (413, "context_length"),
        (422, "bad_request"),
        (429, "rate_limit"),
        (500, "server"),
        (504, "timeout"),
        (529, "server"),
        (200, "unknown"),
        (999, "unknown"),
    ],
)
def test_a_status_tells_where_nothing_else_does(status, kind):
    assert classify(Http(status)).kind == kind


def test_the_sentence_tells_more_than_a_vague_status():
    assert (
        classify(Http(400, "maximum context length is 8192")).kind == "context_length"
    )
    assert classify(Http(500, "maximum context length is 8192")).kind == "server"


def test_errors_of_amazon_hold_a_mapping_as_response():
    class ClientError(Exception):
        response = None

    error = ClientError("An error occurred (ThrottlingException)")
    error.response = {  # type: ignore[assignment]
        "Error": {"Code": "ThrottlingException", "Message": "slow down"},
        "ResponseMetadata": {
            "HTTPStatusCode": 400,
            "HTTPHeaders": {"retry-after": "3"},
        },
    }
    failure = classify(error)
    assert (failure.kind, failure.retry_after_s) == ("rate_limit", 3)


def test_what_caused_an_error_counts_if_the_error_itself_says_nothing():
    error = RuntimeError("the model failed")
    error.__cause__ = Http(429, headers={"retry-after": "7"})
    failure = classify(error)
    assert (failure.kind, failure.retry_after_s) == ("rate_limit", 7)
    assert failure.error is error


def test_a_circle_of_causes_ends():
    one, other = RuntimeError("a"), RuntimeError("b")
    one.__cause__, other.__cause__ = other, one
    assert classify(one).kind == "unknown"


def test_of_a_group_the_last_counts():
    group = ExceptionGroup("all failed", [Http(401), Http(503)])
    assert classify(group).kind == "server"
    assert classify(group).error is group


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "20"}, 20),
        ({"retry-after": "1.5"}, 1.5),
        ({"Retry-After": "2"}, 2),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": formatdate(1_000_030, usegmt=True)}, 30),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_milliseconds_seconds_or_a_date(headers, wait):
    failure = classify(Http(429, headers=headers), now=lambda: 1_000_000.0)
    assert failure.retry_after_s == wait


def test_retry_after_of_a_clients_own_headers():
    answer = response(429, None, retry_after="5")
    error = openai.RateLimitError("slow", response=answer, body=None)
    assert classify(error).retry_after_s == 5


def test_odd_attributes_do_not_break_it():
    class Odd(Exception):  # noqa: N818
        code = object()
        status_code = "400"
        response = 3
        body = (1,)

    assert classify(Odd()).kind == "unknown"

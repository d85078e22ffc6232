"""Errors that would come again are remembered as what they were, and little else."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_openai.chat_models.base import (
    OpenAIContextOverflowError,
    OpenAIInvalidRequestError,
)

from langchain_llmops.caching.failures import _AT_ONCE, FailureMemory, comes_again

RESPONSE = httpx.Response(400, request=httpx.Request("POST", "http://provider/v1"))


def too_long() -> OpenAIContextOverflowError:
    return OpenAIContextOverflowError(
        "too long", response=RESPONSE, body={"code": "context_length_exceeded"}
    )


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status


class ResponseError(Exception):
    response = RESPONSE


@pytest.mark.parametrize(
    "error",
    [
        ContextOverflowError("x"),
        ModelInvalidRequestError("x"),
        too_long(),
        OpenAIInvalidRequestError("x", response=RESPONSE, body=None),
        openai.BadRequestError("x", response=RESPONSE, body=None),
        StatusError(413),
        StatusError(422),
        ResponseError(),
    ],
)
def test_what_the_request_itself_is_to_blame_for_comes_again(error: Exception):
    assert comes_again(error)


@pytest.mark.parametrize(
    "error",
    [
        ModelRateLimitError("x"),
        ModelTimeoutError("x"),
        ModelConnectionError("x"),
        ModelAPIError("x"),
        ModelAuthenticationError("x"),
        ModelPermissionDeniedError("x"),
        ModelNotFoundError("x"),
        StatusError(401),
        StatusError(408),
        StatusError(429),
        StatusError(500),
        ValueError("x"),
        TimeoutError(),
        KeyboardInterrupt(),
    ],
)
def test_what_time_or_others_may_put_right_does_not(error: BaseException):
    assert not comes_again(error)


def test_an_error_comes_back_as_the_same_type_with_a_note():
    memory, error = FailureMemory(), too_long()
    error.add_note("of the client")
    memory.remember("k", error, ttl_s=10, now=100)
    again = memory.recall("k", 104)
    assert type(again) is OpenAIContextOverflowError
    assert again is not error
    assert (str(again), again.status_code, again.body) == (
        "too long",
        400,
        {"code": "context_length_exceeded"},
    )
    first, second = again.__notes__
    assert first == "of the client"
    assert "not asked again" in second
    assert "4.0 s ago" in second
    assert error.__notes__ == ["of the client"]
    assert len(memory.recall("k", 105).__notes__) == 2  # each gets one of its own
    assert memory.recall("other", 104) is None


def test_the_frames_of_the_failed_call_are_let_go():
    memory = FailureMemory()

    class Prompt:
        pass

    def fail() -> weakref.ref[Any]:
        prompt = Prompt()
        try:
            try:
                {}["inner"]
            except KeyError as cause:
                raise too_long() from cause
        except OpenAIContextOverflowError as error:
            memory.remember("k", error, ttl_s=10, now=0)
        return weakref.ref(prompt)

    prompt = fail()
    gc.collect()
    assert prompt() is None
    again = memory.recall("k", 1)
    assert (again.__traceback__, again.__cause__, again.__context__) == (None,) * 3


def test_an_error_is_forgotten_in_time_and_on_demand():
    memory = FailureMemory()
    for key in "abc":
        memory.remember(key, too_long(), ttl_s=10, now=0)
    assert memory.recall("a", 9.9)
    memory.forget("b")
    assert memory.recall("b", 1) is None
    assert memory.recall("a", 10) is None
    assert len(memory) == 0  # what is over goes with the next look
    memory.remember("a", too_long(), ttl_s=10, now=20)
    memory.clear()
    assert memory.recall("a", 20) is None


@given(keys=st.lists(st.integers(0, 2 * _AT_ONCE), max_size=3 * _AT_ONCE))
def test_there_are_never_too_many_and_the_oldest_leaves(keys: list[int]):
    memory, order = FailureMemory(), dict[int, None]()
    for key in keys:
        memory.remember(str(key), ValueError(key), ttl_s=10, now=0)
        order.pop(key, None)
        order[key] = None
        assert len(memory) <= _AT_ONCE
    for key in list(order)[-_AT_ONCE:]:
        assert memory.recall(str(key), 1)


def test_an_error_that_cannot_be_copied_is_not_kept():
    class Singular(Exception):  # noqa: N818 - a name
        def __new__(cls, *args: Any) -> Any:
            if args == ("copy",):
                raise RuntimeError("there is only one")
            return super().__new__(cls, *args)

        def __init__(self) -> None:
            super().__init__("copy")

    memory = FailureMemory()
    memory.remember("k", Singular(), ttl_s=10, now=0)
    assert memory.recall("k", 1) is None

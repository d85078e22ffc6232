"""What an error says about when to come back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from langchain_llmops.models.retry_after import retry_after_s


class RefusedError(Exception):
    def __init__(self, headers: object) -> None:
        super().__init__("429")
        self.response = SimpleNamespace(headers=headers)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
        ({}, None),
        (object(), None),
    ],
)
def test_headers_say_when(headers, seconds):
    assert retry_after_s(RefusedError(headers), now=lambda: 10.0) == seconds


def test_the_header_of_the_cause_counts():
    error = RuntimeError("wrapped")
    error.__cause__ = RefusedError({"retry-after": "3"})
    assert retry_after_s(error) == 3.0


def test_an_error_without_a_response_says_nothing():
    assert retry_after_s(ValueError("no")) is None

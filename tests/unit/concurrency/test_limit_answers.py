"""What an error says to the limits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from langchain_llmops.concurrency.limit_answers import later_s


class RefusedError(Exception):
    def __init__(self, seconds: str) -> None:
        super().__init__("429")
        self.response = SimpleNamespace(headers={"retry-after": seconds})


@pytest.mark.parametrize(("asked", "believed"), [("7", 7.0), ("86400", 60.0)])
def test_a_provider_is_believed_for_a_minute(asked, believed):
    assert later_s(RefusedError(asked)) == believed


def test_an_error_that_says_nothing_keeps_nobody_back():
    assert later_s(ValueError("no")) is None

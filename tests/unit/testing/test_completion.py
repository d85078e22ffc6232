"""Choices: their number, their variety, and where they are cut."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from langchain_llmops.testing.chat_request import parse_chat
from langchain_llmops.testing.completion import Choice, choices, filtered
from langchain_llmops.testing.encoder import encoder

CODER = encoder("o200k_base")
ASKED = "Context: Ada is 36 years old.\n\nQuestion: How old is Ada? (as JSON)"
TOOL = {
    "type": "function",
    "function": {
        "name": "save_age",
        "parameters": {"type": "object", "properties": {"age": {"type": "integer"}}},
    },
}


def made(limit: int | None = None, *, seed: int = 0, **body: Any) -> list[Choice]:
    message = {"role": "user", "content": ASKED}
    request = parse_chat({"model": "gpt-4o", "messages": [message], **body})
    return list(choices(request, CODER, rng=random.Random(seed), limit=limit))


def text(choice: Choice) -> str:
    return "".join(choice.pieces)


def test_at_temperature_zero_all_choices_are_alike():
    assert [text(c) for c in made(n=3, temperature=0)] == ["Ada is 36 years old."] * 3


def test_otherwise_choices_differ_and_say_the_same():
    said = [text(choice) for choice in made(n=3)]
    assert len(set(said)) == 3
    assert all(answer.endswith("Ada is 36 years old.") for answer in said)


def test_the_source_of_chance_decides_the_wording():
    once = [text(made(temperature=1, seed=s)[0]) for s in range(20)]
    again = [text(made(temperature=1, seed=s)[0]) for s in range(20)]
    assert once == again
    assert len(set(once)) > 1


def test_json_objects_have_the_keys_that_were_asked_for():
    form = {"type": "json_object"}
    assert json.loads(text(made(response_format=form)[0])) == {
        "answer": "Ada is 36 years old."
    }


def test_a_length_limit_cuts_text():
    (choice,) = made(limit=2)
    assert (choice.tokens, choice.finish_reason) == (2, "length")


@pytest.mark.parametrize("limit", range(12))
def test_a_length_limit_cuts_calls(limit):
    choice_of_tool = {"type": "function", "function": {"name": "save_age"}}
    body = {"tools": [TOOL], "tool_choice": choice_of_tool}
    (whole,) = made(**body)
    (cut,) = made(limit=limit, **body)
    assert cut.tokens <= limit
    if limit < whole.tokens:
        assert cut.finish_reason == "length"
    else:
        assert cut.calls[0].pieces == whole.calls[0].pieces


def test_a_filter_stops_text_and_withholds_calls():
    (choice,) = made()
    stopped = filtered(choice, 3)
    assert stopped.pieces == choice.pieces[:3]
    assert stopped.finish_reason == "content_filter"

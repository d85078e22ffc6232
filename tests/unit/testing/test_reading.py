"""Which part of a prompt is the question, and which is context."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmops.testing.chat_request import parse_chat
from langchain_llmops.testing.reading import Reading, read, reply


def reading(*turns: tuple[str, str]) -> Reading:
    messages: list[dict[str, Any]] = []
    for role, content in turns:
        message: dict[str, Any] = {"role": role, "content": content}
        if role == "tool":
            call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
            messages.append(
                {"role": "assistant", "content": None, "tool_calls": [call]}
            )
            message["tool_call_id"] = "a"
        messages.append(message)
    return read(parse_chat({"model": "gpt-4o", "messages": messages}).messages)


FACT = "The lake is 40 m deep."
ASKED = "How deep is the lake?"


@pytest.mark.parametrize(
    "turns",
    [
        [("user", f"Context: {FACT}\n\nQuestion: {ASKED}")],
        [("user", f"Context:\n{FACT}\n\nQuestion: {ASKED}\n\nAnswer:")],
        [("user", f"# Documents:\n\n{FACT}\n\n# Question: {ASKED}\nHelpful Answer:")],
        [("user", f"<context>\n{FACT}\n</context>\n{ASKED}")],
        [("user", f"{FACT}\n\n{ASKED}")],
        [("user", f"{ASKED}\n\n{FACT}")],
        [("system", f"Use only the context.\n\nContext:\n{FACT}"), ("user", ASKED)],
        [("system", f"You are a guide. {FACT} Never guess."), ("user", ASKED)],
        [("developer", f"Sources:\n{FACT}"), ("user", ASKED)],
        [("user", FACT), ("assistant", "I see."), ("user", ASKED)],
        [("user", "Look."), ("assistant", FACT), ("user", ASKED)],
        [("user", ASKED), ("tool", FACT)],
    ],
)
def test_question_and_context_are_found(turns):
    found = reading(*turns)
    assert found.question == ASKED
    assert reply(found) == FACT


@pytest.mark.parametrize(
    "line", ["[lakes]", "Document 2:", "Source: lakes.md", "---", '<document id="2">']
)
def test_documents_of_one_context_are_told_apart(line):
    text = f"Context:\nThe sky is blue.\n{line}\n{FACT}\n\nQuestion: {ASKED}"
    found = reading(("user", text))
    assert [p.text.strip() for p in found.passages] == ["The sky is blue.", FACT]


def test_instructions_are_no_context():
    found = reading(("system", "You are a lake. Answer briefly."), ("user", ASKED))
    assert found.passages == ()
    assert reply(found) == f"There is no context to answer from. You said: {ASKED}"


def test_what_the_context_leaves_out_is_said():
    text = f"Context: {FACT}\n\nQuestion: Who is Ada?"
    said = "The context does not say anything about: Ada."
    assert reply(reading(("user", text))) == said


@pytest.mark.parametrize("follow_up", ["And how wide?", "Why is it deep?", "More?"])
def test_a_follow_up_leans_on_the_question_before(follow_up):
    found = reading(("user", ASKED), ("assistant", FACT), ("user", follow_up))
    assert found.before == ASKED


def test_a_question_of_its_own_does_not():
    own = "Where do the red mountain goats live in winter?"
    found = reading(("user", ASKED), ("assistant", FACT), ("user", own))
    assert found.before == ""


def test_a_tool_result_without_the_words_of_the_question_is_still_told():
    assert reply(reading(("user", "What is 6 times 7?"), ("tool", "42"))) == "42"


def test_results_of_an_earlier_turn_are_context_only():
    found = reading(("user", "Look."), ("tool", FACT), ("user", ASKED))
    assert found.results == ()
    assert reply(found) == FACT


def test_documents_go_before_what_was_said_earlier():
    found = reading(
        ("user", "The lake is 5 m deep, I think."),
        ("user", f"Context: {FACT}\n\nQuestion: {ASKED}"),
    )
    assert reply(found).startswith(FACT) or reply(found).endswith(FACT)
    weights = {passage.text.strip(): passage.weight for passage in found.passages}
    assert weights[FACT] > weights["The lake is 5 m deep, I think."]


def test_a_conversation_without_a_user_is_read_too():
    assert reply(reading(("system", "Be kind.")))

"""Which tools a question calls for."""

from __future__ import annotations

import json

import pytest

from langchain_llmops.testing.chat_request import parse_chat
from langchain_llmops.testing.tool_use import decide

SEARCH = {"name": "search_documents", "description": "Search the company's documents."}
WEATHER = {"name": "getWeather", "description": "Current weather at a place."}
BARE = {"name": "run"}


def calls(question: str, *, answered: bool = False, **body: object) -> list[str]:
    request = parse_chat(
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": question}],
            "tools": [
                {"type": "function", "function": tool}
                for tool in (SEARCH, WEATHER, BARE)
            ],
            **body,
        }
    )
    return [call.name for call in decide(request, question, answered=answered)]


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Search for last year's report", ["search_documents"]),
        ("Which documents mention the merger?", ["search_documents"]),
        ("How is the weather?", ["getWeather"]),
        ("Please call run", ["run"]),
        ("Use getWeather, then run.", ["getWeather", "run"]),
        ("What is the meaning of life?", []),
        ("", []),
    ],
)
def test_words_decide(question, names):
    assert calls(question) == names


def test_a_question_whose_tools_have_answered_calls_none():
    assert calls("How is the weather?", answered=True) == []


def test_a_required_call_is_made_again():
    again = calls("How is the weather?", answered=True, tool_choice="required")
    assert again == ["getWeather"]


def test_a_required_call_without_a_match_takes_the_first_tool():
    assert calls("Life?", tool_choice="required") == ["search_documents"]


def test_one_at_a_time_if_so_asked():
    names = calls("Use getWeather, then run.", parallel_tool_calls=False)
    assert names == ["getWeather"]


def test_a_named_tool_is_called_without_a_match():
    choice = {"type": "function", "function": {"name": "run"}}
    assert calls("Life?", tool_choice=choice) == ["run"]


def test_arguments_are_json_with_their_characters():
    tool = {
        "name": "greet",
        "parameters": {"type": "object", "properties": {"whom": {"type": "string"}}},
    }
    question = "Please greet the one called '漢字'"
    request = parse_chat(
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": question}],
            "tools": [{"type": "function", "function": tool}],
        }
    )
    (call,) = decide(request, question, answered=False)
    assert json.loads(call.arguments) == {"whom": "漢字"}
    assert "漢字" in call.arguments

"""The chat endpoint over plain HTTP: bodies, events, errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from langchain_llmops.testing import LocalProvider, ProviderSettings, app

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = (
    "Context: Ada Lovelace wrote the first program. Grace Hopper built a compiler.\n\n"
    "Question: {}"
)


def ask(question: str = "Who wrote the first program?", **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": CONTEXT.format(question)}]
    return {"model": "gpt-4o", "messages": messages, **body}


@pytest.fixture
def http(provider: LocalProvider) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=provider.base_url) as client:
        yield client


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_an_answer_is_quoted_from_the_context(http):
    body = http.post("/chat/completions", json=ask()).json()
    assert body["object"] == "chat.completion"
    message = body["choices"][0]["message"]
    assert message["content"] == "Ada Lovelace wrote the first program."
    assert body["choices"][0]["finish_reason"] == "stop"


def test_what_the_context_does_not_say_is_said_so(http):
    body = http.post("/chat/completions", json=ask("Where is Lisbon?")).json()
    content = body["choices"][0]["message"]["content"]
    assert content == "The context does not say anything about: Lisbon."


def test_usage_adds_up(http):
    usage = http.post("/chat/completions", json=ask()).json()["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0


def test_a_stream_says_the_same_one_token_per_event(http):
    whole = http.post("/chat/completions", json=ask()).json()
    response = http.post(
        "/chat/completions",
        json=ask(stream=True, stream_options={"include_usage": True}),
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    pieces = [d["content"] for d in deltas if d.get("content")]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert len(pieces) == whole["usage"]["completion_tokens"]
    assert deltas[0]["role"] == "assistant"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_a_stream_has_no_usage_unless_it_is_asked_for(http):
    text = http.post("/chat/completions", json=ask(stream=True)).text
    assert all("usage" not in chunk for chunk in events(text))


def test_several_choices_are_streamed_side_by_side(http):
    response = http.post("/chat/completions", json=ask(stream=True, n=3))
    texts = {0: "", 1: "", 2: ""}
    for chunk in events(response.text):
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    assert len(set(texts.values())) == 3
    assert all("Ada Lovelace" in text for text in texts.values())


def test_characters_of_several_tokens_arrive_whole():
    with (
        LocalProvider(answer=lambda _: "👩🏽‍🚀 žluťoučký 漢字") as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        text = http.post("/chat/completions", json=ask(stream=True)).text
        chunks = events(text)
        said = "".join(
            c["choices"][0]["delta"].get("content") or ""
            for c in chunks
            if c["choices"]
        )
        assert said == "👩🏽‍🚀 žluťoučký 漢字"
        assert provider.invoice[0].output_tokens > len(chunks) - 2


def test_max_tokens_ends_with_length(http):
    body = http.post("/chat/completions", json=ask(max_completion_tokens=3)).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3


def test_stop_sequences_are_not_part_of_the_answer(http):
    body = http.post("/chat/completions", json=ask(stop=["first"])).json()
    assert body["choices"][0]["message"]["content"] == "Ada Lovelace wrote the "
    assert body["choices"][0]["finish_reason"] == "stop"


def test_answers_repeat_by_seed_and_vary_with_temperature(http):
    def said(**body: Any) -> str:
        answer = http.post("/chat/completions", json=ask(**body)).json()
        return answer["choices"][0]["message"]["content"]

    assert len({said(temperature=1.0) for _ in range(12)}) > 1
    assert len({said(temperature=1.0, seed=7) for _ in range(12)}) == 1
    assert len({said() for _ in range(4)}) == 1


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": None}, "messages", None),
        (
            {"messages": [{"role": "poet", "content": "x"}]},
            "messages.[0].role",
            "invalid_value",
        ),
        ({"messages": [{"role": "user"}]}, "messages.[0].content", None),
        ({"temperature": 3}, "temperature", None),
        ({"temperature": "hot"}, "temperature", None),
        ({"n": 0}, "n", None),
        ({"max_tokens": 0}, "max_tokens", None),
        ({"tools": []}, "tools", "empty_array"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        ({"stop": list("abcde")}, "stop", None),
        ({"max_tokens": 200_000}, "messages", "context_length_exceeded"),
    ],
)
def test_bad_requests_name_the_parameter(provider, http, change, param, code):
    response = http.post("/chat/completions", json=ask(**change))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert (error["param"], error["code"]) == (param, code)
    assert error["message"]
    assert provider.invoice == []
    assert provider.requests[0].outcome == "refused"


def test_tool_results_without_their_call_are_refused(http):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    orphan = {"role": "tool", "tool_call_id": "b", "content": "1"}
    user = {"role": "user", "content": "hi"}
    for messages in ([user, orphan], [user, asked, orphan], [asked, user], [asked]):
        response = http.post("/chat/completions", json=ask(messages=messages))
        assert response.status_code == 400, messages
        assert "tool" in response.json()["error"]["message"]


def test_a_body_that_is_no_json_is_a_400(http):
    for content in (b"{", b"[]"):
        response = http.post("/chat/completions", content=content)
        assert response.status_code == 400
        assert "JSON" in response.json()["error"]["message"]


def test_a_body_that_is_too_large_is_a_413(monkeypatch):
    monkeypatch.setattr(app, "_MAX_BODY", 100)
    with LocalProvider() as provider:
        url = f"{provider.base_url}/chat/completions"
        response = httpx.post(url, json=ask())
        assert response.status_code == 413
        assert "100 bytes" in response.json()["error"]["message"]
        assert provider.requests[0].outcome == "refused"


def test_unknown_routes_answer_like_openai(http):
    response = http.get("/chat/nothing")
    assert response.status_code == 404
    assert "Invalid URL" in response.json()["error"]["message"]
    assert http.get("/chat/completions").status_code == 404


def test_models_are_listed(http):
    names = {card["id"] for card in http.get("/models").json()["data"]}
    assert {"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"} <= names
    assert http.get("/models/gpt-4o").json()["id"] == "gpt-4o"
    assert http.get("/models/gpt-x").json()["error"]["code"] == "model_not_found"


def test_a_strict_provider_refuses_unknown_models():
    settings = ProviderSettings(strict=True)
    with (
        LocalProvider(settings=settings) as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        response = http.post("/chat/completions", json=ask(model="gpt-x"))
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
        dated = ask(model="gpt-4o-2024-08-06")
        assert http.post("/chat/completions", json=dated).status_code == 200


def test_a_key_is_checked_where_one_is_set():
    settings = ProviderSettings(api_key="right")
    with (
        LocalProvider(settings=settings) as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        for key, status in (("right", 200), ("wrong", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            response = http.post("/chat/completions", json=ask(), headers=headers)
            assert response.status_code == status
        assert response.json()["error"]["code"] == "invalid_api_key"


def test_a_script_that_raises_is_a_500_and_is_logged(caplog):
    def fail(messages):
        raise RuntimeError("no idea")

    with (
        LocalProvider(answer=fail) as provider,
        httpx.Client(base_url=provider.base_url) as http,
    ):
        response = http.post("/chat/completions", json=ask())
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "no idea" in caplog.text


def test_the_invoice_can_be_read_by_another_process(provider, http):
    http.post("/chat/completions", json=ask())
    address = provider.base_url.removesuffix("/v1") + "/invoice"
    row = http.get(address).json()["data"][0]
    assert row["usd"] == str(provider.invoice[0].usd)
    assert row["output_tokens"] == provider.invoice[0].output_tokens

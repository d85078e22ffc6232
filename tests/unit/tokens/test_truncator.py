"""TokenTruncator: the limit, whole characters, what stays, what is said, messages."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from langchain_llmops import TokenCounter, TokenTruncator
from langchain_llmops.errors import ConfigurationError

COUNTER = TokenCounter("gpt-4o")
STRATEGIES = ("head_tail", "head", "tail", "sentences", "query")
PIECES = [
    "tea. ",
    "Cats sleep! ",
    "绿茶。",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "e\u0301",
    "\n",
    " ",
    "x" * 30,
]
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, limit=st.integers(1, 50), strategy=st.sampled_from(STRATEGIES))
def test_the_result_is_in_the_limit_and_cuts_no_character(text, limit, strategy):
    truncator = TokenTruncator(limit, strategy, marker="[{tokens}]", query="cats")
    short = truncator.shorten(text)
    assert COUNTER.count(short.text) <= limit
    borders = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    assert {place for span in short.kept for place in span} <= borders
    kept = sum(end - start for start, end in short.kept)
    assert short.removed_chars == len(text) - kept
    if COUNTER.count(text) <= limit:
        assert short.text == text
        assert short.removed_tokens == 0


@pytest.mark.parametrize("model", ["gpt2", "claude-sonnet-4-5", "mine"])
@settings(max_examples=50, deadline=None)
@given(text=TEXTS, limit=st.integers(1, 50), strategy=st.sampled_from(STRATEGIES))
def test_every_counter_has_its_limit_kept(model, text, limit, strategy):
    counter = TokenCounter(model)
    truncator = TokenTruncator(limit, strategy, counter=counter, query="tea")
    assert counter.count(truncator.invoke(text)) <= limit


WORDS = " ".join(f"w{number}" for number in range(300))


def test_strategies_keep_what_they_say():
    marker = "<{chars}>"
    head = TokenTruncator(30, "head", marker=marker).invoke(WORDS)
    tail = TokenTruncator(30, "tail", marker=marker).invoke(WORDS)
    both = TokenTruncator(30, marker=marker).invoke(WORDS)
    assert head.startswith("w0 w1")
    assert head.endswith(">")
    assert tail.startswith("<")
    assert tail.endswith("w298 w299")
    assert both.startswith("w0 w1")
    assert both.endswith("w298 w299")


def test_sentences_stay_whole():
    text = "".join(f"This is sentence number {n}. " for n in range(40))
    short = TokenTruncator(40, "sentences", marker="<cut> ").invoke(text)
    first, last = short.split("<cut> ")
    assert first.endswith(". ")
    assert last.startswith("This is")


def test_a_query_keeps_what_it_asks_for():
    text = "Tea is hot. " * 60 + "The password is tulip. " + "Cats are soft. " * 60
    truncator = TokenTruncator(40, "query", marker=" [...] ")
    assert "tulip" in truncator.invoke(text, query="What is the password?")
    assert "tulip" in truncator.bind(query="password").invoke(text)
    nothing = truncator.invoke(text, query="пароль")  # in another script
    assert nothing == TokenTruncator(40, marker=" [...] ").invoke(text)
    chinese = "红茶很热。" * 50 + "密码是郁金香。" + "猫很软。" * 50
    assert "郁金香" in truncator.invoke(chinese, query="密码是什么")


def test_the_marker_says_what_is_missing():
    truncator = TokenTruncator(30, "head", marker=" [{tokens} tokens, {chars} chars]")
    short = truncator.shorten(WORDS)
    said = f" [{short.removed_tokens} tokens, {short.removed_chars:,} chars]"
    assert short.text.endswith(said)
    kept = short.text.removesuffix(said)
    assert short.removed_tokens == COUNTER.count(WORDS) - COUNTER.count(kept)


def test_documents_say_it_in_their_metadata():
    document = Document(page_content=WORDS, metadata={"source": "a"})
    short = TokenTruncator(30).invoke(document)
    assert short.metadata["source"] == "a"
    assert short.metadata["truncated"]["removed_chars"] > 500
    assert short.metadata["truncated"]["removed_tokens"] > 500
    assert "truncated" not in document.metadata
    small = Document(page_content="tea")
    assert TokenTruncator(30).invoke(small) is small


def conversation():
    return [
        SystemMessage("Be brief and kind."),
        HumanMessage("Weather? " * 40),
        AIMessage("", tool_calls=[{"name": "get", "args": {"a": 1}, "id": "1"}]),
        ToolMessage("sun " * 400, tool_call_id="1"),
        AIMessage("Sunny."),
        ChatMessage("And an odd role", role="narrator"),
        HumanMessage("So what shall I wear? " * 3),
        AIMessage(
            "",
            tool_calls=[
                {"name": "get", "args": {}, "id": "2"},
                {"name": "get", "args": {}, "id": "3"},
            ],
        ),
        ToolMessage("hat " * 300, tool_call_id="2"),
        ToolMessage("coat " * 200, tool_call_id="3"),
    ]


@settings(max_examples=100, deadline=None)
@given(limit=st.integers(60, 1600), strategy=st.sampled_from(STRATEGIES))
def test_messages_stay_a_valid_conversation(limit, strategy):
    messages = conversation()
    short = TokenTruncator(limit, strategy).invoke(messages)
    assert COUNTER.count_messages(short) <= limit
    assert short[0] == messages[0]
    assert any(isinstance(message, HumanMessage) for message in short)
    calls = [c["id"] for m in short if isinstance(m, AIMessage) for c in m.tool_calls]
    results = [m.tool_call_id for m in short if isinstance(m, ToolMessage)]
    assert calls == results
    assert {"2", "3"} <= set(calls)  # the last step


def test_long_texts_are_cut_before_messages_go():
    messages = conversation()
    found = TokenTruncator(500).shorten_messages(messages)
    assert found.removed_messages == 0
    assert len(found.messages) == len(messages)
    before = COUNTER.count_messages(messages)
    assert found.removed_tokens == before - COUNTER.count_messages(found.messages)
    assert [m.text for m in found.messages if len(m.text) < 80] == [
        m.text for m in messages if len(m.text) < 80
    ]
    assert messages == conversation()  # the caller's are as they were


def test_blocks_that_are_no_text_stay():
    image = {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}
    message = HumanMessage([{"type": "text", "text": WORDS}, image])
    (short,) = TokenTruncator(200).invoke([message])
    assert short.content[1] == image
    assert "tokens removed" in short.content[0]["text"]


def test_the_last_question_is_what_a_query_asks():
    text = "Tea is hot. " * 60 + "The password is tulip. " + "Cats are soft. " * 60
    messages = [AIMessage(text), HumanMessage("What is the password?")]
    short = TokenTruncator(80, "query").invoke(messages)
    assert "tulip" in short[0].text


def test_prompts_stay_prompts():
    chat = ChatPromptTemplate.from_messages([("system", "Brief."), ("human", "{text}")])
    messages = (chat | TokenTruncator(40)).invoke({"text": WORDS}).to_messages()
    assert [message.type for message in messages] == ["system", "human"]
    assert COUNTER.count_messages(messages) <= 40
    text = (PromptTemplate.from_template("{text}") | TokenTruncator(40)).invoke(
        {"text": WORDS}
    )
    assert COUNTER.count(text.to_string()) <= 40


def test_a_system_prompt_over_the_limit_is_refused_with_both_numbers():
    messages = [SystemMessage(WORDS), HumanMessage("Hi")]
    with pytest.raises(ConfigurationError, match=r"have \d{3} tokens.*max_tokens=50"):
        TokenTruncator(50).invoke(messages)


def test_ten_megabytes_in_one_message():
    text = "All of it in one line of a log file, 0123456789. " * 200_000
    (short,) = TokenTruncator(1000).invoke([HumanMessage(text)])
    assert 950 < COUNTER.count_messages([short]) <= 1000


async def test_asynchronous_results_are_the_same():
    truncator = TokenTruncator(60, "query")
    for value in (WORDS, Document(page_content=WORDS), [HumanMessage(WORDS)]):
        found = await truncator.ainvoke(value, query="w7 w200")
        assert found == truncator.invoke(value, query="w7 w200")


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda: TokenTruncator(0), "max_tokens=0"),
        (lambda: TokenTruncator(5, "middle"), "strategy='middle'"),
        (lambda: TokenTruncator(5).invoke(7), "not 'int'"),
        (lambda: TokenTruncator(5).invoke([Document(page_content="")]), r"map\(\)"),
    ],
)
def test_bad_arguments_are_named(act, match):
    with pytest.raises(ConfigurationError, match=match):
        act()

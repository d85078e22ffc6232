"""Messages: the published figures, LangChain's own, and shapes of any kind."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_openai import ChatOpenAI

from langchain_llmops.tokens import TokenCounter

# OpenAI's cookbook, "How to count tokens with tiktoken", section 6.
JARGON = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates "
        "corporate jargon into plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on "
        "opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for "
        "the client deliverable.",
    },
]


@pytest.mark.parametrize(
    ("model", "billed"),
    [
        ("gpt-3.5-turbo-0301", 127),
        ("gpt-3.5-turbo-0613", 129),
        ("gpt-4-0314", 129),
        ("gpt-4-0613", 129),
        ("gpt-4o", 124),
        ("gpt-4o-mini", 124),
    ],
)
def test_the_cookbooks_conversation_costs_what_openai_billed(model, billed):
    count = TokenCounter(model).measure_messages(JARGON)
    assert (count.tokens, count.exact, count.upper_bound) == (billed, True, billed)


def test_a_reasoning_model_bills_no_more_than_the_bound():
    """An answer of gpt-5's in OpenAI's reference has 18 prompt tokens."""
    messages = [("developer", "You are a helpful assistant."), ("user", "Hello!")]
    count = TokenCounter("gpt-5").measure_messages(messages)
    assert not count.exact
    assert 18 <= count.tokens <= count.upper_bound


# LangChain's own counter raises on text that spells a special token.
text = st.text().filter(lambda text: "<|" not in text)
plain_messages = st.lists(
    st.one_of(
        st.builds(HumanMessage, text, name=st.none() | text.filter(bool)),
        st.builds(AIMessage, text, name=st.none() | text.filter(bool)),
        st.builds(SystemMessage, text),
        st.builds(HumanMessageChunk, text),
        st.builds(AIMessageChunk, text),
        st.builds(ChatMessage, text, role=text.filter(bool)),
        st.builds(HumanMessage, st.lists(text, min_size=1)),
    ),
    max_size=5,
)


@pytest.mark.usefixtures("tiktoken_offline")
class TestBesideChatOpenAI:
    @pytest.mark.parametrize(
        "model", ["gpt-4o", "gpt-4", "gpt-3.5-turbo-0301", "gpt-4.1-mini", "gpt-5"]
    )
    def test_plain_messages_count_as_langchain_counts_them(self, model):
        ours = TokenCounter(model)
        theirs = ChatOpenAI(model=model, api_key="x")

        @settings(deadline=None)
        @given(messages=plain_messages)
        def check(messages):
            expected = theirs.get_num_tokens_from_messages(messages)
            assert ours.count_messages(messages) == expected

        check()


def test_ways_to_write_the_same_messages(counter):
    messages = [SystemMessage("Be brief."), HumanMessage("Hello!")]
    total = counter.count_messages(messages)
    same = [
        tuple(messages),
        iter(messages),
        [("system", "Be brief."), ("human", "Hello!")],
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello!"},
        ],
        ChatPromptValue(messages=messages),
    ]
    assert [counter.count_messages(each) for each in same] == [total] * len(same)
    alone = counter.count_messages([HumanMessage("Hello!")])
    for each in ("Hello!", HumanMessage("Hello!"), StringPromptValue(text="Hello!")):
        assert counter.count_messages(each) == alone
    assert counter.count_messages([]) == counter.count_messages(()) == 3


CALL = {"name": "search", "args": {"q": "Züge"}, "id": "call_1", "type": "tool_call"}


def test_tool_calls_cost_their_name_and_arguments_and_three(counter):
    message = AIMessage(content="", tool_calls=[CALL, {**CALL, "id": "call_2"}])
    count = counter.measure_message(message)
    each = counter.count("search") + counter.count('{"q": "Züge"}') + 3
    assert count.tokens == 4 + 2 * each
    assert not count.exact
    assert count.upper_bound > count.tokens


def test_raw_and_invalid_calls_cost_the_same_as_parsed_ones(counter):
    arguments = json.dumps(CALL["args"], ensure_ascii=False)
    function = {"name": "search", "arguments": arguments}
    raw = {"id": "call_1", "type": "function", "function": function}
    invalid = {"name": "search", "args": arguments, "id": "call_1", "error": None}
    parsed = counter.measure_message(AIMessage(content="", tool_calls=[CALL]))
    for message in (
        AIMessage.model_construct(
            content="", additional_kwargs={"tool_calls": [raw]}, tool_calls=[]
        ),
        AIMessage(
            content="", invalid_tool_calls=[{**invalid, "type": "invalid_tool_call"}]
        ),
    ):
        assert counter.measure_message(message) == parsed
    legacy = AIMessage(content="", additional_kwargs={"function_call": function})
    assert counter.measure_message(legacy).tokens == parsed.tokens


def test_results_are_counted_without_their_id_which_the_bound_has(counter):
    message = ToolMessage(content="42", tool_call_id="call_" + "x7" * 20, name="search")
    count = counter.measure_message(message)
    assert count.tokens == 4 + 1
    assert count.upper_bound > 20
    assert not count.exact


def test_roles_and_names(counter):
    plain = counter.count_messages([HumanMessage("Hi")])
    named = counter.count_messages([HumanMessage("Hi", name="Ada")])
    assert named == plain + 1 + counter.count("Ada")
    developer = SystemMessage("Hi", additional_kwargs={"__openai_role__": "developer"})
    assert counter.count_messages([developer]) == plain
    odd = ChatMessage("Hi", role="master of ceremonies")
    assert counter.count_messages([odd]) == plain - 1 + counter.count(odd.role)
    function = FunctionMessage("Hi", name="f")
    assert counter.count_messages([function]) == plain + 2


def test_an_instruction_to_remove_is_never_sent(counter):
    assert counter.measure_message(RemoveMessage(id="1")).tokens == 0


def test_standard_roles_are_one_token():
    for model in ("gpt-4o", "gpt-4"):
        counter = TokenCounter(model)
        for role in ("system", "user", "assistant", "tool", "function", "developer"):
            assert counter.count(role) == 1


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9)
    | st.sampled_from(["role", "content", "user", "human", "ai", "tool", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "source", "image_url"]),
            inner
            | st.sampled_from(
                [
                    "user",
                    "assistant",
                    "text",
                    "image_url",
                    "image",
                    "file",
                    "tool_result",
                ]
            ),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("model", ["gpt-4o", "claude-opus-4-8"])
def test_nothing_raises(model):
    counter = TokenCounter(model)

    @settings(deadline=None)
    @given(
        thing=anything,
        kind=st.sampled_from([HumanMessage, AIMessage, ToolMessage, ChatMessage]),
    )
    def check(thing, kind):
        odd = kind.model_construct(
            content=thing, tool_calls=thing, additional_kwargs=thing, name=thing
        )
        for messages in ([thing], [odd], thing, [kind.model_construct(content=thing)]):
            count = counter.measure_messages(messages)
            assert count.tokens >= 0
            assert count.upper_bound is None or count.upper_bound >= count.tokens

    check()


def test_what_is_no_message_counts_as_its_json(counter):
    for thing in ({"role": "martian", "content": "Hi"}, 42, ["a", "b", "c"], None):
        count = counter.measure_message(thing)
        assert not count.exact
        assert 4 < count.tokens < 40

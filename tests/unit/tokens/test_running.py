"""A running count is at every moment what counting everything again would say."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmops.tokens import TokenCounter

TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search the index.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    },
}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
CALL = {"name": "search", "args": {"q": "x"}, "id": "1", "type": "tool_call"}

messages = st.one_of(
    st.builds(HumanMessage, st.text(max_size=30)),
    st.builds(SystemMessage, st.text(max_size=30)),
    st.builds(AIMessage, st.text(max_size=30)),
    st.builds(AIMessage, st.just(""), tool_calls=st.just([CALL])),
    st.builds(ToolMessage, st.text(max_size=30), tool_call_id=st.just("1")),
    st.just(HumanMessage([IMAGE, "What is this?"])),
    st.just(HumanMessage([{"type": "file", "file_id": "1"}])),
    st.tuples(st.just("human"), st.text(max_size=30)),
)
indices = st.integers(-12, 12)
slices = st.slices(12)


class Conversation(RuleBasedStateMachine):
    """The same edits to a running count and to a list."""

    @initialize(
        model=st.sampled_from(["gpt-4o", "gpt-4", "o3", "claude-opus-4-8"]),
        begin=st.lists(messages, max_size=4),
        tools=st.sampled_from([None, [TOOL]]),
    )
    def start(self, model, begin, tools):
        self.counter = TokenCounter(model)
        self.tools = tools
        self.list = list(begin)
        self.running = self.counter.running(begin, tools)

    @rule(message=messages)
    def append(self, message):
        self.running.append(message)
        self.list.append(message)

    @rule(more=st.lists(messages, max_size=3))
    def extend(self, more):
        self.running.extend(iter(more))
        self.list.extend(more)

    @rule(index=indices, message=messages)
    def insert(self, index, message):
        self.running.insert(index, message)
        self.list.insert(index, message)

    @rule(index=indices, message=messages)
    def replace(self, index, message):
        self.both(lambda target: target.__setitem__(index, message))

    @rule(index=slices, more=st.lists(messages, max_size=3))
    def replace_slice(self, index, more):
        self.both(lambda target: target.__setitem__(index, more))

    @rule(index=indices | slices)
    def delete(self, index):
        self.both(lambda target: target.__delitem__(index))

    @rule(index=st.integers(0, 11), text=st.text(max_size=20))
    def edit_in_place(self, index, text):
        if index < len(self.list) and isinstance(self.list[index], HumanMessage):
            self.list[index] = copy.deepcopy(self.list[index])
            self.list[index].content = text
            self.running[index] = self.list[index]

    @rule(how=st.sampled_from([copy.deepcopy, copy.copy]))
    def carry_on_with_a_copy(self, how):
        before, self.running = self.running, how(self.running)
        assert self.running.total == before.total

    def both(self, edit):
        try:
            edit(self.list)
        except (IndexError, ValueError) as error:
            with pytest.raises(type(error)):
                edit(self.running)
        else:
            edit(self.running)

    @invariant()
    def says_what_counting_again_says(self):
        if not hasattr(self, "list"):
            return
        assert len(self.running) == len(self.list)
        count = self.counter.measure_messages(self.list, self.tools)
        assert self.running.count == count
        assert self.running.total == count.tokens
        assert self.running.total == self.counter.count_messages(self.list, self.tools)


Conversation.TestCase.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None
)
test_any_sequence_of_edits = Conversation.TestCase


@settings(deadline=None)
@given(conversation=st.lists(messages, max_size=6))
def test_a_request_is_its_messages_and_what_opens_the_answer(counter, conversation):
    parts = [counter.measure_message(message).tokens for message in conversation]
    assert counter.count_messages(conversation) == sum(parts) + 3


def test_a_message_changed_in_place_counts_when_it_is_assigned(counter):
    message = HumanMessage("short")
    running = counter.running([message])
    before = running.total
    message.content = "a good deal longer than it was before"
    assert running.total == before
    running[0] = message
    assert running.total == counter.count_messages([message]) > before


def test_a_failed_edit_changes_nothing(counter):
    running = counter.running(["one", "two", "three"])
    before = running.count
    with pytest.raises(IndexError):
        running[7] = "four"
    with pytest.raises(ValueError, match="extended slice"):
        running[::2] = ["only one"]
    with pytest.raises(IndexError):
        del running[7]
    assert running.count == before
    assert len(running) == 3


def test_appending_counts_the_new_message_only(counter, monkeypatch):
    running = counter.running(["hello"] * 50)
    measured = []
    measure = type(running._meter).measure
    monkeypatch.setattr(
        type(running._meter),
        "measure",
        lambda self, message: (measured.append(message), measure(self, message))[1],
    )
    running.append("new")
    _ = running.total
    running[3] = "edited"
    _ = running.total
    assert measured == ["new", "edited"]


def test_it_is_pickled_with_its_tools(counter):
    running = counter.running([("system", "Be brief."), ("human", "Hi")], [TOOL])
    again = pickle.loads(pickle.dumps(running))
    assert again.count == running.count
    again.append("more")
    assert again.total > running.total


def test_it_shows_its_size(counter):
    running = counter.running(["Hi"])
    assert repr(running) == f"<RunningCount of 1 messages: {running.total} tokens>"

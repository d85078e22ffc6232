"""continue_truncated: joints, usage, streams, tool calls, the runs that are seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from pydantic import PrivateAttr

from langchain_llmops import continue_truncated
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.joining import repeated, undecided

USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
CALL = {"name": "get", "args": {"a": 1}, "id": "1"}


class Scripted(BaseChatModel):
    """Gives prepared answers in turn, whole or in pieces of three characters."""

    rounds: list
    _asked: list = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self):
        return "scripted"

    def _next(self, messages):
        self._asked.append(messages)
        text, reason, *calls = self.rounds[len(self._asked) - 1]
        return text, {"finish_reason": reason, "model_name": "m"}, calls

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text, metadata, calls = self._next(messages)
        message = AIMessage(
            text, response_metadata=metadata, usage_metadata=USAGE, tool_calls=calls
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        text, metadata, calls = self._next(messages)
        for at in range(0, len(text), 3):
            yield ChatGenerationChunk(message=AIMessageChunk(text[at : at + 3]))
        pieces = [
            {"name": c["name"], "args": '{"a', "id": c["id"], "index": 0} for c in calls
        ]
        for message in (
            AIMessageChunk("", tool_call_chunks=pieces, response_metadata=metadata),
            AIMessageChunk("", usage_metadata=USAGE),
        ):
            yield ChatGenerationChunk(message=message)


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request):
    """Ask a model in each way, and return one message."""

    async def call(model, value="Hi", config=None):
        if request.param == "invoke":
            return model.invoke(value, config)
        if request.param == "ainvoke":
            return await model.ainvoke(value, config)
        if request.param == "stream":
            chunks = list(model.stream(value, config))
        else:
            chunks = [chunk async for chunk in model.astream(value, config)]
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole

    return call


FOX = "The quick brown fox jumps over the lazy dog near the river bank."


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The quick brown fox jum", "ps over the lazy dog near the river bank."),
        (
            "The quick brown fox jum",
            "brown fox jumps over the lazy dog near the river bank.",
        ),
        ("The quick brown fox jum", "jumps over the lazy dog near the river bank."),
        (
            "The quick brown fox jumps ",
            "The quick brown fox jumps over the lazy dog near the river bank.",
        ),
        (
            "The quick brown fox jumps",
            "\nquick brown fox jumps over the lazy dog near the river bank.",
        ),
        ("The quick brown fox ", "jumps over the lazy dog near the river bank."),
    ],
)
async def test_rounds_are_joined_without_repetition(ask, first, second):
    model = Scripted(rounds=[(first, "length"), (second, "stop")])
    answer = await ask(continue_truncated(model))
    assert answer.text == FOX
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == "m"
    assert answer.usage_metadata == {
        "input_tokens": 20,
        "output_tokens": 10,
        "total_tokens": 30,
    }


async def test_a_complete_answer_is_one_request(ask):
    model = Scripted(rounds=[("Yes.", "stop")])
    answer = await ask(continue_truncated(model))
    assert answer.text == "Yes."
    assert answer.response_metadata["finish_reason"] == "stop"
    assert len(model._asked) == 1


async def test_the_model_sees_its_answer_so_far(ask):
    model = Scripted(rounds=[("one two", "length"), (" three", "stop")])
    await ask(continue_truncated(model), [HumanMessage("Count")])
    question, answer, request = model._asked[1]
    assert (question.text, answer.text) == ("Count", "one two")
    assert "'one two'" in request.text


async def test_many_rounds_and_an_end(ask):
    rounds = [(f"Part number {n} of the answer. ", "length") for n in range(9)]
    model = Scripted(rounds=rounds)
    answer = await ask(continue_truncated(model, max_rounds=4))
    assert answer.text == "".join(text for text, _ in rounds[:4])
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.usage_metadata["input_tokens"] == 40


@pytest.mark.parametrize("nothing", ["", "The quick brown fox jum"])
async def test_it_stops_when_nothing_new_comes(ask, nothing):
    text = "The quick brown fox jum"
    model = Scripted(rounds=[(text, "length"), (nothing, "length")])
    answer = await ask(continue_truncated(model))
    assert answer.text == text
    assert answer.response_metadata["finish_reason"] == "length"


async def test_a_tool_call_that_was_cut_off_is_refused(ask):
    model = Scripted(rounds=[("", "length", CALL)])
    with pytest.raises(ConfigurationError, match=r"'get'.*max_tokens"):
        await ask(continue_truncated(model))


async def test_a_complete_tool_call_passes(ask):
    model = Scripted(rounds=[("", "tool_calls", CALL)])
    answer = await ask(continue_truncated(model))
    assert answer.tool_calls[0]["name"] == "get"


async def test_prompts_and_strings_are_taken(ask):
    prompt = ChatPromptTemplate.from_messages([("system", "Brief"), ("human", "{q}")])
    model = Scripted(rounds=[("one two", "length"), (" three", "stop")])
    answer = await ask(prompt | continue_truncated(model), {"q": "Count"})
    assert answer.text == "one two three"
    assert [message.type for message in model._asked[1]] == [
        "system",
        "human",
        "ai",
        "human",
    ]


async def test_each_round_is_a_run_below_one_chain(ask):
    runs = []

    class Listener(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, serialized, inputs, **kwargs):
            runs.append(("chain", kwargs["run_id"], kwargs["parent_run_id"]))

        def on_chat_model_start(self, serialized, messages, **kwargs):
            runs.append(("llm", kwargs["run_id"], kwargs["parent_run_id"]))

    model = Scripted(rounds=[("one", "length"), (" two", "stop")])
    await ask(continue_truncated(model), "Hi", {"callbacks": [Listener()]})
    (kind, root, parent), *rounds = runs
    assert (kind, parent) == ("chain", None)
    assert [(kind, parent) for kind, _, parent in rounds] == [("llm", root)] * 2


def test_streams_stay_streams():
    first, second = "A sentence to begin with, which is", " quite long and goes on."
    model = Scripted(rounds=[(first, "length"), (second, "stop")])
    texts = [chunk.text for chunk in continue_truncated(model).stream("Hi")]
    assert "".join(texts) == first + second
    assert max(map(len, texts)) <= 6  # only a continuation's beginning is held back


async def test_a_reader_who_stops_closes_the_model():
    closed = []

    class Watched(Scripted):
        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            try:
                for chunk in self._stream(messages):
                    yield chunk
            finally:
                closed.append(True)

    stream = continue_truncated(Watched(rounds=[("one two three", "stop")])).astream("")
    async for _ in stream:
        break
    await stream.aclose()
    assert closed == [True]


def test_blocks_of_thought_stay_before_the_text():
    thought = {"type": "reasoning", "reasoning": "hm"}
    rounds = [
        ([thought, {"type": "text", "text": "one"}], "length"),
        ([{"type": "text", "text": " two"}], "stop"),
    ]
    answer = continue_truncated(Scripted(rounds=rounds)).invoke("Hi")
    assert answer.content == [thought, {"type": "text", "text": "one two"}]


@pytest.mark.parametrize(
    "metadata",
    [
        {"stop_reason": "max_tokens"},
        {"finish_reason": "MAX_TOKENS"},
        {"stopReason": "max_tokens"},
        {"done_reason": "length"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    ],
)
def test_other_providers_words_are_known(metadata):
    answers = iter(
        [
            AIMessage("one", response_metadata=metadata),
            AIMessage(" two", response_metadata={"stop_reason": "end_turn"}),
        ]
    )
    model = continue_truncated(GenericFakeChatModel(messages=answers))
    assert model.invoke("Hi").text == "one two"


WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=8, max_size=40)


@given(words=WORDS, data=st.data())
def test_what_a_continuation_repeats_is_found(words, data):
    text = " ".join(words)
    cut = data.draw(st.integers(1, len(text) - 1))
    starts = [0, *(at + 1 for at in range(cut) if text[at] == " ")]
    back = data.draw(st.sampled_from(starts))
    if len(text[back:cut].strip()) >= 12:
        joined = text[:cut] + text[back:][repeated(text[:cut], text[back:]) :]
        assert joined == text or len(joined) < len(text)  # a longer repetition
        assert len(joined) <= len(text)


@given(words=WORDS, data=st.data())
def test_what_is_decided_early_is_what_is_found_in_the_end(words, data):
    text = " ".join(words)
    cut = data.draw(st.integers(1, len(text)))
    going_on = data.draw(st.one_of(WORDS.map(" ".join), st.just(text[cut // 2 :])))
    for size in range(len(going_on) + 1):
        if not undecided(text[:cut], going_on[:size]):
            early = repeated(text[:cut], going_on[:size])
            assert early == repeated(text[:cut], going_on)
            break


def test_chance_is_not_repetition():
    assert repeated("It ends with the", " the end") == 0
    assert repeated("1, 1, 1,", "1, 1, 1]") == 0
    assert repeated("", "anything") == 0
    assert repeated("something", "") == 0


def test_no_rounds_are_refused():
    with pytest.raises(ConfigurationError, match="max_rounds=0"):
        continue_truncated(Scripted(rounds=[]), max_rounds=0)

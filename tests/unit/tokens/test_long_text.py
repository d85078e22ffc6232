"""LongTextRunnable: order, carrying, bounds, errors, going on, progress."""

from __future__ import annotations

import asyncio
import threading

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.stores import InMemoryByteStore
from langchain_text_splitters import CharacterTextSplitter

from langchain_llmops import LongTextRunnable, TokenCounter, TokenTextSplitter
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens import LONG_TEXT_EVENT

TEXT = "".join(f"Sentence number {n} is here. " for n in range(60))
SPLITTER = TokenTextSplitter(50)
CHUNKS = SPLITTER.split_text(TEXT)


def same(segment):
    return segment["text"]


class Recorder:
    """A step that remembers what it was given, and fails where it is told to."""

    def __init__(self, fail_at=()):
        self.seen = []
        self.fail_at = set(fail_at)
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, segment):
        with self.lock:
            self.seen.append(segment)
        if segment["index"] in self.fail_at:
            raise ValueError(segment["index"])
        return f"<{segment['index']}>"

    async def slowly(self, segment):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        try:
            return self(segment)
        finally:
            self.now -= 1

    def step(self):
        return RunnableLambda(self, afunc=self.slowly)


@pytest.fixture(params=["sync", "async"])
def run(request):
    """Invoke a Runnable in either way."""

    async def call(runnable, value, config=None):
        if request.param == "async":
            return await runnable.ainvoke(value, config)
        return await asyncio.to_thread(runnable.invoke, value, config)

    return call


async def test_outputs_are_merged_in_the_order_of_the_text(run):
    outputs = await run(LongTextRunnable(same, SPLITTER, merge="list"), TEXT)
    assert "".join(outputs) == TEXT
    assert await run(LongTextRunnable(same, SPLITTER), TEXT) == "\n\n".join(CHUNKS)
    assert await run(LongTextRunnable(same, SPLITTER, merge="last"), TEXT) == CHUNKS[-1]
    assert await run(LongTextRunnable(same, SPLITTER, merge=len), TEXT) == len(CHUNKS)


async def test_steps_get_their_segment_and_its_place(run):
    recorder = Recorder()
    document = Document(page_content=TEXT)
    await run(LongTextRunnable(recorder.step(), SPLITTER), document)
    seen = sorted(recorder.seen, key=lambda segment: segment["index"])
    assert [segment["text"] for segment in seen] == CHUNKS
    assert {segment["total"] for segment in seen} == {len(CHUNKS)}
    assert {segment["context"] for segment in seen} == {""}


async def test_the_tail_of_the_segment_before_is_carried(run):
    recorder = Recorder()
    chain = LongTextRunnable(recorder.step(), SPLITTER, "tail", carry_tokens=10)
    await run(chain, TEXT)
    seen = sorted(recorder.seen, key=lambda segment: segment["index"])
    assert seen[0]["context"] == ""
    for before, segment in zip(CHUNKS, seen[1:], strict=False):
        assert before.endswith(segment["context"])
        assert segment["context"].startswith("Sentence")
        assert TokenCounter().count(segment["context"]) <= 10


async def test_a_summary_goes_from_segment_to_segment(run):
    recorder = Recorder()

    def summarize(known):
        return known["summary"] + known["output"]

    chain = LongTextRunnable(recorder.step(), SPLITTER, "summary", summarize=summarize)
    await run(chain, TEXT)
    contexts = [segment["context"] for segment in recorder.seen]
    assert contexts[:4] == ["", "<0>", "<0><1>", "<0><1><2>"]


async def test_without_a_summarizer_the_output_is_refined(run):
    chain = LongTextRunnable(
        lambda segment: AIMessage(segment["context"] + str(segment["index"])),
        SPLITTER,
        carry="summary",
        merge="last",
    )
    answer = await run(chain, TEXT)
    assert answer.text == "".join(map(str, range(len(CHUNKS))))


async def test_an_empty_summary_changes_nothing(run):
    recorder = Recorder()

    def summarize(known):
        return "" if known["summary"] else "kept"

    chain = LongTextRunnable(recorder.step(), SPLITTER, "summary", summarize=summarize)
    await run(chain, TEXT)
    assert {segment["context"] for segment in recorder.seen[1:]} == {"kept"}


async def test_what_is_carried_is_bounded(run):
    recorder = Recorder()
    chain = LongTextRunnable(
        recorder.step(),
        SPLITTER,
        "summary",
        summarize=lambda known: "word " * 500,
        carry_tokens=20,
    )
    await run(chain, TEXT)
    counter = TokenCounter()
    assert all(counter.count(segment["context"]) <= 20 for segment in recorder.seen)


@pytest.mark.parametrize(("config", "most"), [({}, 3), ({"max_concurrency": 2}, 2)])
async def test_no_more_segments_are_under_way_than_allowed(config, most):
    recorder = Recorder()
    chain = LongTextRunnable(recorder.step(), SPLITTER, max_concurrency=3)
    await chain.ainvoke(TEXT, config)
    assert recorder.most == most


async def test_threads_are_bounded_too():
    barrier = threading.Barrier(2, timeout=5)  # passed only by two at a time
    inside = Recorder()

    def step(segment):
        with inside.lock:
            inside.now += 1
            inside.most = max(inside.most, inside.now)
        if segment["index"] < 2:
            barrier.wait()
        with inside.lock:
            inside.now -= 1
        return ""

    chain = LongTextRunnable(step, SPLITTER, max_concurrency=2)
    await asyncio.to_thread(chain.invoke, TEXT)
    assert inside.most == 2


@pytest.mark.parametrize("carry", [None, "tail", "summary"])
async def test_a_failed_run_goes_on_where_it_stopped(run, carry):
    store, failing = InMemoryByteStore(), Recorder(fail_at=[3])
    chain = LongTextRunnable(
        failing.step(), SPLITTER, carry, store=store, max_concurrency=2
    )
    with pytest.raises(ValueError, match="3"):
        await run(chain, TEXT)
    finished = {segment["index"] for segment in failing.seen} - {3}
    assert finished >= {0, 1}
    again = Recorder()
    chain = LongTextRunnable(again.step(), SPLITTER, carry, store=store)
    whole = "\n\n".join(f"<{n}>" for n in range(len(CHUNKS)))
    assert await run(chain, TEXT) == whole
    assert not finished & {segment["index"] for segment in again.seen}


async def test_after_an_error_no_further_segment_is_begun(run):
    failing = Recorder(fail_at=[3])
    chain = LongTextRunnable(failing.step(), SPLITTER, max_concurrency=1)
    with pytest.raises(ValueError, match="3"):
        await run(chain, TEXT)
    assert [segment["index"] for segment in failing.seen] == [0, 1, 2, 3]


async def test_the_error_of_a_step_is_the_same_object(run):
    error = RuntimeError("no")

    def step(segment):
        raise error

    with pytest.raises(RuntimeError) as caught:
        await run(LongTextRunnable(step, SPLITTER), TEXT)
    assert caught.value is error


async def test_only_segments_that_changed_are_done_again(run):
    store, first = InMemoryByteStore(), Recorder()
    await run(LongTextRunnable(first.step(), SPLITTER, store=store), TEXT)
    second = Recorder()
    chain = LongTextRunnable(second.step(), SPLITTER, store=store)
    await run(chain, TEXT + "And one more. ")
    assert 0 < len(second.seen) < len(first.seen)
    third = Recorder()
    other = LongTextRunnable(third.step(), SPLITTER, store=store, namespace="v2")
    await run(other, TEXT)
    assert len(third.seen) == len(CHUNKS)


async def test_messages_come_back_from_the_store_as_they_were(run):
    store = InMemoryByteStore()
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    def step(segment):
        return AIMessage("x", usage_metadata=usage)

    chain = LongTextRunnable(step, SPLITTER, merge="list", store=store)
    assert await run(chain, TEXT) == await run(chain, TEXT)


async def test_what_cannot_be_kept_is_refused(run):
    chain = LongTextRunnable(
        lambda segment: object(), SPLITTER, merge="list", store=InMemoryByteStore()
    )
    with pytest.raises(ConfigurationError, match="'object', cannot be kept"):
        await run(chain, TEXT)


class LostStore(InMemoryByteStore):
    def mget(self, keys):
        raise ConnectionError("gone")

    async def amget(self, keys):
        raise ConnectionError("gone")

    mset = mget
    amset = amget


async def test_a_lost_store_costs_only_its_saving(run, caplog):
    chain = LongTextRunnable(same, SPLITTER, merge="list", store=LostStore())
    assert "".join(await run(chain, TEXT)) == TEXT
    assert len(caplog.records) == 1


async def test_damaged_entries_are_done_again(run):
    store = InMemoryByteStore()
    chain = LongTextRunnable(same, SPLITTER, merge="list", store=store)
    await run(chain, TEXT)
    for key in list(store.yield_keys()):
        store.mset([(key, b"{")])
    assert "".join(await run(chain, TEXT)) == TEXT


async def test_progress_is_told_to_the_callbacks(run):
    told = []

    class Listener(BaseCallbackHandler):
        run_inline = True

        def on_custom_event(self, name, data, **kwargs):
            told.append((name, data))

    store = InMemoryByteStore()
    chain = LongTextRunnable(same, SPLITTER, store=store)
    for resumed in (False, True):
        told.clear()
        await run(chain, TEXT, {"callbacks": [Listener()]})
        assert {name for name, _ in told} == {LONG_TEXT_EVENT}
        data = [data for _, data in told]
        # Threads may tell in another order than they finished in.
        assert {each["done"] for each in data} == set(range(1, len(CHUNKS) + 1))
        assert len(data) == len(CHUNKS)
        assert {each["resumed"] for each in data} == {resumed}


async def test_steps_run_below_the_runnable():
    runs = []

    class Listener(AsyncCallbackHandler):
        async def on_chain_start(self, serialized, inputs, **kwargs):
            runs.append((kwargs["run_id"], kwargs["parent_run_id"]))

    await LongTextRunnable(same, SPLITTER).ainvoke(TEXT, {"callbacks": [Listener()]})
    (root, no_parent), *others = runs
    assert no_parent is None
    assert {parent for _, parent in others} == {root}


async def test_cancelling_stops_all_segments():
    begun = asyncio.Event()
    left = []

    async def step(segment):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.append(segment["index"])

    chain = LongTextRunnable(RunnableLambda(step), SPLITTER, max_concurrency=3)
    task = asyncio.create_task(chain.ainvoke(TEXT))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(left) <= 3
    assert len(asyncio.all_tasks()) == 1


async def test_other_splitters_and_empty_texts(run):
    other = CharacterTextSplitter(separator=". ", chunk_size=100, chunk_overlap=0)
    assert "number 7" in await run(LongTextRunnable(same, other), TEXT)
    assert await run(LongTextRunnable(same), "") == ""
    assert await run(LongTextRunnable(same, merge="last"), "") is None


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda: LongTextRunnable(same, carry="all"), "carry='all'"),
        (lambda: LongTextRunnable(same, merge="sum"), "merge='sum'"),
        (lambda: LongTextRunnable(same, max_concurrency=0), "max_concurrency=0"),
        (lambda: LongTextRunnable(same).invoke(7), "not 'int'"),
        (lambda: LongTextRunnable(len).invoke("a"), "merge='list'"),
    ],
)
def test_bad_arguments_are_named(act, match):
    with pytest.raises(ConfigurationError, match=match):
        act()

"""The tracker never raises, forgets nothing silently, and stays small."""

from __future__ import annotations

import logging
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.cost.tracker import CallTracker
from langchain_llmops.pricing import Prices, Usage, UsdPerMillion

JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    | st.builds(AIMessage, st.text(max_size=3))
    | st.builds(ValueError)
)
RUN_IDS = JUNK | st.integers(0, 3).map(lambda number: uuid.UUID(int=number))
EVENTS = st.lists(st.tuples(st.integers(0, 5), RUN_IDS, JUNK, JUNK), max_size=12)


class Exploding:
    """A response that cannot be looked at."""

    @property
    def generations(self):
        raise ZeroDivisionError


@pytest.fixture
def prices():
    return Prices({"fake-1": UsdPerMillion(input=1, output=10)})


def tracked(prices, **limits):
    charges = []
    return CallTracker(prices, charges.append, **limits), charges


def answer(usage=None, **said):
    said.setdefault("model_name", "fake-1")
    message = AIMessage("Hello", usage_metadata=usage, response_metadata=said)
    return LLMResult(generations=[[ChatGeneration(message=message)]])


@given(EVENTS)
def test_no_event_raises_whatever_it_holds(events):
    handler = CostCallbackHandler(prices=Prices())
    for kind, run_id, first, second in events:
        if kind == 0:
            handler.on_chat_model_start(first, second, run_id=run_id, metadata=first)
        elif kind == 1:
            handler.on_llm_start(first, second, run_id=run_id, invocation_params=first)
        elif kind == 2:
            handler.on_llm_new_token(first, chunk=second, run_id=run_id)
        elif kind == 3:
            handler.on_stream_event(first, run_id=run_id)
        elif kind == 4:
            handler.on_llm_end(first, run_id=run_id)
        else:
            handler.on_llm_error(first, run_id=run_id)
    report = handler.report()
    assert report.calls >= report.unsettled >= 0


def test_what_cannot_be_worked_out_is_unsettled_and_logged_once(prices, caplog):
    tracker, charges = tracked(prices)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            run_id = uuid.uuid4()
            tracker.started(run_id, [], {}, is_chat=True)
            tracker.answered(run_id, Exploding())
    assert [charge.basis for charge in charges] == ["unsettled"] * 3
    assert len(caplog.records) == 1


def test_an_input_that_cannot_be_counted_is_unsettled(prices, monkeypatch):
    def broken(*args):
        raise OSError

    monkeypatch.setattr("langchain_llmops.cost.settle.estimate", broken)
    tracker, charges = tracked(prices)
    run_id = uuid.uuid4()
    tracker.started(run_id, [], {}, is_chat=True)
    tracker.answered(run_id, answer())
    tracker.count_estimates()
    assert [charge.basis for charge in charges] == ["unsettled"]


def test_events_of_runs_that_never_began_or_already_ended_are_ignored(prices):
    tracker, charges = tracked(prices)
    known, unknown = uuid.uuid4(), uuid.uuid4()
    tracker.streamed(unknown, "x")
    tracker.answered(unknown, answer())
    tracker.started(known, [], {}, is_chat=True)
    for _ in range(2):
        tracker.answered(known, answer({**ONE, "total_tokens": 2}))
        tracker.failed(known, ValueError())
    assert [charge.usage for charge in charges] == [Usage(1, 1)]


ONE = {"input_tokens": 1, "output_tokens": 1}


def test_runs_that_never_end_give_way_and_are_reported(prices):
    tracker, charges = tracked(prices, max_open=5)
    for _ in range(12):
        tracker.started(uuid.uuid4(), [], {}, is_chat=True)
    assert [charge.basis for charge in charges] == ["unsettled"] * 7
    assert len(tracker.under_way()) == 5


def test_messages_and_errors_are_not_remembered_for_ever(prices):
    tracker, _ = tracked(prices, max_open=5)
    for number in range(50):
        run_id = uuid.uuid4()
        tracker.started(run_id, [], {}, is_chat=True)
        result = answer({**ONE, "total_tokens": 2})
        result.generations[0][0].message.id = f"msg_{number}"
        tracker.answered(run_id, result)
        run_id = uuid.uuid4()
        tracker.started(run_id, [], {}, is_chat=True)
        tracker.failed(run_id, ValueError())
    assert len(tracker._echoes._heard) == 5


def test_estimates_wait_for_a_report_but_not_without_end(prices):
    tracker, charges = tracked(prices, max_uncounted=3)
    for _ in range(5):
        run_id = uuid.uuid4()
        tracker.started(run_id, [], {}, is_chat=True)
        tracker.answered(run_id, answer())
    assert len(charges) == 2
    tracker.count_estimates()
    assert [charge.basis for charge in charges] == ["estimated"] * 5
    assert all(charge.cost for charge in charges)


def test_chunks_of_a_call_set_aside_are_let_go(prices):
    tracker, _ = tracked(prices)
    run_id = uuid.uuid4()
    tracker.started(run_id, [], {}, is_chat=True)
    tracker.streamed(run_id, "x")
    tracker.failed(run_id, GeneratorExit())
    ((run, _, output),) = tracker._uncounted
    assert (run.pieces, output) == ([], "x")


def test_text_models_are_followed_too(prices):
    costs = CostCallbackHandler(prices=prices)
    FakeListLLM(responses=["Hello there"]).invoke("hi", {"callbacks": [costs]})
    report = costs.report()
    assert (report.calls, report.estimated, report.unpriced) == (1, 1, 1)
    assert report.output_tokens > 0


def test_prompts_that_share_a_request_share_its_bill(prices):
    tracker, charges = tracked(prices)
    envelope = {"token_usage": {"prompt_tokens": 9, "completion_tokens": 8}}
    both = LLMResult(
        generations=[[Generation(text="x")], [Generation(text="y")]],
        llm_output={**envelope, "model_name": "fake-1"},
    )
    for result in both.flatten():
        run_id = uuid.uuid4()
        tracker.started(run_id, "hi", {"batch_size": 2}, is_chat=False)
        tracker.answered(run_id, result)
    assert [charge.usage for charge in charges] == [Usage(9, 8), Usage()]
    assert [charge.basis for charge in charges] == ["reported"] * 2


def test_many_threads_lose_no_charge(prices):
    costs = CostCallbackHandler(prices=prices)

    def call_often():
        for number in range(200):
            run_id = uuid.uuid4()
            costs.on_chat_model_start({}, [[]], run_id=run_id)
            costs.on_llm_new_token("x", run_id=run_id)
            usage = None if number % 4 == 0 else {**ONE, "total_tokens": 2}
            costs.on_llm_end(answer(usage), run_id=run_id)
            if number % 50 == 0:
                costs.report()

    threads = [threading.Thread(target=call_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = costs.report()
    assert (report.calls, report.estimated, report.unsettled) == (1_600, 400, 0)

"""Times, labels, events, memory and trouble of MetricsCallbackHandler."""

from __future__ import annotations

import copy
import gc
import logging
from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import pytest
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.callbacks.manager import handle_event
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableLambda
from opentelemetry.metrics import NoOpMeter

from langchain_llmops import MetricsCallbackHandler, ModelLayer, with_layers
from langchain_llmops.cost.charge import Charge
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.observability.series import SeriesTable
from langchain_llmops.types import (
    BUDGET_EVENT,
    FAILOVER_EVENT,
    QUEUE_WAIT_EVENT,
    RETRY_EVENT,
)

DURATION = "gen_ai.client.operation.duration"
FIRST = "gen_ai.client.operation.time_to_first_chunk"
BETWEEN = "gen_ai.client.operation.time_per_output_chunk"


def piece(text):
    return ChatGenerationChunk(message=AIMessageChunk(text))


class TestTimes:
    @pytest.fixture
    def now(self, handler):
        clock = SimpleNamespace(now=100.0)
        handler._tracker._runs._timer = lambda: clock.now
        return clock

    def stream(self, handler, now, arrivals):
        run_id = uuid4()
        handler.on_chat_model_start({}, [[]], run_id=run_id)
        for seconds, text in arrivals:
            now.now += seconds
            handler.on_llm_new_token(text, chunk=piece(text), run_id=run_id)
        return run_id

    def test_the_first_chunk_is_the_first_that_brings_something(
        self, handler, now, metrics
    ):
        run_id = self.stream(handler, now, [(1, ""), (2, "a"), (4, "b"), (8, "")])
        now.now += 16
        handler.on_llm_end(LLMResult(generations=[[]]), run_id=run_id)
        (first,), (gap,) = metrics.points(FIRST), metrics.points(BETWEEN)
        (duration,) = metrics.points(DURATION)
        assert (first.sum, gap.sum, duration.sum) == (3, 4, 31)

    def test_a_leg_of_a_failover_has_a_time_of_its_own(self, handler, now, metrics):
        failed = self.stream(handler, now, [(5, "a")])
        handler.on_llm_error(TimeoutError(), run_id=failed)
        answered = self.stream(handler, now, [(1, "a")])
        handler.on_llm_end(LLMResult(generations=[[]]), run_id=answered)
        assert sum(point.sum for point in metrics.points(FIRST)) == 6
        assert metrics.total(FIRST) == 2

    def test_a_handler_attached_twice_does_not_halve_the_gaps(
        self, handler, now, metrics
    ):
        run_id = uuid4()
        for _ in range(2):
            handler.on_chat_model_start({}, [[]], run_id=run_id)
        for text in "abc":
            now.now += 1
            for _ in range(2):
                handler.on_llm_new_token(text, chunk=piece(text), run_id=run_id)
        handler.on_llm_end(LLMResult(generations=[[]]), run_id=run_id)
        (gaps,) = metrics.points(BETWEEN)
        assert (gaps.count, gaps.sum, gaps.min) == (2, 2, 1)

    def test_a_clock_that_goes_backwards_gives_no_negative_times(
        self, handler, now, metrics
    ):
        run_id = self.stream(handler, now, [(1, "a"), (-5, "b")])
        handler.on_llm_end(LLMResult(generations=[[]]), run_id=run_id)
        for name in (DURATION, FIRST, BETWEEN):
            assert all(point.min >= 0 for point in metrics.points(name))


class TestLabels:
    def test_a_call_that_does_not_say_is_unknown(self, scripted, metrics, handler):
        scripted().invoke("hi", {"callbacks": [handler]})
        assert metrics.total(DURATION, llmops__tenant="unknown") == 1

    def test_attributes_are_chosen(self, scripted, metrics, prices):
        handler = MetricsCallbackHandler(
            metrics.meter, attributes=("user",), prices=prices
        )
        config = {"callbacks": [handler], "metadata": {"user": 7, "tenant": "a"}}
        scripted().invoke("hi", config)
        (point,) = metrics.points(DURATION)
        assert point.attributes["llmops.user"] == "7"
        assert "llmops.tenant" not in point.attributes

    def test_ten_thousand_users_are_a_bounded_number_of_series(
        self, metrics, prices, handler
    ):
        handler = MetricsCallbackHandler(
            metrics.meter, attributes=("feature", "user"), prices=prices, max_series=50
        )
        for number in range(10_000):
            handler._book(
                Charge(
                    run_id=uuid4(),
                    model="fake-1",
                    requested="fake-1",
                    basis="reported",
                    feature="chat",
                    user=f"user-{number}",
                    duration_s=1,
                )
            )
        points = metrics.points(DURATION)
        assert len(points) <= 50
        assert metrics.total(DURATION) == 10_000
        assert metrics.total(DURATION, llmops__feature="chat") == 10_000
        assert metrics.total(DURATION, llmops__user="other") > 9_900

    def test_names_of_models_cannot_grow_without_bound(self):
        table = SeriesTable(("tenant",), 20)
        charge = Charge(run_id=uuid4(), model="m", feature="chat", basis="reported")
        charges = [replace(charge, model=f"model-{n}") for n in range(1_000)]
        assert len({id(table.of_call(each)) for each in charges}) <= 20


class TestEvents:
    def test_a_layer_tells_how_long_a_call_waited(self, scripted, metrics, handler):
        class Queue(ModelLayer):
            def generate(self, call, handler):
                handle_event(
                    call.run_manager.handlers,
                    "on_custom_event",
                    "ignore_custom_event",
                    QUEUE_WAIT_EVENT,
                    {"seconds": 0.5},
                    run_id=call.run_manager.run_id,
                    metadata=call.run_manager.metadata,
                )
                return handler(call)

        model = with_layers(scripted(callbacks=[handler]), Queue())
        config = {"callbacks": [handler], "metadata": {"tenant": "acme"}}
        model.invoke("hi", config)
        (wait,) = metrics.points("llmops.queue.wait")
        assert (wait.count, wait.sum) == (1, 0.5)
        assert wait.attributes["llmops.tenant"] == "acme"

    def test_a_runnable_tells_of_retries_failovers_and_budgets(self, metrics, handler):
        def work(_):
            dispatch_custom_event(RETRY_EVENT, {})
            dispatch_custom_event(FAILOVER_EVENT, {})
            dispatch_custom_event(BUDGET_EVENT, {"scope": "tenant:a", "use": 0.8})
            dispatch_custom_event("somebody.else", {"use": 1})

        RunnableLambda(work).invoke(1, {"callbacks": [handler]})
        assert metrics.total("llmops.client.retries") == 1
        assert metrics.total("llmops.client.failovers") == 1
        (use,) = metrics.points("llmops.budget.use")
        assert use.value == 0.8
        assert dict(use.attributes) == {"llmops.budget.scope": "tenant:a"}

    @pytest.mark.parametrize("whole_chain", [False, True])
    def test_retries_of_langchain_are_seen(
        self, whole_chain, scripted, metrics, handler
    ):
        failing = scripted(error=ConnectionRefusedError("down"), callbacks=[handler])
        chain = RunnableLambda(lambda text: text) | failing if whole_chain else failing
        again = chain.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
        with pytest.raises(ConnectionRefusedError):
            again.invoke("hi", {"callbacks": [handler]})
        assert metrics.total("llmops.client.retries") == 2
        assert metrics.total(DURATION, error__type="ConnectionRefusedError") == 3

    def test_odd_events_are_survived(self, metrics, handler, caplog):
        for data in (None, {}, {"seconds": "x"}, {"scope": 1}):
            for name in (QUEUE_WAIT_EVENT, BUDGET_EVENT):
                handler.on_custom_event(name, data, run_id=uuid4())
        assert len(caplog.records) == 1
        assert "llmops.queue.wait" not in metrics.all()


class TestTrouble:
    def test_a_meter_that_raises_is_logged_once(self, scripted, prices, caplog):
        class Broken:
            def record(self, *args):
                raise OSError("disk full")

            add = set = record

        class BrokenMeter(NoOpMeter):
            def create_counter(self, *args, **kwargs):
                return Broken()

            create_histogram = create_gauge = create_counter

        handler = MetricsCallbackHandler(BrokenMeter("x"), prices=prices)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert scripted().invoke("hi", {"callbacks": [handler]}).text
        assert len(caplog.records) == 1

    def test_counters_are_exact_however_small_the_amounts(
        self, scripted, metrics, handler
    ):
        for _ in range(1_000):
            scripted().invoke("hi", {"callbacks": [handler]})
        assert metrics.total("llmops.client.cost") == 0.2

    def test_nobody_collecting_takes_no_memory(self, scripted, metrics, handler):
        for _ in range(50):
            scripted().invoke("hi", {"callbacks": [handler]})
        assert len(handler._sums._waiting) == 3

    def test_two_handlers_on_one_meter_both_catch_up(
        self, scripted, metrics, handler, prices
    ):
        second = MetricsCallbackHandler(metrics.meter, prices=prices)
        for each in (handler, second):
            list(scripted().stream("hi", {"callbacks": [each]}))
        assert metrics.total(BETWEEN) == 4

    def test_a_handler_that_is_dropped_is_not_kept(self, metrics, prices):
        handler = MetricsCallbackHandler(metrics.meter, prices=prices)
        assert copy.deepcopy(handler) is handler
        from langchain_llmops.observability import collection  # noqa: PLC0415

        assert handler in collection._handlers
        before = len(collection._handlers)
        del handler
        gc.collect()
        assert len(collection._handlers) < before

    @pytest.mark.parametrize(
        "wrong",
        [
            {"meter": "prometheus"},
            {"attributes": ("color",)},
            {"attributes": "tenant"},
            {"max_series": 1},
            {"prices": {}},
        ],
    )
    def test_wrong_arguments_are_named(self, wrong):
        (value,) = wrong.values()
        with pytest.raises(ConfigurationError, match="=") as error:
            MetricsCallbackHandler(**wrong)
        assert repr(value) in str(error.value)

"""The layer: reserves, settles, releases, in every way in which a model is called."""

from __future__ import annotations

import asyncio
import copy
import logging
from decimal import Decimal

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.language_models import FakeListChatModel

from langchain_llmops import (
    Budget,
    BudgetExceededError,
    BudgetLayer,
    CacheLayer,
    ModelLayer,
    TieredCache,
    with_layers,
)
from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.pricing import Prices, UsdPerMillion

# 100 tokens in and 10 out, as the scripted model reports, cost 0.0002 dollars.
PRICES = Prices({"fake-1": UsdPerMillion(input=1, output=10)})
ACME = {"metadata": {"tenant": "acme"}}
WHO = ACME["metadata"]
COST = Decimal("0.0002")


def drain(model, config):
    for _ in model.stream("Hi", config):
        pass


async def adrain(model, config):
    async for _ in model.astream("Hi", config):
        pass


async def in_thread(call, *args):
    return await asyncio.to_thread(call, *args)


MODES = {
    "invoke": lambda m, c: in_thread(m.invoke, "Hi", c),
    "ainvoke": lambda m, c: m.ainvoke("Hi", c),
    "stream": lambda m, c: in_thread(drain, m, c),
    "astream": adrain,
    "batch": lambda m, c: in_thread(m.batch, ["Hi"], c),
    "abatch": lambda m, c: m.abatch(["Hi"], c),
    "stream_events v3": lambda m, c: in_thread(
        lambda: list(m.stream_events("Hi", c, version="v3"))
    ),
}


class Runs(BaseCallbackHandler):
    """How runs began and ended."""

    run_inline = True

    def __init__(self):
        self.seen = []

    def on_chat_model_start(self, *args, **kwargs):
        self.seen.append("start")

    def on_llm_end(self, *args, **kwargs):
        self.seen.append("end")

    def on_llm_error(self, error, **kwargs):
        self.seen.append(type(error).__name__)


def limited(model, budget, **options):
    return with_layers(model, BudgetLayer(budget, prices=PRICES, **options))


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_is_settled_at_the_providers_own_numbers(mode, scripted):
    for budget, used in (
        (Budget(limit_usd=1), COST),
        (Budget(limit_tokens=10_000), 110),
        (Budget(limit_calls=5), 1),
    ):
        await MODES[mode](limited(scripted(), budget), ACME)
        status = budget.status(WHO)
        assert (status.used, status.settled) == (used, used)


@pytest.mark.parametrize("mode", MODES)
async def test_a_refused_call_reaches_no_model_and_closes_its_run(mode, scripted):
    reached = []

    class Reached(scripted):
        def _generate(self, *args, **kwargs):
            reached.append("generate")
            return super()._generate(*args, **kwargs)

        def _chunks(self):
            reached.append("stream")
            return super()._chunks()

    runs = Runs()
    budget = Budget(limit_calls=1)
    model = limited(Reached(), budget)
    await MODES[mode](model, ACME)
    with pytest.raises(BudgetExceededError):
        await MODES[mode](model, {**ACME, "callbacks": [runs]})
    assert len(reached) == 1
    assert runs.seen == ["start", "BudgetExceededError"]
    assert budget.status(WHO).used == 1


@pytest.mark.parametrize("mode", MODES)
async def test_what_the_provider_refuses_costs_nothing(mode, scripted):
    budget = Budget(limit_usd=1)
    model = limited(scripted(error=ModelRateLimitError("not now")), budget)
    with pytest.raises(ModelRateLimitError):
        await MODES[mode](model, ACME)
    assert budget.status(WHO).used == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_of_which_nobody_knows_is_charged_its_reservation(mode, scripted):
    budget = Budget(limit_calls=3)
    model = limited(scripted(error=TimeoutError("no answer")), budget)
    with pytest.raises(TimeoutError):
        await MODES[mode](model, ACME)
    status = budget.status(WHO)
    assert (status.settled, status.reserved, status.unsettled) == (0, 0, 1)


def test_a_stream_that_breaks_off_is_charged_its_reservation(scripted):
    budget = Budget(limit_tokens=5_000)
    model = limited(scripted(fails_after=1, error=ConnectionError()), budget)
    with pytest.raises(ConnectionError):
        drain(model, ACME)
    assert budget.status(WHO).unsettled > 1_024  # the first guess, and the input


def test_a_stream_that_says_more_than_was_reserved_is_charged_what_it_said(scripted):
    budget = Budget(limit_tokens=50_000)
    words = tuple(f" word {number}" for number in range(2_000))
    model = limited(scripted(words=words), budget)
    for number, _ in enumerate(model.stream("Hi", ACME)):
        if number == 1_500:
            break
    assert budget.status(WHO).unsettled > 2_000


def test_a_reader_who_leaves_after_the_end_pays_what_was_used(scripted):
    class Marked(scripted):
        def _chunks(self):
            for chunk in super()._chunks():
                if chunk.message.usage_metadata:
                    chunk.message.chunk_position = "last"
                yield chunk

    budget = Budget(limit_tokens=5_000)
    for chunk in limited(Marked(), budget).stream("Hi", ACME):
        if chunk.usage_metadata:
            break
    status = budget.status(WHO)
    assert (status.settled, status.unsettled) == (110, 0)


async def test_a_cancelled_call_is_charged_its_reservation(scripted):
    begun = asyncio.Event()

    class Hanging(scripted):
        async def _agenerate(self, *args, **kwargs):
            begun.set()
            await asyncio.Event().wait()

    budget = Budget(limit_calls=3)
    call = asyncio.create_task(limited(Hanging(), budget).ainvoke("Hi", ACME))
    await begun.wait()
    assert budget.status(WHO).reserved == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    status = budget.status(WHO)
    assert (status.reserved, status.unsettled) == (0, 1)


async def test_an_abandoned_asynchronous_stream_is_settled_at_once(scripted):
    budget = Budget(limit_calls=3)
    stream = limited(scripted(), budget).astream("Hi", ACME)
    await anext(stream)
    await stream.aclose()
    status = budget.status(WHO)
    assert (status.reserved, status.unsettled) == (0, 1)


def test_a_stream_that_is_never_read_reserves_nothing(scripted):
    budget = Budget(limit_calls=1)
    limited(scripted(), budget).stream("Hi", ACME)
    assert budget.status(WHO).used == 0


def test_without_usage_what_was_said_is_counted(scripted):
    budget = Budget(limit_tokens=5_000)
    model = limited(scripted(usage=None), budget)
    model.invoke("Hi", ACME)
    drain(model, ACME)
    assert 10 < budget.status(WHO).settled < 60


def test_absurd_numbers_are_not_believed(scripted):
    absurd = {"input_tokens": 10**15, "output_tokens": 10**15, "total_tokens": 0}
    budget = Budget(limit_usd=1)
    limited(scripted(usage=absurd), budget).invoke("Hi", ACME)
    status = budget.status(WHO)
    assert status.settled == 0
    assert 0 < status.unsettled < 1


def test_a_reply_that_cannot_be_read_charges_the_reservation(
    scripted, monkeypatch, caplog
):
    budget = Budget(limit_calls=3)
    layer = BudgetLayer(budget)
    monkeypatch.setattr(layer._meter, "used", lambda *_: 1 / 0)
    model = with_layers(scripted(), layer)
    for _ in range(2):
        assert model.invoke("Hi", ACME).text == "Hello there world"
    assert budget.status(WHO).unsettled == 2
    assert len([r for r in caplog.records if "work out" in r.message]) == 1


def test_several_answers_are_reserved_and_paid_for(scripted):
    budget = Budget(limit_tokens=5_000)
    model = limited(scripted(choices=3, error=TimeoutError()), budget)
    with pytest.raises(TimeoutError):
        model.invoke("Hi", ACME, n=3)
    assert budget.status(WHO).unsettled > 3 * 1_024


def test_an_explicit_maximum_is_what_is_reserved(scripted):
    budget = Budget(limit_tokens=5_000)
    model = limited(scripted(error=TimeoutError()), budget)
    with pytest.raises(TimeoutError):
        model.bind(max_tokens=50).invoke("Hi", ACME)
    # The maximum, and a bound of the input.
    assert 50 < budget.status(WHO).unsettled < 150


def test_reservations_learn_how_long_answers_are(scripted):
    budget = Budget(limit_tokens=100_000)
    model = limited(scripted(), budget)
    for _ in range(20):
        model.invoke("Hi", ACME)
    model.error = TimeoutError()
    with pytest.raises(TimeoutError):
        model.invoke("Hi", ACME)
    assert budget.status(WHO).unsettled < 100  # 10 out, and a bound of the input


def test_the_maximum_is_kept_where_a_limit_must_not_be_exceeded(scripted):
    budget = Budget(limit_tokens=100_000)
    model = limited(scripted(), budget, outputs="max")
    with pytest.raises(ConfigurationError, match="no known maximum of output"):
        model.invoke("Hi", ACME)
    model.profile = {"max_output_tokens": 4_000}
    for _ in range(21):
        model.invoke("Hi", ACME)
    model.error = TimeoutError()
    with pytest.raises(TimeoutError):
        model.invoke("Hi", ACME)
    assert budget.status(WHO).unsettled > 4_000


def test_a_model_without_a_price_is_refused_unless_allowed():
    unpriced = FakeListChatModel(responses=["Hi"])
    strict = Budget(limit_usd=1)
    with pytest.raises(ConfigurationError, match="has no known price"):
        limited(unpriced, strict).invoke("Hi", ACME)
    assert strict.status(WHO).used == 0
    lax = Budget(limit_usd=1, unpriced="allow")
    assert limited(unpriced, lax).invoke("Hi", ACME).text == "Hi"
    assert lax.status(WHO).used == 0


@pytest.mark.parametrize("max_usd", [0.00001, "0.00001", Decimal("0.00001")])
def test_a_call_has_a_limit_of_its_own(scripted, max_usd):
    budget = Budget(limit_calls=5)
    model = limited(scripted(), budget)
    with pytest.raises(BudgetExceededError) as caught:
        model.invoke("Hi", {**ACME, "configurable": {"max_usd": max_usd}})
    error = caught.value
    assert (error.scope, error.limit) == ("call", Decimal("0.00001"))
    assert error.requested > error.limit
    assert budget.status(WHO).used == 0
    model.invoke("Hi", {**ACME, "configurable": {"max_usd": 1}})
    assert budget.status(WHO).used == 1


@pytest.mark.parametrize("max_usd", ["much", True, float("nan"), [1]])
def test_a_limit_of_a_call_that_is_no_amount_is_refused(scripted, max_usd):
    model = limited(scripted(), Budget(limit_calls=5))
    with pytest.raises(ConfigurationError):
        model.invoke("Hi", {**ACME, "configurable": {"max_usd": max_usd}})


async def test_a_cache_hit_is_never_refused_and_never_charged(scripted):
    budget = Budget(limit_calls=1)
    layers = (CacheLayer(TieredCache()), BudgetLayer(budget))
    model = with_layers(scripted(temperature=0), *layers)
    for _ in range(2):
        await model.ainvoke("Hi", ACME)
        await adrain(model, ACME)
    assert budget.status(WHO).used == 1


def test_a_hit_of_a_cache_further_in_costs_nothing(scripted):
    budget = Budget(limit_usd=1)
    layer = BudgetLayer(budget, prices=PRICES)
    model = with_layers(scripted(), layer, CacheLayer(TieredCache()))
    for _ in range(3):
        model.invoke("Hi", ACME)
        drain(model, ACME)
    assert budget.status(WHO).used == COST


def test_a_fallback_with_the_same_budget_is_not_spent_on(scripted):
    budget = Budget(limit_calls=1)
    first, second = limited(scripted(), budget), limited(scripted(), budget)
    chain = first.with_fallbacks([second])
    chain.invoke("Hi", ACME)
    with pytest.raises(BudgetExceededError):
        chain.invoke("Hi", ACME)
    assert budget.status(WHO).used == 1


def test_two_limits_are_two_layers_and_a_refusal_frees_the_outer(scripted):
    month = Budget(limit_usd=1, window="month")
    minute = Budget(limit_calls=1, window="forever")
    outer, inner = BudgetLayer(month, prices=PRICES), BudgetLayer(minute)
    model = with_layers(scripted(), outer, inner)
    model.invoke("Hi", ACME)
    with pytest.raises(BudgetExceededError) as caught:
        model.invoke("Hi", ACME)
    assert caught.value.unit == "calls"
    assert month.status(WHO).used == COST


@pytest.mark.parametrize("error", [StorageError("lost"), ConfigurationError("wrong")])
def test_what_a_layer_further_in_refuses_is_free(scripted, error):
    class Refusing(ModelLayer):
        def generate(self, call, handler):
            raise error

    budget = Budget(limit_calls=1)
    model = with_layers(scripted(), BudgetLayer(budget), Refusing())
    with pytest.raises(type(error)):
        model.invoke("Hi", ACME)
    assert budget.status(WHO).used == 0


def test_every_prompt_of_a_generate_is_a_call(scripted):
    budget = Budget(limit_calls=2)
    model = limited(scripted(), budget)
    with pytest.raises(BudgetExceededError):
        model.batch(["one", "two", "three"], {**ACME, "max_concurrency": 1})
    assert budget.status(WHO).settled == 2


async def test_a_synchronous_call_on_a_running_loop_goes_through(scripted):
    budget = Budget(limit_calls=1)
    model = limited(scripted(), budget)
    assert model.invoke("Hi", ACME).text == "Hello there world"
    with pytest.raises(BudgetExceededError):
        model.invoke("Hi", ACME)


async def test_long_prompts_are_counted_off_the_event_loop(scripted, monkeypatch):
    layer = BudgetLayer(Budget(limit_tokens=10**6))
    model = with_layers(scripted(), layer)
    on_loop = []
    plain = layer._meter.expect

    def expect(call):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            on_loop.append(False)
        else:
            on_loop.append(True)
        return plain(call)

    monkeypatch.setattr(layer._meter, "expect", expect)
    await model.ainvoke("short", ACME)
    await model.ainvoke("long " * 30_000, ACME)
    assert on_loop == [True, False]


def test_a_copied_model_draws_on_the_same_budget(scripted):
    budget = Budget(limit_calls=1)
    layer = BudgetLayer(budget)
    copy.deepcopy(with_layers(scripted(), layer)).invoke("Hi", ACME)
    assert budget.status(WHO).used == 1
    assert copy.deepcopy({"kept": layer})["kept"] is layer


@pytest.mark.parametrize(
    "arguments", [{"budget": 5}, {"prices": {"m": 1}}, {"outputs": "guess"}]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigurationError):
        BudgetLayer(**{"budget": Budget(limit_calls=1), **arguments})


def test_chunks_that_cannot_be_read_charge_the_reservation(scripted, monkeypatch):
    budget = Budget(limit_calls=3)
    layer = BudgetLayer(budget)
    monkeypatch.setattr(layer._meter, "cut_off", lambda *_: 1 / 0)
    for _ in with_layers(scripted(), layer).stream("Hi", ACME):
        break
    assert budget.status(WHO).unsettled == 1


def test_a_refused_call_is_no_cost(scripted, costs):
    model = limited(scripted(), Budget(limit_calls=0))
    with pytest.raises(BudgetExceededError):
        model.invoke("Hi", {**ACME, "callbacks": [costs]})
    report = costs.report()
    assert (report.calls, report.unsettled) == (0, 0)


def test_nothing_is_logged_in_normal_use(scripted, caplog):
    with caplog.at_level(logging.DEBUG, logger="langchain_llmops"):
        limited(scripted(), Budget(limit_usd=1)).invoke("Hi", ACME)
    assert caplog.records == []

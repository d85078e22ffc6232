"""ModelRouter: who is asked, what comes back, and what happens when one fails."""

from __future__ import annotations

import asyncio
import copy

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelTimeoutError,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField

from langchain_llmops import (
    BudgetExceededError,
    FailoverPolicy,
    ModelLayer,
    ModelRouter,
    with_layers,
)
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import (
    AllCandidatesFailedError,
    NoCandidateError,
    cheapest_capable,
    partial_message,
)
from langchain_llmops.routing.catalog import default_catalog

default_catalog()  # list prices are read from disk, once


async def alist(stream):
    return [item async for item in stream]


def ask(router, how):
    """Return the answer's text and its mark, however it is asked for."""
    if how == "invoke":
        message = router.invoke("hi")
    elif how == "ainvoke":
        message = asyncio.run(router.ainvoke("hi"))
    else:
        chunks = (
            [*router.stream("hi")]
            if how == "stream"
            else asyncio.run(alist(router.astream("hi")))
        )
        message = chunks[0]
        for chunk in chunks[1:]:
            message += chunk
    return message.text, message.response_metadata["routing"]


WAYS = ("invoke", "ainvoke", "stream", "astream")


@pytest.mark.parametrize("how", WAYS)
class TestEveryWay:
    def test_the_first_candidate_answers_and_the_mark_says_so(self, how, fake, timing):
        router = ModelRouter([fake("a"), fake("b")], timing=timing)
        text, mark = ask(router, how)
        assert text == "a says hi"
        assert mark == {
            "model": "a",
            "tier": "standard",
            "reason": "as listed",
            "attempts": 1,
            "cost_estimate_usd": mark["cost_estimate_usd"],
        }
        assert mark["cost_estimate_usd"] > 0

    def test_a_failure_goes_to_the_next_candidate(self, how, fake, timing):
        a, b = fake("a", fails=[ModelAPIError("down")]), fake("b")
        text, mark = ask(ModelRouter([a, b], timing=timing), how)
        assert text == "b says hi"
        assert (mark["model"], mark["attempts"]) == ("b", 2)
        assert mark["reason"] == "a failed: server"
        assert (a.model.calls, b.model.calls) == (1, 1)

    def test_a_lone_candidate_is_repeated_after_a_wait(self, how, fake, timing):
        a = fake("a", fails=[ModelAPIError("down")])
        text, mark = ask(ModelRouter([a], timing=timing), how)
        assert (text, mark["attempts"]) == ("a says hi", 2)
        assert len(timing.waits) == 1

    def test_one_failed_candidate_raises_its_own_error(self, how, fake, timing):
        error = ModelInvalidRequestError("no such parameter")
        a, b = fake("a", fails=[error]), fake("b")
        with pytest.raises(ModelInvalidRequestError) as raised:
            ask(ModelRouter([a, b], timing=timing), how)
        assert raised.value is error
        assert b.model.calls == 0

    def test_several_failed_candidates_raise_all_their_errors(self, how, fake, timing):
        errors = [ModelAuthenticationError("key"), ModelAuthenticationError("other")]
        router = ModelRouter(
            [fake("a", fails=[errors[0]]), fake("b", fails=[errors[1]])], timing=timing
        )
        with pytest.raises(AllCandidatesFailedError, match="'a', 'b'") as raised:
            ask(router, how)
        assert list(raised.value.exceptions) == errors
        assert raised.value.__cause__ is errors[1]

    def test_a_spent_budget_of_a_candidate_is_no_fault_of_it(self, how, fake, timing):
        spent = BudgetExceededError("tenant:acme", 1, 1, 1, None)
        router = ModelRouter([fake("a", fails=[spent] * 9), fake("b")], timing=timing)
        for _ in range(5):
            assert ask(router, how)[1]["model"] == "b"
        assert not router._desk.board.snapshot()["a"].is_open

    def test_a_prompt_too_long_goes_to_a_longer_window(self, how, fake, timing):
        a = fake("a", fails=[ContextOverflowError("too long")], max_input_tokens=1_000)
        shorter = fake("b", max_input_tokens=500)
        longer = fake("c", max_input_tokens=2_000)
        text, _ = ask(ModelRouter([a, shorter, longer], timing=timing), how)
        assert text == "c says hi"

    def test_tiers_come_in_their_order_and_the_policy_ranks_inside(
        self, how, fake, timing
    ):
        router = ModelRouter(
            [
                fake("dear spare", 9, tier="spare"),
                fake("dear", 8),
                fake("cheap spare", 1, tier="spare"),
                fake("cheap", 2),
            ],
            cheapest_capable(),
            FailoverPolicy(tiers=["standard", "spare"]),
            timing=timing,
        )
        assert ask(router, how)[0] == "cheap says hi"
        names = [c.candidate.name for c in router.explain("hi").choices]
        assert names == ["cheap", "dear", "cheap spare", "dear spare"]

    def test_layers_go_around_the_whole_choice(self, how, fake, timing):
        seen = []

        class Layer(ModelLayer):
            def generate(self, call, handler):
                seen.append(call.model)
                return handler(call)

            async def agenerate(self, call, handler):
                seen.append(call.model)
                return await handler(call)

            def stream(self, call, handler):
                seen.append(call.model)
                yield from handler(call)

            async def astream(self, call, handler):
                seen.append(call.model)
                async for chunk in handler(call):
                    yield chunk

        a, b = fake("a", fails=[ModelAPIError("down")]), fake("b")
        router = with_layers(ModelRouter([a, b], timing=timing), Layer())
        assert ask(router, how)[0] == "b says hi"
        assert [type(model) for model in seen] == [ModelRouter]

    def test_a_breaker_keeps_calls_from_a_candidate_that_is_down(
        self, how, fake, timing
    ):
        a = fake("a", fails=[ModelAPIError("down")] * 100)
        router = ModelRouter([a, fake("b")], timing=timing)
        for _ in range(20):
            assert ask(router, how)[0] == "b says hi"
        assert a.model.calls < 6
        assert "circuit breaker" in str(router.explain("hi"))

    def test_when_every_breaker_is_open_one_is_asked_all_the_same(
        self, how, fake, timing
    ):
        a = fake("a", fails=[ModelAPIError("down")] * 4)
        router = ModelRouter(
            [a], failover=FailoverPolicy(max_attempts=1), timing=timing
        )
        for _ in range(4):
            with pytest.raises(ModelAPIError):
                ask(router, how)
        assert ask(router, how)[0] == "a says hi"


@pytest.mark.parametrize("how", WAYS)
def test_whoever_may_be_down_is_asked_before_the_call_fails(how, fake, timing):
    down = [ModelAPIError("down")] * 4
    a, b = fake("a", fails=down[:3]), fake("b")
    router = ModelRouter([a, b], timing=timing)
    for _ in range(3):
        ask(router, how)
    assert "circuit breaker" in str(router.explain("hi"))
    b.model.fails.append(ModelAuthenticationError("revoked"))
    text, mark = ask(router, how)
    assert (text, mark["reason"]) == ("a says hi", "b failed: auth")


def test_no_candidate_that_fits_is_an_error_that_names_each(fake):
    router = ModelRouter(
        [
            fake("small", max_input_tokens=5),
            fake("blind", capabilities={"images": False}),
        ]
    )
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(NoCandidateError) as raised:
        router.invoke([HumanMessage([picture])])
    assert "'small' takes 5 input tokens" in str(raised.value)
    assert "'blind' lacks image_inputs" in str(raised.value)
    assert [out.candidate.name for out in raised.value.excluded] == ["small", "blind"]


def test_explaining_asks_nobody(fake):
    a, b = fake("a", 2), fake("b", 1)
    router = ModelRouter([a, b], cheapest_capable())
    assert [c.candidate.name for c in router.explain("hi").choices] == ["b", "a"]
    ranking = asyncio.run(router.aexplain("hi", {"configurable": {"max_usd": 1e-9}}))
    assert not ranking.choices
    assert a.model.calls == b.model.calls == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda fake: ModelRouter([]), "no candidates"),
        (lambda fake: ModelRouter([fake("a"), fake("a")]), "named 'a'"),
        (lambda fake: ModelRouter(["gpt-4o"]), "no chat model"),
        (
            lambda fake: ModelRouter(
                [fake("a")], failover=FailoverPolicy(tiers=["best"])
            ),
            "best",
        ),
        (lambda fake: ModelRouter([fake("a")], cache=True), "cache=True"),
    ],
)
def test_bad_input_is_refused_at_construction(make, says, fake):
    with pytest.raises(ConfigurationError, match=says):
        make(fake)


class TestFit:
    def test_it_is_called_per_attempt_with_the_candidates_figures(self, fake, timing):
        seen = []

        def fit(messages, *, max_tokens, counter):
            seen.append((max_tokens, counter.model))
            return messages[-1:]

        router = ModelRouter(
            [
                fake("a", fails=[ModelAPIError("down")], max_input_tokens=1_000),
                fake("b", max_input_tokens=500),
                fake("c"),
            ],
            fit=fit,
            timing=timing,
        )
        answer = router.invoke([HumanMessage("old"), HumanMessage("hi")])
        assert answer.text == "b says hi"
        assert [tokens for tokens, _ in seen] == [1_000, 500]

    def test_a_prompt_that_nobody_takes_whole_is_made_to_fit(self, fake):
        router = ModelRouter(
            [fake("a", max_input_tokens=30)],
            fit=lambda messages, **_: messages[-1:],
        )
        long = [HumanMessage("word " * 500), HumanMessage("hi")]
        assert router.invoke(long).text == "a says hi"

    def test_whoever_takes_the_whole_prompt_comes_first(self, fake):
        router = ModelRouter(
            [fake("short", max_input_tokens=30), fake("long")],
            fit=lambda messages, **_: messages[-1:],
        )
        long = [HumanMessage("word " * 500), HumanMessage("hi")]
        assert router.invoke(long).text == "long says hi"


class TestLimits:
    def test_an_attempt_that_says_nothing_in_time_goes_to_the_next(self, fake):
        policy = FailoverPolicy(attempt_timeout_s=0.02)
        for how in WAYS:
            a = fake("a", hangs=True)
            text, mark = ask(ModelRouter([a, fake("b")], failover=policy), how)
            a.model.release.set()
            assert text == "b says hi"
            assert mark["reason"] == "a failed: timeout"

    async def test_the_late_attempt_is_cancelled(self, fake):
        a = fake("a", hangs=True)
        policy = FailoverPolicy(attempt_timeout_s=0.02)
        router = ModelRouter([a, fake("b")], failover=policy)
        await router.ainvoke("hi")
        assert a.model.cancelled == 1
        await alist(router.astream("hi"))
        assert a.model.cancelled == 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @pytest.mark.parametrize("how", WAYS)
    def test_a_deadline_bounds_the_sum_of_attempts(self, how, fake):
        policy = FailoverPolicy(deadline_s=0.03)
        a, b = fake("a", hangs=True), fake("b")
        with pytest.raises(ModelTimeoutError, match="'a' did not answer within"):
            ask(ModelRouter([a, b], failover=policy), how)
        a.model.release.set()
        assert b.model.calls == 0

    def test_the_calls_own_deadline_counts_too(self, fake, timing):
        a = fake("a", hangs=True)
        with pytest.raises(ModelTimeoutError):
            ModelRouter([a]).invoke("hi", {"configurable": {"deadline_s": 0.02}})
        a.model.release.set()


class TestHedging:
    @pytest.mark.parametrize("how", WAYS)
    def test_a_slow_start_brings_in_a_second_candidate(self, how, fake):
        a, b = fake("a", hangs=True), fake("b")
        router = ModelRouter([a, b], failover=FailoverPolicy(hedge_after=0.01))
        text, mark = ask(router, how)
        a.model.release.set()
        assert text == "b says hi"
        assert (mark["model"], mark["attempts"]) == ("b", 1)

    async def test_the_loser_is_cancelled(self, fake):
        a, b = fake("a", hangs=True), fake("b")
        router = ModelRouter([a, b], failover=FailoverPolicy(hedge_after=0.01))
        await router.ainvoke("hi")
        assert a.model.cancelled == 1
        assert router._desk.board.snapshot()["a"].outstanding == 0

    @pytest.mark.parametrize("how", WAYS)
    def test_a_quick_answer_asks_nobody_else(self, how, fake):
        b = fake("b")
        router = ModelRouter([fake("a"), b], failover=FailoverPolicy(hedge_after=5.0))
        assert ask(router, how)[0] == "a says hi"
        assert b.model.calls == 0

    @pytest.mark.parametrize("how", WAYS)
    def test_the_second_may_fail_while_the_first_goes_on(self, how, fake):
        a = fake("a", slow_s=0.05)
        b = fake("b", fails=[ModelAPIError("down")])
        router = ModelRouter([a, b], failover=FailoverPolicy(hedge_after=0.01))
        assert ask(router, how)[0] == "a says hi"


class TestCopies:
    def test_copies_share_the_health_of_the_candidates(self, fake, timing):
        a = fake("a", fails=[ModelAPIError("down")] * 9)
        router = ModelRouter([a, fake("b")], timing=timing)
        for each in (
            router,
            router.model_copy(),
            copy.copy(router),
            copy.deepcopy(router),
        ):
            each.invoke("hi")
        assert router._desk.board.snapshot()["a"].is_open

    def test_other_candidates_are_other_candidates(self, fake):
        router = ModelRouter([fake("a")])
        other = router.model_copy(update={"candidates": (fake("b"),)})
        assert other.invoke("hi").text == "b says hi"
        assert router.invoke("hi").text == "a says hi"

    def test_fields_may_be_configured(self, fake):
        router = ModelRouter([fake("a")]).configurable_fields(
            tags=ConfigurableField(id="tags")
        )
        answer = router.invoke("hi", {"configurable": {"tags": ["t"]}})
        assert answer.text == "a says hi"


def test_the_candidates_message_is_copied_not_changed(fake):
    a = fake("a")
    a.model.answer = AIMessage("kept", response_metadata={"of": "a"})
    ModelRouter([a]).invoke("hi")
    assert a.model.answer.response_metadata == {"of": "a"}


def test_warming_asks_everybody_and_reports(fake):
    error = ModelAPIError("down")
    a, b = fake("a", fails=[error, error]), fake("b")
    router = ModelRouter([a, b])
    assert router.warm() == {"a": error, "b": None}
    assert asyncio.run(router.awarm("Hello", max_tokens=3)) == {"a": error, "b": None}
    assert b.model.seen[-1] == {"max_tokens": 3, "stop": None}


def test_a_client_that_cannot_be_stopped_from_retrying_is_warned_about(fake):
    stubborn = fake("a")
    stubborn.model.__dict__["client"] = Stubborn()
    with pytest.warns(UserWarning, match="'a' repeats failed requests by itself"):
        ModelRouter([stubborn])


class Stubborn:
    max_retries = 2

    def with_options(self, *, max_retries: int) -> Stubborn:
        return self


def test_a_profile_is_what_all_candidates_have_in_common(fake):
    one = {"max_input_tokens": 100, "tool_calling": True, "image_inputs": True}
    two = {"max_input_tokens": 50, "tool_calling": True, "image_inputs": False}
    both = ModelRouter([fake("a", profile=one), fake("b", profile=two)])
    assert both.profile == {
        "max_input_tokens": 50,
        "tool_calling": True,
        "image_inputs": False,
    }
    assert ModelRouter([fake("a", profile=one), fake("b")]).profile is None


def test_identity_tells_routers_with_other_tools_or_candidates_apart(fake):
    router = ModelRouter([fake("a"), fake("b")])
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    keys = {
        each._get_llm_string()
        for each in (
            router,
            ModelRouter([fake("a")]),
            router.bind_tools([tool]),
            router.bind_tools([tool], tool_choice="any"),
        )
    }
    assert len(keys) == 4


def test_rate_limits_of_a_candidate_are_kept(fake, timing):
    router = ModelRouter([fake("a", rpm=2), fake("b")], timing=timing)
    answers = [router.invoke("hi").text for _ in range(3)]
    assert answers == ["a says hi", "a says hi", "b says hi"]


def test_nobody_is_named_by_an_error_that_has_no_partial_answer():
    assert partial_message(ValueError("x")) is None

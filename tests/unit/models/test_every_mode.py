"""In each mode, for each kind of model: one pass through the layer, nothing else new.

The bare model and its layered copy do the same; compared are what came out (or the
error), the callback events in their order, and how often the layer ran.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel

from langchain_llmops import with_layers

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

TOOL = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}


class Answer(BaseModel):
    """An answer."""

    answer: int


def _generate(model, config):
    return model.generate([["user", "hi"]], callbacks=config["callbacks"])


def _two(model, config):
    messages = model._convert_input("hi").to_messages()
    return model.generate([messages, messages], callbacks=config["callbacks"])


def _prompt(model, config):
    prompts = [model._convert_input("hi")]
    return model.generate_prompt(prompts, callbacks=config["callbacks"])


def _configured(model, config):
    field = "rate_limiter" if "temperature" not in type(model).model_fields else None
    fields = {field or "temperature": ConfigurableField(id="it")}
    value = None if field else 0.7
    return model.configurable_fields(**fields).invoke(
        "hi", {**config, "configurable": {"it": value}}
    )


def _batch(model, config):
    one_by_one = {**config, "max_concurrency": 1}
    return _whole(model.batch(["hi", "ho"], one_by_one, return_exceptions=True))


def _whole(outcomes):
    """Raise the first error once all have ended: else it may cancel the second call."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


SYNC = {
    "invoke": (1, lambda m, c: m.invoke("hi", c)),
    "stream": (1, lambda m, c: list(m.stream("hi", c))),
    "batch": (2, _batch),
    "generate": (2, _two),
    "generate_prompt": (1, _prompt),
    "stream_events v3": (1, lambda m, c: m.stream_events("hi", c, version="v3").output),
    "bind": (1, lambda m, c: m.bind(stop=["x"]).invoke("hi", c)),
    "bind, stream": (1, lambda m, c: list(m.bind(stop=["x"]).stream("hi", c))),
    "bind_tools": (1, lambda m, c: m.bind_tools([TOOL]).invoke("hi", c)),
    "with_structured_output": (
        1,
        lambda m, c: m.with_structured_output(Answer).invoke("hi", c),
    ),
    "configurable_fields": (1, _configured),
    "LCEL": (1, lambda m, c: (_PROMPT | m).invoke({"x": "hi"}, c)),
    "LCEL stream": (1, lambda m, c: list((_PROMPT | m).stream({"x": "hi"}, c))),
    "with_retry": (1, lambda m, c: m.with_retry(stop_after_attempt=1).invoke("hi", c)),
}
_PROMPT = ChatPromptTemplate.from_messages([("user", "{x}")])


async def _alist(stream) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


async def _atwo(model, config):
    messages = model._convert_input("hi").to_messages()
    return await model.agenerate([messages, messages], callbacks=config["callbacks"])


async def _abatch(model, config):
    one_by_one = {**config, "max_concurrency": 1}
    return _whole(await model.abatch(["hi", "ho"], one_by_one, return_exceptions=True))


async def _events_v2(model, config):
    events = await _alist(model.astream_events("hi", config, version="v2"))
    return [(event["event"], event["name"], event["tags"]) for event in events]


async def _events_v3(model, config):
    stream = await model.astream_events("hi", config, version="v3")
    try:
        return await stream.output
    finally:  # the run is closed after the output is there
        await asyncio.wait([stream._producer_task])


ASYNC = {
    "ainvoke": (1, lambda m, c: m.ainvoke("hi", c)),
    "astream": (1, lambda m, c: _alist(m.astream("hi", c))),
    "abatch": (2, _abatch),
    "agenerate": (2, _atwo),
    "astream_events v2": (1, _events_v2),
    "astream_events v3": (1, _events_v3),
    "bind_tools, ainvoke": (1, lambda m, c: m.bind_tools([TOOL]).ainvoke("hi", c)),
    "with_structured_output, ainvoke": (
        1,
        lambda m, c: m.with_structured_output(Answer).ainvoke("hi", c),
    ),
    "LCEL astream": (1, lambda m, c: _alist((_PROMPT | m).astream({"x": "hi"}, c))),
}


def _plain(value: Any) -> Any:
    """Strip what differs from run to run: ids that core makes of the run's own."""
    if isinstance(value, BaseMessage):
        own = str(value.id).startswith("lc_run-")
        return repr(value.model_copy(update={"id": None} if own else {}))
    if hasattr(value, "generations"):
        return [[_plain(g.message) for g in gs] for gs in value.generations]
    return [_plain(item) for item in value] if isinstance(value, list) else repr(value)


@pytest.mark.parametrize("mode", SYNC)
def test_a_sync_mode_is_as_on_the_bare_model(kind, mode, watching, run_log) -> None:
    calls, run = SYNC[mode]

    def outcome(model, log):
        try:
            return _plain(run(model, {"callbacks": [log]}))
        except Exception as error:  # noqa: BLE001  # the same error is the same outcome
            return type(error), str(error)

    bare_log, log, layer = run_log(), run_log(), watching()
    expected = outcome(kind(), bare_log)
    assert outcome(with_layers(kind(), layer), log) == expected
    assert log.by_run == bare_log.by_run
    # Core leaves the second run of a failed `generate` open.
    assert not log.open_runs - bare_log.open_runs
    _assert_seen(layer, calls, expected, log)


@pytest.mark.parametrize("mode", ASYNC)
async def test_an_async_mode_is_as_on_the_bare_model(
    kind, mode, watching, run_log
) -> None:
    calls, run = ASYNC[mode]

    async def outcome(model, log):
        try:
            return _plain(await run(model, {"callbacks": [log]}))
        except Exception as error:  # noqa: BLE001  # the same error is the same outcome
            return type(error), str(error)

    bare_log, log, layer = run_log(), run_log(), watching()
    expected = await outcome(kind(), bare_log)
    assert await outcome(with_layers(kind(), layer), log) == expected
    assert log.by_run == bare_log.by_run
    # Core leaves the second run of a failed `generate` open.
    assert not log.open_runs - bare_log.open_runs
    _assert_seen(layer, calls, expected, log)
    assert all(name.startswith("a") for name, _ in layer.calls), "left the loop"


def _assert_seen(layer, calls, expected, log) -> None:
    """Each call that core made of the model passed the layer once, and ended."""
    if isinstance(expected, tuple):  # failed; at most once, if it came so far
        assert len(layer.calls) <= calls
    else:
        assert len(layer.calls) == calls
    assert layer.log.count("end") == len(layer.calls)
    inner = [c for _, c in layer.calls if hasattr(type(c.model), "__llmops_class__")]
    assert not inner


def test_awaiting_a_sync_model_runs_only_the_model_in_a_thread(
    models, watching
) -> None:
    threads, here = [], threading.get_ident()

    class Here(watching):
        def see(self, mode, call):
            threads.append((mode, threading.get_ident() == here))

    model = with_layers(models["GenerateAndStream"](), Here())

    async def both():
        await model.ainvoke("hi")
        await _alist(model.astream("hi"))

    asyncio.run(both())
    assert threads == [("agenerate", True), ("astream", True)]

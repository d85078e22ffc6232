"""What a layer can do with a call, and what `with_layers` accepts."""

from __future__ import annotations

import dataclasses
import time
from contextlib import aclosing

import pytest
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import ConfigurableField, RunnableLambda

from langchain_llmops import ModelCall, ModelLayer, with_layers
from langchain_llmops.errors import ConfigurationError


class Answering(ModelLayer):
    """Never goes in."""

    def generate(self, call, handler):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("mine"))])

    async def agenerate(self, call, handler):
        return self.generate(call, handler)

    def stream(self, call, handler):
        yield ChatGenerationChunk(message=AIMessageChunk("mine"))

    async def astream(self, call, handler):
        for chunk in self.stream(call, handler):
            yield chunk


class Twice(ModelLayer):
    """Goes in again when the first try fails."""

    def generate(self, call, handler):
        try:
            return handler(call)
        except ValueError:
            return handler(call)


class Failing(FakeListChatModel):
    """Fails at first, then answers."""

    failures: int = 1

    def _generate(self, *args, **kwargs):
        if self.failures:
            self.failures -= 1
            raise ValueError("down")
        return super()._generate(*args, **kwargs)


class Rewriting(ModelLayer):
    """Hands on another prompt and other parameters."""

    def generate(self, call, handler):
        messages = [HumanMessage("rewritten")]
        return handler(
            dataclasses.replace(call, messages=messages, kwargs={"seed": 7}, stop=None)
        )


def test_layers_run_from_the_outside_in_and_end_from_the_inside_out(
    models, watching
) -> None:
    log: list[str] = []
    model = with_layers(models["AllFour"](), watching("1 ", log), watching("2 ", log))
    model.invoke("hi")
    assert log == ["1 generate", "2 generate", "2 end", "1 end"]


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_further_layers_go_around_those_that_are_there(models, watching, mode) -> None:
    log: list[str] = []
    inner = with_layers(models["AllFour"](), watching("inner ", log))
    outer = with_layers(inner, watching("outer ", log))
    list(getattr(outer, mode)("hi"))
    assert [entry.split()[0] for entry in log] == ["outer", "inner", "inner", "outer"]
    log.clear()
    inner.invoke("hi")
    assert log == ["inner generate", "inner end"]


async def test_a_layer_may_answer_by_itself(models) -> None:
    model = with_layers(models["OnlyAsync"](), Answering())
    assert model.invoke("hi").content == "mine"
    assert (await model.ainvoke("hi")).content == "mine"
    async with aclosing(model.astream("hi")) as chunks:
        assert [chunk.content async for chunk in chunks if chunk.content] == ["mine"]


def test_a_layer_may_go_in_again() -> None:
    model = Failing(responses=["up"])
    assert with_layers(model, Twice()).invoke("hi").content == "up"


def test_a_layer_may_change_what_goes_in(models, watching) -> None:
    inner = watching()
    model = with_layers(models["AllFour"](), Rewriting(), inner)
    assert "seed=7" in model.bind(stop=["x"]).invoke("hi").content
    ((_, call),) = inner.calls
    assert [m.content for m in call.messages] == ["rewritten"]
    assert call.stop is None


def test_a_layer_sees_what_the_caller_and_a_binding_passed(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    model.bind(temperature=0.3).invoke("hi", stop=["x"], seed=1)
    ((_, call),) = layer.calls
    assert [m.content for m in call.messages] == ["hi"]
    assert call.stop == ["x"]
    assert call.kwargs == {"temperature": 0.3, "seed": 1}


def test_a_call_may_name_another_model(models, watching) -> None:
    layer = watching()
    model = with_layers(models["openai"](), layer)
    answer = model.invoke("hi", model="gpt-4o-mini")
    assert answer.response_metadata["model_name"] == "gpt-4o-mini"
    assert "".join(c.text for c in model.stream("hi", model="gpt-4o-mini"))
    assert [call.kwargs for _, call in layer.calls] == [{"model": "gpt-4o-mini"}] * 2


def test_a_layer_sees_the_open_run_where_core_hands_one_over(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    model.invoke("hi")
    list(model.stream("hi"))
    (_, invoked), (_, streamed) = layer.calls
    assert invoked.run_manager.run_id
    assert streamed.run_manager is None


def test_a_call_cannot_be_changed_in_place(models, watching) -> None:
    layer = watching()
    with_layers(models["AllFour"](), layer).invoke("hi")
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.calls[0][1].messages = []
    assert isinstance(layer.calls[0][1], ModelCall)


def test_a_layer_holds_the_model_without_layers_and_with_its_state(watching) -> None:
    layer = watching()
    model = with_layers(FakeListChatModel(responses=["a", "b", "c"]), layer)
    model.invoke("hi")
    ((_, call),) = layer.calls
    assert type(call.model) is FakeListChatModel
    assert call.model.i == model.i == 1
    assert call.model.invoke("hi").content == "b"
    assert model.invoke("hi").content == "c"
    assert len(layer.calls) == 2


async def test_methods_left_out_pass_the_call_through(models) -> None:
    model = with_layers(models["AllFour"](), ModelLayer(), Twice())
    assert model.invoke("hi").content == "one two 0.0"
    assert (await model.ainvoke("hi")).content == "one two 0.0"
    assert "".join(c.text for c in model.stream("hi")) == "one two 0.0 "
    async with aclosing(model.astream("hi")) as chunks:
        assert "".join([c.text async for c in chunks]) == "one two 0.0 "


async def test_the_defaults_can_be_called_by_a_subclass(models) -> None:
    class Through(ModelLayer):
        def generate(self, call, handler):
            return super().generate(call, handler)

        async def agenerate(self, call, handler):
            return await super().agenerate(call, handler)

        def stream(self, call, handler):
            yield from super().stream(call, handler)

        async def astream(self, call, handler):
            async for chunk in super().astream(call, handler):
                yield chunk

    model = with_layers(models["AllFour"](), Through())
    assert model.invoke("hi").content == "one two 0.0"
    assert (await model.ainvoke("hi")).content == "one two 0.0"
    assert len(list(model.stream("hi"))) == 4
    async with aclosing(model.astream("hi")) as chunks:
        assert len([chunk async for chunk in chunks]) == 4


class OneByOne:
    """An asynchronous iterator that is no generator."""

    def __init__(self, chunks):
        self.chunks = chunks

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await anext(self.chunks)


async def test_a_layer_may_return_chunks_that_are_not_a_generator(
    models, watching
) -> None:
    class Listing(ModelLayer):
        def stream(self, call, handler):
            return iter(list(handler(call)))

        def astream(self, call, handler):
            return OneByOne(handler(call))

    model = with_layers(models["AllFour"](), watching(), Listing())
    assert "".join(c.text for c in model.stream("hi")) == "one two 0.0 "
    async with aclosing(model.astream("hi")) as chunks:
        assert "".join([c.text async for c in chunks]) == "one two 0.0 "


async def test_a_stream_past_the_public_methods_passes_the_layers_too(
    models, watching
) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    messages = [HumanMessage("hi")]
    assert len(list(model._stream(messages))) == 3
    async with aclosing(model._astream(messages)) as chunks:
        assert len([chunk async for chunk in chunks]) == 3
    assert [mode for mode, _ in layer.calls] == ["stream", "astream"]


async def test_a_model_with_public_methods_of_its_own_keeps_them(
    models, watching
) -> None:
    """As a router does: it opens its own run and calls its own hooks."""

    class Routing(models["AllFour"]):
        def invoke(self, prompt, config=None, **kwargs):
            result = self._generate([HumanMessage(prompt)], None, "my run", **kwargs)
            return result.generations[0].message

        async def astream(self, prompt, config=None, **kwargs):
            async for chunk in self._astream([HumanMessage(prompt)], **kwargs):
                yield chunk.message

    layer = watching()
    model = with_layers(Routing(), layer)
    config = {"configurable": {"tenant": "A"}}
    assert model.invoke("hi", config).text == "one two 0.0"
    async with aclosing(model.astream("hi", config)) as chunks:
        assert len([chunk async for chunk in chunks]) == 3
    assert [mode for mode, _ in layer.calls] == ["generate", "astream"]
    assert layer.calls[0][1].run_manager == "my run"
    assert [c.config["configurable"] for _, c in layer.calls] == [{"tenant": "A"}] * 2


def test_a_hook_without_run_manager_is_given_none(watching) -> None:
    class Plain(FakeListChatModel):
        def _generate(self, messages, stop=None, **kwargs):
            assert not kwargs
            message = AIMessage("plain")
            return ChatResult(generations=[ChatGeneration(message=message)])

    assert with_layers(Plain(responses=[]), watching()).invoke("hi").content == "plain"


def test_attaching_changes_fields_of_the_copy_alone() -> None:
    class Uncached(ModelLayer):
        def attach(self, model):
            self.saw = model
            return {"cache": False}

    layer, bare = Uncached(), FakeListChatModel(responses=["a"])
    model = with_layers(bare, layer)
    assert layer.saw is bare
    assert (model.cache, bare.cache) == (False, None)


def test_attaching_a_shown_field_shows_in_the_serialised_model(models) -> None:
    class Warmer(ModelLayer):
        def attach(self, model):
            return {"temperature": 1.0}

    bare = models["openai"](temperature=0.0)
    before = bare._get_llm_string()
    assert '"temperature": 1.0' in with_layers(bare, Warmer())._get_llm_string()
    assert bare._get_llm_string() == before


@pytest.mark.parametrize("layered", [False, True])
def test_the_rate_limit_is_waited_for_at_the_end_of_the_layers(
    models, limiter, watching, layered
) -> None:
    bare = models["AllFour"](rate_limiter=limiter)
    model = with_layers(bare, *[watching()] * layered)
    model.invoke("hi")
    list(model.stream("hi"))
    assert limiter.granted == 2
    assert model.rate_limiter is limiter
    with_layers(model, Answering()).invoke("hi")
    list(with_layers(model, Answering()).stream("hi"))
    assert limiter.granted == 2


async def test_the_rate_limit_is_waited_for_on_the_event_loop(
    models, limiter, watching
) -> None:
    model = with_layers(models["AllFour"](rate_limiter=limiter), watching())
    await model.ainvoke("hi")
    async with aclosing(model.astream("hi")) as chunks:
        assert len([chunk async for chunk in chunks]) == 4
    assert limiter.granted == 2


def test_a_layered_model_can_be_given_another_rate_limiter(models, limiter) -> None:
    model = with_layers(models["AllFour"](), ModelLayer())
    model.rate_limiter = limiter
    model.invoke("hi")
    assert limiter.granted == 1
    assert "rate_limiter" in model.model_fields_set
    unlimited = model.model_copy(update={"rate_limiter": None})
    unlimited.invoke("hi")
    assert limiter.granted == 1


def test_without_layers_it_is_a_plain_copy(models) -> None:
    bare = models["AllFour"]()
    model = with_layers(bare)
    assert type(model) is type(bare)
    assert model == bare
    assert model is not bare


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda m: m.bind_tools([{"name": "look"}]),
        lambda m: m.bind(stop=["x"]),
        lambda m: m.with_config(tags=["x"]),
        lambda m: m.configurable_fields(temperature=ConfigurableField(id="t")),
    ],
)
def test_a_wrapped_model_is_refused_with_the_way_out(models, wrapped) -> None:
    with pytest.raises(ConfigurationError, match="layer the model first"):
        with_layers(wrapped(models["AllFour"]()), ModelLayer())


@pytest.mark.parametrize(
    "thing", ["gpt-4o", FakeListLLM(responses=[]), RunnableLambda(str)]
)
def test_what_is_no_chat_model_is_refused(thing) -> None:
    with pytest.raises(ConfigurationError, match=repr(type(thing).__name__)):
        with_layers(thing, ModelLayer())


@pytest.mark.parametrize("thing", [ModelLayer, None, print])
def test_what_is_no_layer_is_refused(models, thing) -> None:
    with pytest.raises(ConfigurationError, match="not a ModelLayer"):
        with_layers(models["AllFour"](), thing)


def test_a_further_copy_does_not_make_a_class_again(models) -> None:
    layer, bare = ModelLayer(), models["openai"]()
    first = with_layers(bare, layer)
    start = time.process_time()
    for _ in range(100):
        assert type(with_layers(bare, layer)) is type(first)
    assert (time.process_time() - start) / 100 < 0.001

"""A layered model is still the model: its class, names, keys, copies and pickles."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import threading
import weakref
from typing import get_type_hints

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import (
    BaseChatModel,
    FakeListChatModel,
    FakeMessagesListChatModel,
)
from langchain_core.load import dumpd, dumps, loads
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, PrivateAttr

from langchain_llmops import ModelLayer, with_layers
from langchain_llmops.models.twins import original_class


class Shouting(ModelLayer):
    """Can be pickled, and found out by its work."""

    def generate(self, call, handler):
        result = handler(call)
        for generation in result.generations:
            text = generation.message.content.upper()
            generation.message = generation.message.model_copy(update={"content": text})
        return result


class Remembering(FakeListChatModel):
    """Keeps state where pydantic keeps it, and counts in it."""

    _calls: list[int] = PrivateAttr(default_factory=list)
    _last: int = PrivateAttr(default=0)

    def _generate(self, *args, **kwargs):
        self._last += 1
        self._calls.append(self._last)
        return super()._generate(*args, **kwargs)


def test_it_is_an_instance_of_the_same_class_by_the_same_name(kind) -> None:
    bare = kind()
    model = with_layers(bare, ModelLayer())
    assert isinstance(model, original_class(type(bare)))
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(type(model), name) == getattr(type(bare), name)
    assert type(model).lc_id() == type(bare).lc_id()
    assert type(model).model_fields.keys() == type(bare).model_fields.keys()
    assert model.get_name() == bare.get_name()
    assert model.profile == bare.profile
    assert model._llm_type == bare._llm_type


def test_core_sees_the_same_model(kind) -> None:
    bare = kind()
    model = with_layers(bare, ModelLayer())
    for params in ({}, {"stop": ["x"]}, {"temperature": 0.2}):
        assert model._get_llm_string(**params) == bare._get_llm_string(**params)
        shown, expected = (m._get_ls_params(**params) for m in (model, bare))
        assert shown == expected
        shown, expected = (m._get_invocation_params(**params) for m in (model, bare))
        assert shown == expected
    assert dumpd(model) == dumpd(bare)
    assert repr(model) == repr(bare)
    assert model.get_input_schema().model_json_schema() == (
        bare.get_input_schema().model_json_schema()
    )
    assert model.get_graph().draw_mermaid() == bare.get_graph().draw_mermaid()


@pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)
def test_it_loads_as_the_bare_model(models) -> None:
    model = with_layers(models["openai"](), ModelLayer())
    loaded = loads(
        dumps(model),
        allowed_objects=[ChatOpenAI],
        secrets_map={"OPENAI_API_KEY": "sk-test"},
    )
    assert type(loaded) is ChatOpenAI


@pytest.mark.parametrize(
    "method",
    ["invoke", "ainvoke", "stream", "astream", "generate", "agenerate", "_generate"],
)
def test_its_methods_take_and_explain_the_same(models, method) -> None:
    bare = models["openai"]()
    model = with_layers(bare, ModelLayer())
    assert inspect.getdoc(getattr(model, method)) == inspect.getdoc(
        getattr(bare, method)
    )
    taken = inspect.signature(getattr(model, method)).parameters
    expected = inspect.signature(getattr(bare, method)).parameters
    assert list(taken)[:2] == list(expected)[:2]
    assert "return" in get_type_hints(type(bare).bind_tools) or not taken


@pytest.mark.parametrize("hook", ["_stream", "_astream"])
def test_a_class_that_cannot_stream_does_not_seem_to(kind, hook) -> None:
    bare = kind()
    model = with_layers(bare, ModelLayer())
    for async_api in (True, False):
        assert model._should_stream(
            async_api=async_api, stream=True
        ) == bare._should_stream(async_api=async_api, stream=True)
    if hook == "_stream":
        can, could = (
            getattr(type(m), hook) is not getattr(BaseChatModel, hook)
            for m in (model, bare)
        )
        assert can == could


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_pickled_with_its_layers_where_the_bare_model_can_be(protocol) -> None:
    model = with_layers(FakeListChatModel(responses=["a", "b"]), Shouting())
    model.invoke("hi")
    loaded = pickle.loads(pickle.dumps(model, protocol))
    assert loaded == loaded.model_copy()
    assert loaded.i == 1
    assert loaded.invoke("hi").content == "B"
    assert model.invoke("hi").content == "B"


def test_a_model_with_a_way_of_its_own_to_be_pickled_keeps_it() -> None:
    model = with_layers(OwnReduce(responses=["a"]), Shouting())
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.invoke("hi").content == "RESTORED"


class OwnReduce(FakeListChatModel):
    """Is rebuilt from something else than its state."""

    def __reduce__(self):
        return _restored, ()


def _restored() -> OwnReduce:
    return OwnReduce(responses=["restored"])


def test_what_the_bare_model_cannot_the_layered_one_cannot(models) -> None:
    for fails in (copy.deepcopy, pickle.dumps):
        for model in (models["openai"](), with_layers(models["openai"](), Shouting())):
            with pytest.raises(TypeError, match="pickle"):
                fails(model)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: m.model_copy(deep=True)]
)
def test_copies_keep_the_layers_and_part_from_the_original(copied) -> None:
    layer = Shouting()
    model = with_layers(FakeListChatModel(responses=["a", "b"]), layer)
    twin = copied(model)
    assert type(twin) is type(model)
    assert twin.invoke("hi").content == "A"
    assert model.invoke("hi").content == "A"


def test_model_copy_updates_a_field(models) -> None:
    model = with_layers(models["openai"](), Shouting())
    warm = model.model_copy(update={"temperature": 0.9})
    assert warm.temperature == 0.9
    assert warm.invoke("hi").content == "ONE TWO"
    assert model.temperature is None


def test_configurable_fields_rebuild_the_model_with_its_layers(models) -> None:
    model = with_layers(models["AllFour"](), Shouting()).configurable_fields(
        temperature=ConfigurableField(id="warm")
    )
    warm = model.with_config(configurable={"warm": 0.9})
    assert warm.invoke("hi").content == "ONE TWO 0.9"
    assert model.invoke("hi").content == "ONE TWO 0.0"


def test_the_original_is_untouched(models, watching) -> None:
    layer, bare = watching(), models["AllFour"]()
    with_layers(bare, layer)
    bare.invoke("hi")
    assert not layer.calls
    assert type(bare) is models["AllFour"]


def test_a_call_changes_the_state_of_the_model_itself() -> None:
    model = with_layers(Remembering(responses=["a", "b"]), ModelLayer())
    model.invoke("hi")
    model.invoke("hi")
    assert (model.i, model._last, model._calls) == (0, 2, [1, 2])
    assert "i" in model.model_fields_set


def test_a_field_set_on_it_is_seen_by_the_call(models) -> None:
    model = with_layers(models["AllFour"](), ModelLayer())
    model.temperature = 0.4
    assert model.invoke("hi").content == "one two 0.4"


def test_core_caches_see_one_key_for_both(models, watching) -> None:
    cache, layer = InMemoryCache(), watching()
    models["AllFour"](cache=cache).invoke("hi")
    assert with_layers(models["AllFour"](cache=cache), layer).invoke("hi")
    assert not layer.calls


def test_one_class_for_the_same_class_and_layers(models) -> None:
    first, second = ModelLayer(), ModelLayer()
    one, same = (with_layers(models["AllFour"](), first, second) for _ in range(2))
    assert type(one) is type(same)
    assert type(with_layers(models["AllFour"](), second, first)) is not type(one)
    assert type(with_layers(models["OnlyAsync"](), first, second)) is not type(one)


def test_classes_and_layers_are_forgotten_with_their_last_model(models) -> None:
    layer = ModelLayer()
    model = with_layers(models["AllFour"](), layer)
    cls, ref = weakref.ref(type(model)), weakref.ref(layer)
    model.invoke("hi")
    del model, layer
    gc.collect()
    assert cls() is None
    assert ref() is None


def test_threads_that_layer_at_once_share_one_class(models) -> None:
    layer, made, start = ModelLayer(), [], threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.append(with_layers(models["AllFour"](), layer))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({type(model) for model in made}) == 1


def test_a_class_made_inside_a_function_can_be_layered() -> None:
    class Detail(BaseModel):
        depth: int = 1

    class Local(FakeMessagesListChatModel):
        detail: Detail = Detail()

    model = with_layers(Local(responses=[AIMessage("a")]), Shouting())
    assert model.invoke("hi").content == "A"
    rebuilt = model.configurable_fields(detail=ConfigurableField(id="detail"))
    config = {"configurable": {"detail": Detail(depth=2)}}
    assert rebuilt.invoke("hi", config).content == "A"

"""How often a client repeats a request by itself, and how to make it once."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from langchain_llmops import ModelLayer, with_layers
from langchain_llmops.models import client_retries, without_client_retries

CLIENTS = ("client", "async_client", "root_client", "root_async_client")


def azure(**kwargs) -> AzureChatOpenAI:
    return AzureChatOpenAI(
        azure_endpoint="https://me.openai.azure.com",
        azure_deployment="gpt",
        api_version="2024-10-21",
        api_key="key",
        **kwargs,
    )


class BuildsLater(FakeListChatModel):
    """Has its client made on first use, as ChatAnthropic does."""

    max_retries: int = 2

    @cached_property
    def _client(self) -> SimpleNamespace:
        return SimpleNamespace(
            max_retries=self.max_retries, with_options=lambda **_: None
        )


def openai(**kwargs) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o", api_key="sk-test", **kwargs)


@pytest.mark.parametrize("make", [openai, azure])
def test_the_clients_say_how_often_they_retry(make) -> None:
    assert client_retries(make()) == 2
    assert client_retries(make(max_retries=5)) == 5
    assert client_retries(make(max_retries=0)) == 0


def test_a_changed_field_does_not_fool_it() -> None:
    assert client_retries(openai().model_copy(update={"max_retries": 0})) == 2


def test_nobody_knows_about_a_model_that_has_neither() -> None:
    assert client_retries(FakeListChatModel(responses=[])) is None


def test_a_model_with_nothing_to_switch_off_comes_back_itself() -> None:
    model = FakeListChatModel(responses=[])
    assert without_client_retries(model) is model


@pytest.mark.parametrize("make", [openai, azure])
def test_every_client_is_rebuilt_and_nothing_else_changes(make) -> None:
    bare = make(timeout=7, default_headers={"x": "y"}, temperature=0.3)
    once = without_client_retries(bare)
    assert type(once) is type(bare)
    assert (client_retries(once), client_retries(bare)) == (0, 2)
    assert once.max_retries == 0
    assert once.client._client is once.root_client
    assert once.async_client._client is once.root_async_client
    for name in ("root_client", "root_async_client"):
        new, old = getattr(once, name), getattr(bare, name)
        assert new is not old
        assert new._client is old._client, "connections are shared"
        for option in ("api_key", "base_url", "timeout", "_custom_headers"):
            assert getattr(new, option) == getattr(old, option)
    same = set(type(bare).model_fields) - {*CLIENTS, "max_retries"}
    assert [n for n in same if getattr(once, n) != getattr(bare, n)] == []


def test_a_client_that_the_user_made_is_rebuilt_too() -> None:
    own = openai(max_retries=4)
    model = openai(client=own.client, async_client=own.async_client)
    assert client_retries(model) == 4
    assert client_retries(without_client_retries(model)) == 0


def test_layers_stay() -> None:
    layer = ModelLayer()
    model = without_client_retries(with_layers(openai(), layer))
    assert client_retries(model) == 0
    assert type(model) is type(with_layers(openai(), layer))


def test_a_client_built_on_first_use_is_built_anew() -> None:
    model = BuildsLater(responses=[])
    assert client_retries(model) == 2
    assert model._client.max_retries == 2
    once = without_client_retries(model)
    assert once._client.max_retries == 0
    assert client_retries(once) == 0
    assert model._client.max_retries == 2


def test_the_serialised_model_shows_the_new_number() -> None:
    model = openai(max_retries=3)
    assert '"max_retries": 3' in model._get_llm_string()
    assert '"max_retries": 0' in without_client_retries(model)._get_llm_string()

"""Tags and scopes: a new epoch makes answers invalid, here and in other processes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import CacheLayer, cache_scope, with_layers
from langchain_llmops.caching import (
    CacheRequest,
    MemoryTier,
    SQLiteTier,
    TieredCache,
)
from langchain_llmops.caching.tiers.epochs import LocalEpochs
from langchain_llmops.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def request(
    key: str = "k", *, tags: tuple[str, ...] = (), namespace: str | None = None
) -> CacheRequest:
    return CacheRequest(
        key=key, partition="", question=None, model=None, tags=tags, namespace=namespace
    )


def said(text: str = "four") -> list[ChatGeneration]:
    return [ChatGeneration(message=AIMessage(text))]


TAGGED = request(tags=("a", "b"))


@pytest.fixture
def process(tmp_path: Path, clock: Any) -> Iterator[Callable[..., TieredCache]]:
    """Make a cache as another process would: memory of its own, over one file."""
    with ExitStack() as opened:

        def make(**options: Any) -> TieredCache:
            tier = opened.enter_context(closing(SQLiteTier(tmp_path / "cache.db")))
            return TieredCache([MemoryTier(), tier], clock=clock, **options)

        yield make


def test_one_tag_of_several_is_enough():
    cache = TieredCache()
    cache.put(TAGGED, said())
    cache.invalidate(["c"])
    assert cache.get(TAGGED)
    cache.invalidate(["b", "c"])
    assert cache.get(TAGGED) is None
    assert cache.stats().invalidated == 1
    cache.put(TAGGED, said("five"))
    assert cache.get(TAGGED).generations[0].text == "five"


def test_on_an_event_loop_too(process: Any):
    cache = process()

    async def run() -> None:
        await cache.aput(TAGGED, said())
        assert await cache.aget(TAGGED)
        await cache.ainvalidate(["a"])
        assert await cache.aget(TAGGED) is None

    asyncio.run(run())


def test_a_scope_goes_as_a_whole():
    cache = TieredCache()
    mine, yours = request("m", namespace='"acme"'), request("y", namespace='"other"')
    bare = request("b")
    for each in (mine, yours, bare):
        cache.put(each, said())
    cache.invalidate(namespace="acme")
    assert cache.get(mine) is None
    assert cache.get(yours)
    assert cache.get(bare)


def test_the_tenant_of_a_call_is_its_namespace(counting: Any):
    cache = TieredCache()
    model = with_layers(counting(), CacheLayer(cache))
    config = {"metadata": {"tenant": "acme"}}
    model.invoke("hi", config)
    cache.invalidate(namespace="acme")
    model.invoke("hi", config)
    assert model.calls == 2


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_tags_of_a_block_or_a_config_reach_the_answer(mode: str, counting: Any):
    cache = TieredCache()
    model = with_layers(counting(), CacheLayer(cache))

    def ask(config: Any = None) -> None:
        list(model.stream("hi", config)) if mode == "stream" else model.invoke(
            "hi", config
        )

    with cache_scope(tags=["kb"]):
        ask()
    ask()
    assert model.calls == 1
    cache.invalidate(["kb"])
    ask({"configurable": {"cache_tags": ["kb"]}})
    assert model.calls == 2
    cache.invalidate(["kb"])
    ask()
    assert model.calls == 3


def test_tags_reach_an_answer_through_langchains_hook(counting: Any):
    cache = TieredCache()
    model = counting(cache=cache)
    for _ in range(2):
        with cache_scope(tags=["kb"]):
            model.invoke("hi")
        cache.invalidate(["kb"])
    assert model.calls == 2


def test_another_process_sees_it_after_the_tag_ttl(process: Any, clock: Any):
    here, there = process(), process()
    here.put(TAGGED, said())
    assert there.get(TAGGED).mark["tier"] == "sqlite"
    assert there.get(TAGGED).mark["tier"] == "memory"
    here.invalidate(["a"])
    clock.now += 0.051
    assert there.get(TAGGED) is None
    here.put(TAGGED, said("five"))
    # An invalid copy in memory does not hide the new answer below it.
    assert asyncio.run(there.aget(TAGGED)).generations[0].text == "five"


def test_untagged_answers_read_no_epochs(process: Any, clock: Any, monkeypatch: Any):
    cache = process()
    cache.put(request(), said())
    cache.get(request())
    read: list[Any] = []
    monkeypatch.setattr(SQLiteTier, "epochs", lambda _, names: read.append(names))
    clock.now += 0.9
    assert cache.get(request()).mark["tier"] == "memory"
    assert read == []


def test_tagged_answers_read_them_once_in_a_tag_ttl(
    process: Any, clock: Any, monkeypatch: Any
):
    cache = process(tag_ttl=timedelta(milliseconds=50))
    cache.put(TAGGED, said())
    cache.get(TAGGED)
    real, read = SQLiteTier.epochs, []
    monkeypatch.setattr(
        SQLiteTier,
        "epochs",
        lambda self, names: read.append(names) or real(self, names),
    )
    for _ in range(10):
        clock.now += 0.01
        assert cache.get(TAGGED)
    assert 1 <= len(read) <= 2


def test_an_answer_in_the_making_is_invalidated_too():
    cache = TieredCache()
    assert cache.get(TAGGED) is None  # the model is asked from here …
    cache.invalidate(["a"])
    cache.put(TAGGED, said("old news"))  # … to here
    assert cache.get(TAGGED) is None
    cache.put(TAGGED, said("new"))
    assert cache.get(TAGGED)


def test_a_clock_set_back_does_not_freeze_what_is_known(process: Any, clock: Any):
    here, there = process(), process()
    here.put(TAGGED, said())
    assert there.get(TAGGED)
    clock.now -= 500
    here.invalidate(["a"])
    assert there.get(TAGGED) is None


class LostEpochs(MemoryTier):
    """Shared by machines, and gone when told to."""

    reach = 2  # type: ignore[misc]
    lost = False

    def epochs(self, names: Any) -> Any:
        if self.lost:
            raise ConnectionError
        return super().epochs(names)

    async def aepochs(self, names: Any) -> Any:
        return self.epochs(names)

    def renew(self, names: Any) -> Any:
        if self.lost:
            raise ConnectionError
        return super().renew(names)

    async def arenew(self, names: Any) -> Any:
        return self.renew(names)


async def test_with_the_epochs_lost_what_is_known_holds(clock: Any, caplog: Any):
    shared = LostEpochs()
    cache = TieredCache([MemoryTier(), shared], clock=clock)
    cache.put(TAGGED, said())
    other = request("o", tags=("unknown",))
    shared.lost = True
    clock.now += 1
    assert cache.get(TAGGED)
    assert await cache.aget(TAGGED)
    assert cache.get(other) is None
    assert not cache.put(other, said())  # could not be invalidated
    assert not await cache.aput(other, said())
    assert cache.stats().errors["memory"] >= 1
    with pytest.raises(StorageError, match="may still be given"):
        cache.invalidate(["a"])
    with pytest.raises(StorageError, match="may still be given"):
        await cache.ainvalidate(["a"])
    cache.clear()
    await cache.aclear()
    assert len(caplog.records) == 1


def test_tiers_that_keep_no_epochs_still_have_tags(broken_tier: Any):
    broken_tier.broken = False
    cache = TieredCache([broken_tier])
    cache.put(TAGGED, said())
    assert cache.get(TAGGED)
    cache.invalidate(["a"])
    assert cache.get(TAGGED) is None


def test_epochs_that_were_forgotten_never_come_back(monkeypatch: Any):
    monkeypatch.setattr("langchain_llmops.caching.tiers.epochs._NAMES", 2)
    epochs = LocalEpochs()
    first = epochs.epochs(["a", "b"])
    assert epochs.epochs(["a", "b"]) == first
    epochs.epochs(["c"])
    assert epochs.epochs(["a"])["a"] != first["a"]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"tags": ["a"], "namespace": "x"}, {"tags": ["a"], "predicate": bool}],
)
def test_one_way_to_say_what_goes(arguments: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="takes one of"):
        TieredCache().invalidate(**arguments)

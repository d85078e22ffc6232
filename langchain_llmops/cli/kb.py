"""`llmops kb`: plan, apply, verify and roll back a knowledge base."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_llmops.knowledge import KnowledgeBaseSync

__all__ = ["app", "named"]

app = typer.Typer(
    help="Bring a knowledge base to what its source says, or back.",
    no_args_is_help=True,
)

_Base = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME",
        help="A KnowledgeBaseSync, or a function that returns one: myapp.kb:base.",
    ),
]
_Source = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME",
        help="The documents, or a function that returns them: myapp.kb:load.",
    ),
]


@app.command()
def plan(
    base: _Base,
    source: _Source,
    *,
    limit: Annotated[int, typer.Option(min=0, help="Changes that are listed.")] = 20,
) -> None:
    """Show what apply would change; changes nothing."""
    with _base(base).plan(named(source)) as changes:
        typer.echo(str(changes))
        for place, change in enumerate(changes):
            if place == limit:
                typer.echo(f"  … and {changes.changed - limit:,} more")
                break
            typer.echo(f"  {change.kind:<8} {change.id}")


@app.command()
def apply(
    base: _Base,
    source: _Source,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Delete what the guards refuse.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Verify first, and rewrite what is lost.")
    ] = False,
) -> None:
    """Write what changed, check it in the stores, and switch to it.

    Exits with 1 if a region stays behind.
    """
    kb = _base(base)
    lost: set[str] = set()
    if repair:
        for found in kb.verify().values():
            lost.update(found.damaged)
    with kb.plan(named(source), rewrite=lost) as changes:
        typer.echo(str(changes))
        report = kb.apply(changes, force=force)
    typer.echo(f"version {report.version} (before: {report.previous})")
    for region, why in report.lagging.items():
        typer.echo(f"  {region} lags: {why}")
    raise typer.Exit(1 if report.lagging else 0)


@app.command()
def verify(
    base: _Base,
    *,
    region: Annotated[str | None, typer.Option(help="Only this one.")] = None,
) -> None:
    """Ask the stores for every document; exits with 1 if anything is wrong."""
    found = _base(base).verify(region).values()
    for one in found:
        typer.echo(str(one))
    raise typer.Exit(0 if all(one.ok for one in found) else 1)


@app.command()
def rollback(
    base: _Base, version: Annotated[int, typer.Argument(help="As status shows it.")]
) -> None:
    """Show an earlier version again, at once."""
    _base(base).rollback(version)
    typer.echo(f"version {version}")


@app.command()
def status(base: _Base) -> None:
    """Show versions and regions."""
    found = _base(base).status()
    typer.echo(f"{found.name}: version {found.version}, {found.documents:,} documents")
    for name, region in found.regions.items():
        lags = f", lags: {region.owed:,} documents owed" if region.lags else ""
        typer.echo(f"  region {name}: version {region.version}{lags}")
    for row in found.versions:
        typer.echo(
            f"  version {row.version}: {row.state}, {row.documents:,} documents, "
            f"{row.created_at:%Y-%m-%d %H:%M} UTC"
        )


@app.command()
def gc(
    base: _Base,
    *,
    keep: Annotated[int, typer.Option(min=1, help="Newest versions that stay.")] = 2,
) -> None:
    """Delete documents that no kept version shows."""
    found = _base(base).gc(keep=keep)
    typer.echo(
        f"{len(found.versions)} versions dropped, {found.documents:,} documents "
        f"deleted, {found.left:,} left"
    )
    raise typer.Exit(1 if found.left else 0)


def named(target: str) -> Any:
    """Return what `module:name` names, called if it is a function.

    Modules are found as `python -m` finds them, the current folder first.

    Raises:
        ConfigurationError: There is no such module or name.
    """
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise ConfigurationError(f"{target!r} is not module:name, as in myapp.kb:base")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        thing = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ConfigurationError(
            f"there is no module {module!r} here: run from the folder that has it"
        ) from error
    except AttributeError as error:
        raise ConfigurationError(
            f"the module {module!r} has no {name!r}: check the spelling"
        ) from error
    return thing() if callable(thing) else thing


def _base(target: str) -> KnowledgeBaseSync:
    from langchain_llmops.knowledge import KnowledgeBaseSync  # noqa: PLC0415 - slow

    found = named(target)
    if not isinstance(found, KnowledgeBaseSync):
        raise ConfigurationError(
            f"{target!r} is {found!r}: name a KnowledgeBaseSync, or a function that "
            "returns one"
        )
    return found

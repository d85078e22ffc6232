"""`llmops doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement
from rich.console import Console
from rich.text import Text

from langchain_llmops import _encodings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Check", "examine", "run_doctor"]

_DISTRIBUTION = "langchain-llmops"
_MARKS = {"ok": " [green]ok[/]", "note": "  [yellow]-[/]", "bad": "[red]bad[/]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding.

    Args:
        name: What was looked at.
        state: `ok`; `note`: fine without it; `bad`: something will not work.
        says: What was found, and what to do where it is not `ok`.
    """

    name: str
    state: Literal["ok", "note", "bad"]
    says: str


def run_doctor(*, fetch_encodings: bool) -> int:
    """Print all findings.

    Args:
        fetch_encodings: Get missing rank files first, from the network if need be.

    Returns:
        0, or 1 if anything is bad.

    Raises:
        ConfigurationError: The rank files cannot be had.
    """
    console = Console(highlight=False)
    if fetch_encodings:
        for path in _encodings.fetch():
            console.print(f"Wrote {path}", soft_wrap=True)
    checks = list(examine())
    for check in checks:
        line = Text.from_markup(f"{_MARKS[check.state]} {check.name:<25} ")
        # Not wrapped here: commands and paths can be copied whole.
        console.print(line.append(check.says), soft_wrap=True)
    return 1 if any(check.state == "bad" for check in checks) else 0


def examine() -> Iterator[Check]:
    """Yield every finding; reads and writes only what it says."""
    yield Check(name="Python", state="ok", says=platform.python_version())
    wanted = [Requirement(line) for line in requires(_DISTRIBUTION) or ()]
    yield Check(name=_DISTRIBUTION, state="ok", says=version(_DISTRIBUTION))
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement)
    yield from _extras(wanted)
    yield from _encoding_files()
    yield _writable("current folder", Path.cwd())
    yield _writable("temporary folder", Path(tempfile.gettempdir()))
    key = bool(os.environ.get("OPENAI_API_KEY"))
    yield Check(
        name="OPENAI_API_KEY",
        state="ok" if key else "note",
        says="set" if key else "not set: needed only for `llmops demo --real`",
    )


def _package(requirement: Requirement) -> Check:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Check(
            name=requirement.name,
            state="bad",
            says=f'missing: pip install "{requirement}"',
        )
    if requirement.specifier.contains(found, prereleases=True):
        return Check(name=requirement.name, state="ok", says=found)
    return Check(
        name=requirement.name,
        state="bad",
        says=f'{found} does not fit: pip install "{requirement}"',
    )


def _extras(wanted: Iterable[Requirement]) -> Iterator[Check]:
    members: dict[str, list[Requirement]] = {}
    for requirement in wanted:
        marker = str(requirement.marker or "")
        if "extra ==" in marker:
            extra = marker.rpartition("extra ==")[2].strip(" \"'()")
            members.setdefault(extra, []).append(requirement)
    members.pop("all", None)  # says the others once more
    for extra, requirements in sorted(members.items()):
        missing = [one.name for one in requirements if _package(one).state != "ok"]
        yield Check(
            name=f"extra {extra}",
            state="note" if missing else "ok",
            says=f'not installed: pip install "{_DISTRIBUTION}[{extra}]"'
            if missing
            else ", ".join(one.name for one in requirements),
        )


def _encoding_files() -> Iterator[Check]:
    for name in _encodings.CURRENT:
        path = _encodings.find(name)
        yield Check(
            name=f"encoding {name}",
            state="note" if path is None else "ok",
            says="not found, token counts are estimates: llmops doctor "
            "--fetch-encodings"
            if path is None
            else f"exact, {path}",
        )


def _writable(name: str, folder: Path) -> Check:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            name=name,
            state="bad",
            says=f"{folder} cannot be written ({error.strerror}): work in another",
        )
    return Check(name=name, state="ok", says=f"{folder} can be written")

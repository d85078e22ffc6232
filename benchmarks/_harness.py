"""The measuring loop of every benchmark: interleaved, CPU time, medians, ratios.

Two busy cores make wall times worthless, so cost is CPU time of this process. The
variants of one comparison take turns, round after round, so that a busy minute of the
machine hits all of them alike. A benchmark writes its own section of
docs/benchmarks.md between two markers that carry its name.
"""

from __future__ import annotations

import gc
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Timing:
    """CPU microseconds per operation of one variant: median and spread of rounds."""

    median: float
    low: float
    high: float


def compare(
    variants: Mapping[str, Callable[[int], object]],
    *,
    rounds: int = 9,
    repeat: int = 200,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Timing]:
    """Time variants against each other, taking turns.

    Args:
        variants: Name to a function that does the operation `n` times.
        rounds: How often each variant gets its turn; the first round only warms up.
        repeat: Operations in one turn.
        clock: CPU time of the process by default.

    Returns:
        Microseconds per operation of each variant.
    """
    samples: dict[str, list[float]] = {name: [] for name in variants}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds + 1):
            for name, operation in variants.items():
                start = clock()
                operation(repeat)
                took = (clock() - start) / repeat * 1e6
                if turn:
                    samples[name].append(took)
            gc.collect()
    finally:
        gc.enable()
    return {
        name: Timing(statistics.median(s), min(s), max(s))
        for name, s in samples.items()
    }


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def machine(*packages: str) -> str:
    """Return one line that says what was measured on: Python, cores, versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"Python {platform.python_version()} on {platform.machine()}, "
        f"{time.strftime('%Y-%m-%d')}. {versions}"
    )


def publish(name: str, body: str, page: Path = PAGE) -> None:
    """Print a section and write it into docs/benchmarks.md, replacing its old text.

    Args:
        name: Marker of the section, unique among benchmarks.
        body: Markdown, starting with its own `##` heading.
        page: The page to write.
    """
    print(body)
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    section = f"{start}\n{body.strip()}\n{end}"
    head, found, rest = text.partition(start)
    tail = rest.partition(end)[2] if found else "\n"
    page.write_text(
        (head if found else text.rstrip() + "\n\n") + section + tail, encoding="utf-8"
    )

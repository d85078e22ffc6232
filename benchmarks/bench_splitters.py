"""Splitting text at 512 tokens, beside the splitters that one would take instead.

The corpus is what every machine with this repository has: the Python language
reference, this project's Markdown and some modules of the standard library. Other
projects' splitters run in an environment of their own in the user's cache folder, made
once (150 MB); where it cannot be made their rows are left out. CPU time, the median of
the rounds; chunks are counted and compared with the text by us.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

from _harness import compare, machine, publish, table
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_llmops._encodings import find
from langchain_llmops.tokens import TokenCounter, TokenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
CHILD = Path(__file__).with_name("_splitters_child.py")
OTHERS = ("chonkie==1.7.0", "semantic-text-splitter==0.33.1", "tiktoken==0.14.0")
NAMES = (
    "chonkie RecursiveChunker",
    "semantic-text-splitter",
    "semantic-text-splitter, Markdown",
)
LIMIT, ROUNDS = 512, 11
ENCODING = "tiktoken alone"
MODULES = ("argparse", "inspect", "pathlib", "subprocess", "tarfile", "typing")


def corpus() -> str:
    """Return prose, Markdown and code: about 1.5 MB."""
    library = Path(os.__file__).parent
    markdown = [p for p in sorted(ROOT.glob("**/*.md")) if ".venv" not in p.parts]
    code = [library / f"{name}.py" for name in MODULES]
    parts = [topics[name] for name in sorted(topics)]
    parts += [p.read_text(encoding="utf-8") for p in (*markdown, *code) if p.exists()]
    # On special tokens in a text the others' counters raise.
    return "\n".join(parts).replace("<|", "<")


def ours(
    splits: dict[str, Callable[[str], list[str]]], text: str
) -> Iterator[tuple[str, list[float], list[str]]]:
    """Yield name, seconds and chunks of the splitters here, which take turns."""

    def job(split: Callable[[str], list[str]]) -> Callable[[int], object]:
        return lambda times: [split(text) for _ in range(times)]

    jobs = {name: job(split) for name, split in splits.items()}
    timings = compare(jobs, rounds=ROUNDS, repeat=1)
    for name, split in splits.items():
        yield name, [timings[name].median / 1e6], split(text)


def theirs(text: str, ranks: Path) -> Iterator[tuple[str, list[float], list[str]]]:
    """Yield name, seconds and chunks of the splitters in their own environment."""
    try:
        python = environment()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"other splitters cannot be installed: {error}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.txt"
        file.write_text(text, encoding="utf-8", newline="")
        for name in NAMES:
            job = {"name": name, "text": str(file), "limit": LIMIT, "rounds": 3}
            done = subprocess.run(
                [str(python), str(CHILD)],
                input=json.dumps(job),
                env=os.environ | {"TIKTOKEN_CACHE_DIR": str(ranks)},
                capture_output=True,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout)
            yield name, found["seconds"], found["chunks"]


def environment() -> Path:
    """Return the interpreter of the other splitters' environment."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = caches / "langchain_llmops" / "bench-splitters-1"
    python, ready = home / "bin" / "python", home / ".ready"
    if not ready.exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *OTHERS], check=True)
        ready.touch()
    return python


def main() -> None:
    """Measure, check our own promises, and publish."""
    ranks = find("o200k_base")
    if ranks is None:
        raise SystemExit("run `make setup` first: the rank file of o200k is missing")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(ranks.parent)  # for LangChain's
    text, counter = corpus(), TokenCounter("gpt-4o").load()
    megabytes, tokens = len(text.encode()) / 1e6, counter.count(text)
    fewest = math.ceil(tokens / LIMIT)
    plain, roomy = TokenTextSplitter(LIMIT), TokenTextSplitter(LIMIT, slack=0.15)
    recursive = RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        "o200k_base", chunk_size=LIMIT, chunk_overlap=0
    )
    mine = "**TokenTextSplitter**"
    here = {
        mine: plain.split_text,
        f"{mine}, slack=0.15": roomy.split_text,
        "RecursiveCharacterTextSplitter": recursive.split_text,
        ENCODING: lambda text: [str(counter.count(text))],
    }
    runs = [*ours(here, text), *theirs(text, ranks.parent)]
    encoding = next(seconds[0] for name, seconds, _ in runs if name == ENCODING)
    rows = []
    for name, seconds, chunks in runs:
        if name == ENCODING:
            continue
        sizes = [counter.count(chunk) for chunk in chunks]
        over = sum(size > LIMIT for size in sizes)
        lossless = "".join(chunks) == text
        more = len(chunks) / fewest - 1
        at_lines = sum(chunk.endswith("\n") for chunk in chunks) / len(chunks)
        if name == mine and (over or not lossless or more > 0.02):
            raise SystemExit(f"a promise is broken: {over=} {lossless=} {more=:.3f}")
        speed = megabytes / statistics.median(seconds)
        rows.append(
            (
                name,
                f"{speed:.1f}",
                f"{len(chunks):,} ({more:+.1%})",
                max(sizes),
                over,
                "yes" if lossless else "no",
                f"{at_lines:.0%}" if lossless else "",
            )
        )
    head = ("", "MB per CPU second", f"chunks ({fewest:,} can do)", "largest")
    publish(
        "splitters",
        "## Splitting text\n\n"
        f"{megabytes:.1f} MB of prose, Markdown and code at {LIMIT} tokens of o200k. "
        f"tiktoken alone encodes {megabytes / encoding:.0f} MB per CPU second. "
        f"{machine('tiktoken', 'langchain-text-splitters')}, "
        f"{', '.join(OTHERS[:2])}.\n\n"
        + table((*head, "over the limit", "lossless", "end with a line"), rows)
        + "\n",
    )


if __name__ == "__main__":
    main()

"""GPTCache beside us: in an environment and a process of its own.

It pins other versions than ours, and installs what it misses with `pip` while it runs:
so a virtual environment in the user's cache folder, made once (40 MB), holds it. Its
CPU time is read in its own process. Vectors are handed over in files: no embedding
model is part of any figure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "0.1.44"
CHILD = Path(__file__).with_name("_gptcache_child.py")


class GPTCache:
    """A cache in another process; every method waits for its answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.cpu_s = 0.0

    def ask(self, what: str, times: int) -> None:
        """Do something so many times: `hit`, `near` or `put`."""
        self._send(do=what, times=times)

    def fill(self, rows: np.ndarray, queries: np.ndarray, folder: Path) -> None:
        """Store a question per row; `near` then asks for the queries."""
        np.save(folder / "rows.npy", rows)
        np.save(folder / "queries.npy", queries)
        self._send(do="fill", folder=str(folder))

    def _send(self, **order: Any) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"GPTCache ended while it was asked to {order['do']!r}")
        self.cpu_s = float(line)


@contextmanager
def gptcache(folder: Path) -> Iterator[GPTCache | None]:
    """Run a GPTCache; `None`, with a word on stderr, where it cannot be installed."""
    try:
        python = _python()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"GPTCache {VERSION} cannot be installed: {error}\n")
        yield None
        return
    # Should it install something while it runs, then not into our environment.
    path = os.pathsep.join((str(python.parent), os.environ["PATH"]))
    # Left alone, the threads of its faiss spin while they wait: twice the CPU time.
    alone = {"PATH": path, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [str(python), str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | alone,
    ) as process:
        try:
            yield GPTCache(process)
        finally:
            process.kill()


def _python() -> Path:
    """Return the interpreter of GPTCache's environment, made where it is missing."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = caches / "langchain_llmops" / f"bench-gptcache-{VERSION}"
    python = home / "bin" / "python"
    ready = home / ".ready"
    if not ready.exists():
        venv.create(home, with_pip=True, clear=True)
        packages = (f"gptcache=={VERSION}", "faiss-cpu", "sqlalchemy")
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *packages], check=True)
        ready.touch()
    return python

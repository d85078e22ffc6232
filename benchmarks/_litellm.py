"""LiteLLM's Router beside us: in an environment and a process of its own.

It pins another openai client than ours. So a virtual environment in the user's cache
folder, made once (300 MB), holds it. A child script gets its orders as JSON, and
prints what it measured as JSON on its last line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "1.106.2"
# Else it fetches a price list at import, and waits for the network.
ALONE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}


def litellm_python() -> Path | None:
    """Return the interpreter of LiteLLM's environment, made where it is missing.

    `None`, with a word on stderr, where it cannot be installed.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = caches / "langchain_llmops" / f"bench-litellm-{VERSION}"
    python = home / "bin" / "python"
    ready = home / ".ready"
    if ready.exists():
        return python
    try:
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, f"litellm=={VERSION}"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"LiteLLM {VERSION} cannot be installed: {error}\n")
        return None
    ready.touch()
    return python

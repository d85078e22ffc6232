"""`llmops cache` as a process: warm a file, warm it again for nothing, look into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_llmops import CacheLayer, SQLiteTier, TieredCache, with_layers

LLMOPS = str(Path(sys.executable).with_name("llmops"))


@pytest.fixture
def llmops(tmp_path):
    (tmp_path / "prompts.txt").write_text('What is x?\n{"question": "What is y?"}\n')
    environment = {k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}

    def run(*arguments):
        return subprocess.run(
            [LLMOPS, "cache", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment | {"COLUMNS": "80"},
            check=False,
            timeout=50,
        )

    return run


def test_warm_then_look(llmops, provider, tmp_path):
    options = [
        "--cache=c.db",
        "--temperature=0",
        "--tag=kb",
        f"--base-url={provider.base_url}",
    ]
    first = llmops("warm", "prompts.txt", *options)
    assert (first.returncode, first.stderr) == (0, "")
    assert "2 answered, 0 cached before, 0 failed" in first.stdout
    again = llmops("warm", "prompts.txt", *options)
    assert "0 answered, 2 cached before" in again.stdout
    assert len(provider.invoice) == 2
    shown = llmops("stats", "c.db", "--json")
    assert json.loads(shown.stdout)["answers"] == 2
    assert json.loads(shown.stdout)["tags"] == {"kb": 2}
    assert "2 answers" in llmops("stats", "c.db").stdout
    # The application, with the same settings, finds the answer.
    with closing(TieredCache([SQLiteTier(tmp_path / "c.db")])) as cache:
        model = ChatOpenAI(
            model="gpt-4o-mini",
            temperature=0,
            api_key=SecretStr("another"),
            base_url=provider.base_url,
        )
        answer = with_layers(model, CacheLayer(cache)).invoke(
            [HumanMessage("What is y?")]
        )
        assert answer.response_metadata["cache"]["hit"]


def test_bad_input_is_one_line(llmops):
    for arguments, part in (
        (["stats", "none.db"], "there is no cache file"),
        (["warm", "prompts.txt", "--cache=c.db"], "OPENAI_API_KEY"),
        (["warm", "none.txt", "--cache=c.db"], "none.txt"),
    ):
        done = llmops(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert part in done.stderr

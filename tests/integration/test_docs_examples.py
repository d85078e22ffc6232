"""Every Python block of the README, the docs and the docstrings runs as it is printed.

The blocks are written as for production: `ChatOpenAI(model=...)` and nothing else. The
environment, where the key would be, points them at a local provider.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_examples import find_examples

import langchain_llmops

if TYPE_CHECKING:
    from pytest_examples import CodeExample

PACKAGE = Path(langchain_llmops.__file__).parent
ROOT = PACKAGE.parent
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
    if "```py" in page.read_text(encoding="utf-8")
]
DOCSTRINGS = sorted(find_examples(PACKAGE), key=str)


def name_of(thing: Path | CodeExample) -> str:
    return str(thing).removeprefix(f"{ROOT}/")


@pytest.fixture(autouse=True)
def _as_if_in_production(provider, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "local")
    monkeypatch.chdir(tmp_path)  # files that an example writes
    # pytest-examples puts each block there and leaves it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_blocks_of_a_page_run_one_after_the_other(page, eval_example):
    seen = {}
    for block in find_examples(page):
        if eval_example.update_examples:
            seen |= eval_example.run_print_update(block, module_globals=seen)
        else:
            seen |= eval_example.run_print_check(block, module_globals=seen)


@pytest.mark.parametrize("block", DOCSTRINGS, ids=name_of)
def test_the_block_of_a_docstring_runs_by_itself(block, eval_example):
    eval_example.run_print_check(block)


def test_blocks_are_found():
    assert len(PAGES) >= 6
    assert DOCSTRINGS

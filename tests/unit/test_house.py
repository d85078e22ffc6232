"""House rules written as tests: exports, documentation, sizes, what an import costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import langchain_llmops

PACKAGE = Path(langchain_llmops.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(Path(__file__).parents[1].rglob("*.py"))
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MAX_SOURCE_LINES, MAX_TEST_LINES, MAX_FUNCTION_LINES = 400, 500, 70
HEAVY = ("langchain_core", "langchain_openai", "faiss", "numpy", "pydantic", "aiohttp")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("name", langchain_llmops.__all__)
def test_public_names_resolve_and_are_documented(name):
    thing = getattr(langchain_llmops, name)
    assert inspect.getdoc(thing)
    assert name in dir(langchain_llmops)


def test_public_names_are_sorted_and_unknown_ones_are_refused():
    assert list(langchain_llmops.__all__) == sorted(langchain_llmops.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = langchain_llmops.no_such_name


def test_each_public_name_lives_in_a_folder_that_exports_it():
    for name in langchain_llmops.__all__:
        folder = getattr(langchain_llmops, name).__module__.split(".")[1]
        home = importlib.import_module(f"langchain_llmops.{folder}")
        assert name in home.__all__


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_exported_name_is_the_name_of_a_module_beside_it(folder):
    # Whoever imports the module first would get it instead of what it exports.
    home = importlib.import_module(f"langchain_llmops.{folder}")
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")}
    assert not modules & set(getattr(home, "__all__", ()))


def test_importing_the_package_loads_nothing_heavy():
    loaded = run(
        "import sys, langchain_llmops\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert loaded == "[]"


def test_importing_every_folder_loads_no_langchain():
    code = "import sys\n" + "\n".join(f"import langchain_llmops.{f}" for f in FOLDERS)
    loaded = run(f"{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_source_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_SOURCE_LINES


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)
def test_test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_TEST_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_functions_fit_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_file_is_named_for_nothing(path):
    assert path.stem not in {"utils", "helpers", "common", "manager", "misc"}

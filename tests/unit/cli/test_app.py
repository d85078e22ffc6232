"""The command line: quick help, one line per error, exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from langchain_llmops.cli import app
from langchain_llmops.errors import ConfigurationError


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["llmops", *arguments])
        with pytest.raises(SystemExit) as caught:
            app.main()
        return caught.value.code, capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ConfigurationError("'x' is wrong:\n  use 'y'"),
            "Error: 'x' is wrong: use 'y'\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/page"),
            (
                "Error: cannot use '/tmp/page' (No space left on device): free it or "
                "choose another\n"
            ),
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "Error: cannot use (Permission denied): free it or choose another\n",
        ),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(run, monkeypatch, error, line):
    def fail(*, fetch_encodings):
        raise error

    monkeypatch.setattr("langchain_llmops.cli.doctor.run_doctor", fail)
    code, out = run("doctor")
    assert (code, out.err, out.out) == (2, line, "")


def test_an_error_that_is_a_bug_keeps_its_traceback(monkeypatch):
    def fail(*, fetch_encodings):
        raise KeyError("bug")

    monkeypatch.setattr("langchain_llmops.cli.doctor.run_doctor", fail)
    monkeypatch.setattr(sys, "argv", ["llmops", "doctor"])
    with pytest.raises(KeyError):
        app.main()


def test_commands_hand_on_their_exit_code(run, monkeypatch):
    monkeypatch.setattr(
        "langchain_llmops.cli.doctor.run_doctor", lambda *, fetch_encodings: 1
    )
    assert run("doctor")[0] == 1


@pytest.mark.parametrize("amount", ["none", "0", "-1", "nan", "inf"])
def test_a_ceiling_must_be_an_amount(run, amount):
    code, out = run("demo", "--max-usd", amount)
    assert code == 2
    assert "--max-usd" in out.err


def test_own_documents_need_own_questions(run, tmp_path):
    code, out = run("demo", "--docs", str(tmp_path))
    assert code == 2
    assert out.err.startswith("Error: --docs needs --questions")
    assert out.err.count("\n") == 1


def test_help_names_the_commands_and_loads_no_langchain():
    code = (
        "import sys; sys.argv=['llmops', '--help']\n"
        "from langchain_llmops.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('langchain_core', 'faiss'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in ("demo", "provider", "doctor"))
    assert done.stdout.rstrip().endswith("[]")

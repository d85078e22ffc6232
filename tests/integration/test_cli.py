"""`llmops` as a process: bad input is one line and exit 2, Ctrl-C is 130."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

LLMOPS = str(Path(sys.executable).with_name("llmops"))


@pytest.fixture
def llmops(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [LLMOPS, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "80"},
            check=False,
            timeout=50,
        )

    return run


@contextmanager
def started(*arguments, cwd):
    """Start `llmops` in a process group of its own, so that Ctrl-C hits it alone."""
    process = subprocess.Popen(
        [LLMOPS, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | {"COLUMNS": "80", "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def assert_one_line(done, *parts):
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_a_malformed_question_row_is_named(llmops, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"question": "Why?"}\n{"frage": "Warum?"}\n')
    done = llmops("demo", "--questions", "log.jsonl")
    assert_one_line(done, "log.jsonl:2: unknown column 'frage'")
    assert not (tmp_path / "reports").exists()


def test_unreadable_documents_are_named(llmops, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "old.txt").write_bytes(b"na\xefve")
    (tmp_path / "log.jsonl").write_text('{"question": "Why?"}\n')
    done = llmops("demo", "--docs", "docs", "--questions", "log.jsonl")
    assert_one_line(done, "old.txt (not UTF-8 at byte 2)")


def test_a_corrupt_cache_file_is_named_before_anything_runs(llmops, tmp_path):
    (tmp_path / "cache.db").write_bytes(b"This is no database at all. " * 400)
    done = llmops("demo", "--limit", 2, "--cache", "cache.db")
    assert_one_line(done, "cache.db")
    assert "before" not in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_report_that_cannot_be_written_is_named(llmops, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    done = llmops("demo", "--limit", 2, "--report", "locked/demo.html")
    assert_one_line(done, "locked", "Permission denied")


def test_a_report_below_a_file_is_refused(llmops, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = llmops("demo", "--limit", 2, "--report", "file/demo.html")
    assert_one_line(done, "file")
    assert "before" not in done.stdout


def test_a_folder_in_place_of_the_report_is_refused(llmops, tmp_path):
    (tmp_path / "demo.html").mkdir()
    done = llmops("demo", "--limit", 2, "--report", "demo.html")
    assert_one_line(done, "'demo.html' (Is a directory)")


def test_real_needs_a_key(llmops):
    assert_one_line(llmops("demo", "--real"), "OPENAI_API_KEY")


def test_a_server_that_is_not_there_is_told(llmops):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = llmops("demo", "--limit", 1, "--base-url", f"http://127.0.0.1:{port}/v1")
    assert_one_line(done, "Connection error", "--base-url")


def test_a_used_port_is_told(llmops):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_line(llmops("provider", "--port", port), str(port), "another port")


def test_doctor_finds_this_machine_fit(llmops):
    done = llmops("doctor")
    assert done.returncode == 0
    assert "langchain-core" in done.stdout


def test_the_provider_serves_until_ctrl_c_and_shows_its_invoice(tmp_path):
    with started("provider", "--port", 0, cwd=tmp_path) as process:
        base_url = process.stdout.readline().split()[-1]
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}
        reply = httpx.post(f"{base_url}/chat/completions", json=body)
        assert reply.status_code == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Stopped. 1 requests, 1 billed" in out
    assert err == ""

"""`llmops memory`: sessions are listed, and removed when they are over."""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmops.cli import app
from langchain_llmops.cli.memory import span
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory import ConversationStore


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["llmops", "memory", *arguments])
        with pytest.raises(SystemExit) as caught:
            app.main()
        return caught.value.code, capsys.readouterr()

    return run


@pytest.fixture
def url(tmp_path):
    """A store with an old session and a new one."""
    url = f"sqlite:///{tmp_path}/talk.db"
    old = ConversationStore(url, clock=lambda: 1_600_000_000)
    old.append("old [b]one[/b]", [HumanMessage("Hello"), HumanMessage("there")])
    old.close()
    new = ConversationStore(url)
    new.append("new", [HumanMessage("Hi")])
    new.close()
    return url


def test_sessions_are_listed_the_latest_first(run, url):
    code, out = run("list", url)
    lines = out.out.splitlines()
    assert code == 0
    assert lines[0].endswith("tokens  new")
    assert lines[1].startswith("2020-09-13 12:26        2 messages")
    assert lines[1].endswith("old [b]one[/b]")
    assert len(run("list", url, "--limit", "1")[1].out.splitlines()) == 1


def test_sessions_are_listed_for_programs(run, url):
    lines = run("list", url, "--json")[1].out.splitlines()
    assert [json.loads(line)["session"] for line in lines] == ["new", "old [b]one[/b]"]


def test_what_is_over_goes_and_what_is_idle_is_packed(run, url):
    assert run("expire", url, "--ttl", "30d")[1].out == "sessions removed: 1\n"
    again = run("expire", url, "--ttl", "30d", "--cold-after", "0h")
    assert again[1].out == "sessions removed: 0, packed: 1\n"
    store = ConversationStore(url)
    assert [head.session_id for head in store.list_sessions()] == ["new"]
    assert store.compact(timedelta(0)) == 0
    store.close()


def test_an_empty_store_has_no_sessions(run, url):
    run("expire", url, "--ttl", "0h")
    assert run("list", url)[1].out == "no sessions\n"


def test_a_store_that_is_not_there_is_not_made(run, tmp_path):
    path = tmp_path / "typo.db"
    code, out = run("list", f"sqlite:///{path}")
    assert code == 2
    assert "there is no file" in out.err
    assert not path.exists()
    assert "another process" in run("list", "memory://")[1].err


@pytest.mark.parametrize("text", ["30", "d", "1.5d", "-1d", "30 d", "30m"])
def test_a_duration_that_is_none_is_refused(text):
    with pytest.raises(ConfigurationError, match="no duration"):
        span("--ttl", text)


def test_durations_have_units():
    assert [span("--ttl", text) for text in ("12h", "30d", "8w")] == [
        timedelta(hours=12),
        timedelta(days=30),
        timedelta(weeks=8),
    ]

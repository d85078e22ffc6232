"""`llmops kb`: the same operations from a shell."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from langchain_llmops.cli.kb import app
from langchain_llmops.errors import ConfigurationError

MODULE = """
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_llmops import FaissStore, KnowledgeBaseSync

store = FaissStore(DeterministicFakeEmbedding(size=8))
base = KnowledgeBaseSync({"eu": store}, manifest="sqlite:///kb.db")
page = [Document("one", id="a"), Document("two", id="b")]


def load():
    return iter(page)


nothing = []
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "kb_of_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "kb_of_test", raising=False)

    def do(command, *rest):
        return CliRunner().invoke(app, [command, "kb_of_test:base", *rest])

    yield do
    if module := sys.modules.pop("kb_of_test", None):
        module.base.close()


def test_a_knowledge_base_from_plan_to_gc(run):
    planned = run("plan", "kb_of_test:load", "--limit", "1")
    assert "2 new" in planned.output
    assert "… and 1 more" in planned.output
    applied = run("apply", "kb_of_test:load")
    assert (applied.exit_code, "version 1" in applied.output) == (0, True)
    assert "eu: 2 documents as they should be" in run("verify").output
    sys.modules["kb_of_test"].store.delete(["a@1"])
    broken = run("verify", "--region", "eu")
    assert (broken.exit_code, "1 missing" in broken.output) == (1, True)
    assert "version 2" in run("apply", "kb_of_test:load", "--repair").output
    assert run("verify").exit_code == 0
    assert "version 2, 2 documents" in run("status").output
    assert "version 1" in run("rollback", "1").output
    assert "0 documents deleted" in run("gc").output


def test_the_guards_hold_here_too(run):
    run("apply", "kb_of_test:load")
    refused = run("apply", "kb_of_test:nothing")
    assert "all 2 documents would be deleted" in str(refused.exception)
    assert run("apply", "kb_of_test:nothing", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("kb_of_test", "is not module:name"),
        ("no_such_module_here:x", "no module 'no_such_module_here'"),
        ("kb_of_test:x", "has no 'x'"),
        ("kb_of_test:nothing", "name a KnowledgeBaseSync"),
    ],
)
def test_what_is_no_knowledge_base_is_refused(run, target, match):
    outcome = CliRunner().invoke(app, ["status", target])
    assert isinstance(outcome.exception, ConfigurationError)
    assert match in str(outcome.exception)

"""The main job, whole: as a newcomer runs it, against the local provider."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from langchain_llmops.testing import HttpFailure

LLMOPS = str(Path(sys.executable).with_name("llmops"))


def command(*arguments):
    return [LLMOPS, "demo", *map(str, arguments)]


def run_in(folder, arguments, timeout_s=55):
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"COLUMNS": "80"},
        check=False,
        timeout=timeout_s,
    )


def calls_in(ledger):
    asked = [LLMOPS, "report", "--format", "json", "--ledger", str(ledger)]
    done = run_in(ledger.parent, asked)
    return json.loads(done.stdout)["total"]["calls"] if done.stdout else 0


@pytest.fixture
def demo(tmp_path):
    def run(*arguments, **options):
        return run_in(tmp_path, command(*arguments), **options)

    return run


def test_a_short_run_answers_prints_and_writes_its_report(demo, tmp_path):
    done = demo("--limit", 12)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Calls that reached the model" in done.stdout
    assert "Latency is simulated" in done.stdout
    assert "+ model = with_layers(model, CacheLayer(cache))" in done.stdout
    # Whether a near pair came up in time depends on who was answered first.
    assert re.search("Shadow mode, the first (8|12) questions", done.stdout)
    assert "only exact hits were served to the end" in " ".join(done.stdout.split())
    assert "\r" not in done.stdout  # no bar where nobody watches
    (report,) = (tmp_path / "reports").glob("*.html")
    assert f"Report: reports/{report.name}" in done.stdout
    page = report.read_text(encoding="utf-8")
    assert "http" not in re.sub(
        r"<(td|details|summary)>.*?</\1>", "", page, flags=re.DOTALL
    )
    assert page.count('data-tags="all') == 12


def test_figures_are_printed_as_json_and_equal_the_invoice(demo):
    done = demo("--limit", 12, "--json", "--report", "r.html")
    found = json.loads(done.stdout)
    figures = found["figures"]
    assert done.returncode == 0
    assert found["counted_equals_invoice"]
    for arm in ("before", "after"):
        assert figures["answers"][arm] == 12
        assert Decimal(figures["usd"][arm]) == Decimal(figures["invoice_usd"][arm]) > 0
    assert figures["calls"]["before"] == 12
    assert (found["report"], found["ledger"]) == ("r.html", "r.db")
    for chapter in found["chapters"].values():
        assert not chapter["skipped"], chapter["note"]


def test_the_ledger_of_a_run_has_every_call(demo, tmp_path):
    done = demo("--limit", 12, "--report", "r.html", "--ledger", "books of mine.db")
    (line,) = (each for each in done.stdout.splitlines() if "llmops report" in each)
    asked = shlex.split(line)
    assert asked[-2:] == ["--ledger", "books of mine.db"]
    asked = [LLMOPS, *asked[1:]]
    table = run_in(tmp_path, asked).stdout
    assert max(map(len, table.splitlines())) <= 80
    assert "demo before" in table
    groups = json.loads(run_in(tmp_path, [*asked, "--format", "json"]).stdout)["groups"]
    figures = {group["feature"]: group for group in groups}
    before, after = figures["demo before"], figures["demo after"]
    assert before["calls"] == 12
    assert after["calls"] + after["cache_hits"] == 12
    assert Decimal(before["usd"]) > 0
    chapters = {"routing", "routing alone", "memory", "memory whole", "knowledge"}
    assert {f"demo {name}" for name in chapters} <= figures.keys()


def test_a_file_that_can_be_no_ledger_is_told_before_anything_is_asked(demo, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = demo("--ledger", "notes.txt")
    assert done.returncode == 2
    assert "'notes.txt' is not a usable SQLite database" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert list((tmp_path / "reports").iterdir()) == []


def test_own_documents_and_questions_without_labels(demo, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "cats.md").write_text("Cats sleep for fifteen hours a day.")
    (tmp_path / "docs" / "dogs.md").write_text("Dogs need to be walked every morning.")
    rows = [
        "How long do cats sleep?",
        "When are dogs walked?",
        "How long do cats sleep?",
    ]
    (tmp_path / "log.jsonl").write_text(
        "\n".join(json.dumps({"question": text}) for text in rows)
    )
    arguments = ("--docs", "docs", "--questions", "log.jsonl", "--concurrency", 1)
    done = demo(*arguments, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["figures"]["retrieval_accuracy"] == {"before": None, "after": None}
    assert found["figures"]["false_hits"]["after"] is None
    assert found["figures"]["calls"] == {"before": 3, "after": 2}
    assert found["repeat_share"] == pytest.approx(1 / 3)


def test_a_kept_cache_answers_the_next_run(demo):
    arguments = ("--limit", 3, "--cache", "answers.sqlite3", "--json")
    first = json.loads(demo(*arguments).stdout)
    second = json.loads(demo(*arguments).stdout)
    assert first["figures"]["calls"]["after"] == 3
    assert second["figures"]["calls"] == {"before": 3, "after": 0}


def test_ctrl_c_says_how_far_it_got_and_leaves_nothing_half_done(tmp_path):
    earlier = tmp_path / "out" / "demo.html"
    earlier.parent.mkdir()
    earlier.write_text("an earlier report")
    ledger = earlier.with_suffix(".db")
    process = subprocess.Popen(
        command("--limit", 200, "--concurrency", 2, "--report", "out/demo.html"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "80", "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 45
        while not list(tmp_path.glob("llmops-demo-*/documents/store.json")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        while not calls_in(ledger):  # into the first arm
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert re.search(r"Stopped\. before: \d+ of 200 questions answered", out)
    assert err == ""
    assert set(earlier.parent.iterdir()) == {earlier, ledger}
    assert calls_in(ledger) > 0  # what was spent stays on the books
    assert earlier.read_text() == "an earlier report"
    assert not list(tmp_path.glob("llmops-demo-*"))


def test_an_answer_that_does_not_arrive_is_told_and_exit_code_1(demo, provider):
    refused = HttpFailure(status=400, message="No.", endpoint="chat", nth={2})
    provider.inject(refused)
    done = demo("--limit", 4, "--concurrency", 1, "--base-url", provider.base_url)
    assert done.returncode == 1, done.stderr
    told = " ".join(done.stdout.split())
    assert "Answers that did not arrive: 1. The first: OpenAIInvalidRequest" in told
    assert "Latency is simulated" not in done.stdout
    assert "invoice" not in done.stdout
    assert told.count("Skipped: its calls may cost more") == 3
    assert len(provider.invoice) < 20  # the chapters asked nothing


def test_the_ceiling_ends_both_arms_at_the_same_question(demo, provider):
    done = demo(
        *("--limit", 40, "--max-usd", "0.008", "--base-url", provider.base_url),
        *("--json", "--report", "r.html"),
    )
    assert done.returncode == 1, done.stderr
    answers = json.loads(done.stdout)["figures"]["answers"]
    assert 0 < answers["before"] == answers["after"] < 40
    assert (
        f"--max-usd 0.008 ended 'before' after {answers['before']} of 40"
        in " ".join(done.stderr.split())
    )
    assert provider.invoiced_usd <= Decimal("0.008")


@pytest.mark.timeout(250)
def test_the_shipped_log_has_no_false_hit_and_costs_less(demo):
    done = demo("--json", "--report", "r.html", timeout_s=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    figures = found["figures"]
    assert found["false_hits"] == []
    assert found["counted_equals_invoice"]
    assert figures["answers"]["before"] == figures["answers"]["after"] > 280
    cached = figures["exact_hits"]["after"] + figures["semantic_hits"]["after"]
    assert figures["calls"]["after"] == figures["calls"]["before"] - cached
    assert cached >= 30
    shadow = found["shadow"]
    assert shadow["asked"] == round(figures["answers"]["after"] * 2 / 3)
    assert shadow["right"] == shadow["would_serve"] > 0
    # Whether that is proof enough depends on a pair or two that timing decides.
    assert shadow["abstains"] == (figures["semantic_hits"]["after"] == 0)
    saved = Decimal(figures["usd_saved"]["after"])
    assert saved == Decimal(figures["usd"]["before"]) - Decimal(figures["usd"]["after"])
    assert Decimal(figures["usd"]["after"]) < Decimal(figures["usd"]["before"])
    assert figures["retrieval_accuracy"]["after"] > 0.75
    _check_chapters(found["chapters"])


def _check_chapters(chapters):
    routing, memory, knowledge = (
        chapters[key]["figures"] for key in ("routing", "memory", "knowledge")
    )
    assert routing["strong"]["before"] == routing["questions"]["before"]
    assert 0 < routing["strong"]["after"] < routing["strong"]["before"]
    assert Decimal(routing["usd"]["after"]) < Decimal(routing["usd"]["before"])
    assert routing["right"]["after"] == routing["right"]["before"] > 0
    # While the strong model is down, the router answers all the same.
    assert routing["late_answers"] == {"before": 0, "after": routing["late"]["after"]}
    assert memory["right"]["after"] >= memory["right"]["before"] > 0
    assert memory["input_tokens"]["after"] < 0.8 * memory["input_tokens"]["before"]
    assert knowledge["written"]["after"] == 1
    assert knowledge["embedded"]["after"] < knowledge["embedded"]["before"] / 100
    assert knowledge["cached"]["before"] == knowledge["asked"]["before"]
    assert knowledge["cached"]["after"] == 0
    assert knowledge["old_sentence"]["before"] >= 1
    assert knowledge["old_sentence"]["after"] == 0
    assert knowledge["new_sentence"] == {
        "before": 0,
        "after": knowledge["old_sentence"]["before"],
    }

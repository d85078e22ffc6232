"""`llmops report` as a process: 80 columns, CSV, JSON, and errors in one line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

from langchain_llmops.cost import Charge, UsageLedger
from langchain_llmops.pricing import Usage

LLMOPS = str(Path(sys.executable).with_name("llmops"))
MODELS = ("gpt-4o-mini", "claude-sonnet-4-5-20250929")
FEATURES = ("answer", "summarise-long-documents")


def charge(number, **changes):
    known = {
        "model": MODELS[number % 2],
        "feature": FEATURES[number // 2 % 2],
        "basis": "reported",
        "usage": Usage(123_456, 1_234),
        "cost": 10**24 * 12,
        "started_at": time.time() - 86_400 * (number % 20),
    }
    return Charge(run_id=uuid.uuid4(), **{**known, **changes})


@pytest.fixture
def report(tmp_path):
    with UsageLedger(tmp_path / "llmops.db") as ledger:
        for number in range(40):
            ledger.record(charge(number))
        ledger.record(charge(0, basis="cached", cost=0, saved=10**24, usage=Usage()))
        ledger.record(charge(0, basis="unsettled", cost=0, usage=Usage()))
        ledger.record(charge(0, basis="estimated", error="GeneratorExit"))

    def run(*arguments):
        return subprocess.run(
            [LLMOPS, "report", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "80"},
            check=False,
            timeout=60,
        )

    return run


def test_a_table_fits_80_columns_and_cuts_no_figure(report):
    done = report("--by", "feature,model", "--since", "60d")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    (total,) = (line for line in lines if line.lstrip().startswith("total"))
    assert total.split() == [
        "total", "42", "5.1M", "50.6k", "492.00", "12.00000", "12.00", "1.00",
    ]  # fmt: skip
    assert "Not exact: 1 estimated, 1 unsettled" in done.stdout
    assert "Caches gave 1 answers (2%) and saved 1.00 USD" in done.stdout
    assert "the month will cost" in done.stdout


def test_csv_is_exact(report):
    done = report("--by=model", "--format=csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert {row["model"] for row in rows} == set(MODELS)
    assert sum(Decimal(row["usd"]) for row in rows) == 492
    assert sum(int(row["calls"]) for row in rows) == 42


def test_json_has_series_trend_and_forecast(report):
    done = report("--by=feature", "--format=json", "--timeframe=weekly")
    said = json.loads(done.stdout)
    assert said["total"]["usd"] == "492"
    assert {group["feature"] for group in said["groups"]} == set(FEATURES)
    assert sum(each["calls"] for each in said["series"]) == 42
    assert said["trend"]["days"] == 19
    assert set(said["forecast"]) == {"month_ends", "spent", "expected", "low", "high"}


def test_a_window_leaves_out_what_is_outside(report):
    done = report("--by=", "--since=2d", "--until=2030-01-01", "--format=json")
    assert 0 < json.loads(done.stdout)["total"]["calls"] < 42
    assert "from 2030-01-01" in report("--since=2030-01-01").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ledger=none.db"], "there is no ledger 'none.db'"),
        (["--ledger=sqlite:///none.db"], "there is no ledger 'none.db'"),
        (["--ledger=mysql://x/y"], "neither SQLite nor PostgreSQL"),
        (["--ledger=notes.txt"], "not a usable SQLite database"),
        (["--ledger=empty.db"], "there is no ledger in"),
        (["--since=yesterday"], "'yesterday' is no time: give 7d"),
        (["--format=xml"], "--format 'xml': choose from table, csv, json"),
        (["--by=colour"], "cannot break down by ('colour',)"),
        (["--timeframe=yearly"], "timeframe='yearly'"),
        (["--since=1d", "--until=9d"], "swap them"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(report, tmp_path, arguments, says):
    (tmp_path / "notes.txt").write_text("no database " * 200)
    (tmp_path / "empty.db").touch()
    done = report(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none.db").exists()

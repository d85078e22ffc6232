"""The comparison's lines, and how people read them."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from langchain_llmops.cli.demo.results import Figure, figures
from langchain_llmops.cli.demo.table import comparison_table
from langchain_llmops.cli.demo.wording import (
    change,
    headline,
    repeat_note,
    shown,
    simulation_note,
)


@pytest.fixture
def repeated(question, turn, arm, billed, comparison):
    """Two questions, of which the second came out of the cache in the second arm."""
    first = question("a")
    again = question("b", meaning="a", of="a", kind="repeat", said_before=True)
    slow = {"ttft_s": 1.0, "latency_s": 2.0}
    before = [turn(first, **slow), turn(again, **slow)]
    after = [turn(first, **slow), turn(again, hit="exact", ttft_s=0.5)]
    full, half = billed(2, Decimal("0.5")), billed(1, Decimal("0.25"))
    return comparison(
        questions=[first, again],
        before=arm("before", before, counted=full, invoiced=full),
        after=arm("after", after, counted=half, invoiced=half),
        simulated="slowly",
    )


def by_key(comparison):
    return {one.key: (one.before, one.after) for one in figures(comparison)}


def test_figures_put_both_arms_side_by_side(repeated):
    lines = by_key(repeated)
    assert lines["answers"] == (2, 2)
    assert lines["calls"] == (2, 1)
    assert lines["usd"] == lines["invoice_usd"] == (Decimal("0.5"), Decimal("0.25"))
    assert lines["ttft_p50_s"] == (1.0, 0.75)
    assert lines["ttft_cached_p50_s"] == (None, 0.5)
    assert lines["usd_saved"] == (0, Decimal("0.25"))
    assert lines["exact_hits"] == (0, 1)
    assert lines["hit_rate"] == (0, 0.5)
    assert lines["false_hits"] == (0, 0)
    assert lines["retrieval_accuracy"] == (None, None)


def test_without_an_invoice_there_are_no_lines_for_it(comparison):
    assert not {"invoice_usd", "embedding_usd"} & by_key(comparison()).keys()


def test_a_failed_answer_counts_neither_as_answer_nor_in_times(turn, arm, comparison):
    turns = [turn(ttft_s=0.5), turn(error="broken", ttft_s=9.0)]
    lines = by_key(comparison(after=arm("after", turns)))
    assert lines["answers"] == (1, 1)
    assert lines["ttft_p50_s"][1] == 0.5


def test_without_prices_nobody_knows_what_was_saved(comparison):
    assert by_key(comparison())["usd_saved"] == (None, None)


def test_complete_and_settled(turn, arm, billed, comparison, repeated):
    assert repeated.complete
    assert repeated.settled
    assert not comparison(after=arm("after", [turn(error="broken")])).complete
    assert comparison().settled  # nothing to compare with
    assert not comparison(after=arm(counted=billed(2), invoiced=billed(3))).settled


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12345, "count", "12,345"),
        (Decimal("0.01234567"), "usd", "$0.0123"),
        (0.816, "share", "82%"),
        (1.234, "seconds", "1.23 s"),
        (None, "usd", "n/a"),
        (0, "count", "0"),
    ],
)
def test_numbers_are_shown_with_their_units(value, unit, text):
    assert shown(value, unit) == text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100, 75, "\N{MINUS SIGN}25 %"),
        (100, 110, "+10 %"),
        (100, 100, "="),
        (0, 5, ""),
        (None, 5, ""),
        (5, None, ""),
    ],
)
def test_changes_are_shown_where_they_say_something(before, after, text):
    figure = Figure(key="k", label="l", unit="count", before=before, after=after)
    assert change(figure) == text


def test_sentences_say_what_it_comes_to(repeated, comparison):
    assert headline(repeated) == (
        "1 of 2 answers came from the cache and cut the bill by 50%."
    )
    assert headline(comparison()) == "0 of 1 answers came from the cache."
    assert repeat_note(repeated).startswith(
        "50% of this log asks what was asked before, 50% in the same words."
    )
    assert "slowly" in simulation_note(repeated)
    assert simulation_note(comparison()) is None


def test_the_table_fits_80_columns(repeated):
    out = StringIO()
    Console(file=out, width=80).print(comparison_table(repeated))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    (calls,) = [line for line in lines if "Calls that reached" in line]
    assert calls.split()[-4:] == ["2", "1", "\N{MINUS SIGN}50", "%"]
    assert len([line for line in lines if line.strip()]) == 1 + len(figures(repeated))

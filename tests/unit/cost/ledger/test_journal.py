"""What a killed process left behind is brought in once, whole rows only."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cost.ledger.journal import Journal, _line, _row, recover
from langchain_llmops.cost.ledger.rows import row_of
from langchain_llmops.pricing import Prices


@pytest.fixture
def died(tmp_path, charge):
    """Leave rows as a process does that was killed: nothing removed, no lock held."""

    def leave(*numbers):
        journal = Journal(tmp_path)
        for number in numbers:
            journal.append(row_of(charge(number)))
        journal.abandon()

    return leave


def test_rows_of_the_dead_are_brought_in_once(tmp_path, died, charge):
    died(1, 2)
    died(3)
    found = []
    assert recover(tmp_path, found.extend) == 3
    assert sorted(row.run_id for row in found) == [
        charge(number).run_id.bytes for number in (1, 2, 3)
    ]
    assert recover(tmp_path, found.extend) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_keeps_its_own(tmp_path, charge):
    journal = Journal(tmp_path)
    journal.append(row_of(charge()))
    assert recover(tmp_path, pytest.fail) == 0
    journal.cut()
    assert recover(tmp_path, pytest.fail) == 0
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_written_yet_stay(tmp_path, died):
    died(1)

    def refuse(rows):
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the one above, as it was
        recover(tmp_path, refuse)
    assert recover(tmp_path, lambda rows: None) == 1


def test_a_row_that_was_cut_off_never_was(tmp_path, died):
    died(1, 2, 3)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert recover(tmp_path, lambda rows: None) == 2


def test_rows_behind_one_that_was_cut_off_are_whole(tmp_path, charge, monkeypatch):
    journal, real = Journal(tmp_path), os.write
    journal.append(row_of(charge(1)))
    monkeypatch.setattr(os, "write", lambda fd, line: real(fd, line[:20]))
    with pytest.raises(OSError, match="cut off"):
        journal.append(row_of(charge(2)))
    monkeypatch.setattr(os, "write", real)
    journal.append(row_of(charge(3)))
    journal.abandon()
    found = []
    recover(tmp_path, found.extend)
    assert [row.run_id for row in found] == [charge(n).run_id.bytes for n in (1, 3)]


def test_a_full_disk_is_told(tmp_path, charge, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal(tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        journal.append(row_of(charge()))
    journal.abandon()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert recover(tmp_path / "none", pytest.fail) == 0


def test_a_line_reads_back_as_its_row_and_no_part_of_it_does(charges):
    sheet = Prices().sheet(("gpt-4o",))

    @given(charges, st.data())
    def check(charge, data):
        row = row_of(charge)
        line = _line(row)
        assert _row(line) == row
        assert b"\n" not in line
        cut = data.draw(st.integers(0, len(line) - 1))
        assert _row(line[:cut]) is None

    check()
    assert sheet is not None


@given(st.binary(max_size=60))
def test_garbage_is_no_row(line):
    assert _row(line) is None

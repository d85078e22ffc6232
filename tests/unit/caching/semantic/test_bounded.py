"""What a cache remembers on the side stays bounded, and what is out stays out."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from langchain_llmops.caching.semantic.absences import Absences
from langchain_llmops.caching.semantic.index import QuestionIndex
from langchain_llmops.caching.semantic.renewals import Renewals

FOLDER = "langchain_llmops.caching.semantic"


@pytest.fixture
def questions(clock):
    return QuestionIndex(max_entries=100, path=None, clock=clock)


def test_the_oldest_absence_is_forgotten_first(clock, monkeypatch):
    monkeypatch.setattr(f"{FOLDER}.absences._REMEMBERED", 2)
    absences = Absences(clock)
    for key in "abc":
        assert not absences.missing(key)
    clock.now += 31
    assert [absences.missing(key) for key in "bca"] == [True, True, False]


def test_an_answer_that_came_back_was_never_missing(clock):
    absences = Absences(clock)
    absences.missing("a")
    clock.now += 31
    absences.present("a")
    assert not absences.missing("a")


def test_renewals_that_never_end_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(f"{FOLDER}.renewals._AT_ONCE", 2)
    renewals = Renewals()
    for key in "abc":
        renewals.begin(key, f"stale {key}")
    assert [renewals.end(key) for key in "abcc"] == [[], [], ["stale c"], []]


def test_a_question_renewed_in_its_own_wording_stays():
    renewals = Renewals()
    renewals.begin("a", "a")
    assert renewals.end("a") == []


def test_a_quarantined_question_is_not_added_again(questions):
    vector = np.array([1.0, 0.0], np.float32)
    questions.bind("model")
    questions.add("p", "k", "a question", vector)
    questions.quarantine("k")
    questions.add("p", "k", "a question", vector)
    assert questions.knows("k")
    assert questions.search("p", vector, floor=0.0) == []
    assert questions.counts().entries == 0


async def test_a_search_among_very_many_leaves_the_event_loop(questions, monkeypatch):
    vector = np.array([1.0, 0.0], np.float32)
    questions.bind("model")
    questions.add("p", "k", "a question", vector)
    threads = []
    search = questions.search

    def watched(*args, **kwargs):
        threads.append(threading.current_thread())
        return search(*args, **kwargs)

    monkeypatch.setattr(questions, "search", watched)
    here = await questions.asearch("p", vector, floor=0.0)
    monkeypatch.setattr(f"{FOLDER}.index._INLINE_ENTRIES", 0)
    away = await questions.asearch("p", vector, floor=0.0)
    assert here == away
    assert threads[0] is threading.current_thread() is not threads[1]

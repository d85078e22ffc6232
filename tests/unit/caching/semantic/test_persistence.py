from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import SemanticCache, SQLiteTier, TieredCache
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.caching.semantic.index import LoggedQuestion, QuestionIndex
from langchain_llmops.caching.semantic.log import QuestionLog
from langchain_llmops.errors import ConfigurationError, StorageError

ASKED = "How do I sort a list of numbers in Python?"
ALIKE = "In Python, how do I sort a list of numbers?"


class Words(Embeddings):
    def __init__(self, model="words-1", width=256):
        self.model = model
        self.width = width
        self.asked = 0

    def embed_query(self, text):
        self.asked += 1
        vector = [0.0] * self.width
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % self.width] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


def asks(question):
    return CacheRequest(key=f"k {question}", partition="p", question=question, model="")


def answers(text="sorted(numbers)"):
    return [ChatGeneration(message=AIMessage(text))]


@pytest.fixture
def opened(tmp_path, clock):
    """Open caches over one file, as processes would; all are closed in the end."""
    caches = []

    def open_cache(embeddings=None, **kwargs):
        path = tmp_path / "cache.db"
        cache = SemanticCache(
            embeddings or Words(),
            tier=TieredCache([SQLiteTier(path)]),
            clock=clock,
            **kwargs,
        )
        caches.append(cache)
        return cache

    yield open_cache
    for cache in caches:
        cache.close()


def test_questions_survive_a_restart_without_being_embedded_again(opened):
    opened().put(asks(ASKED), answers())
    words = Words()
    later = opened(words)
    assert later.stats().entries == 1
    assert later.get(asks(ALIKE)).mark["kind"] == "semantic"
    assert words.asked == 1  # what was asked, not what was stored


def test_questions_go_into_the_file_of_the_tier_unless_told_otherwise(tmp_path):
    for path, kept in ((None, 1), (tmp_path / "questions.db", 0)):
        tier = TieredCache([SQLiteTier(tmp_path / f"{kept}.db")])
        with closing(SemanticCache(Words(), tier=tier, path=path)) as cache:
            cache.put(asks(ASKED), answers())
        with closing(SemanticCache(Words(), tier=tier)) as cache:
            assert cache.stats().entries == kept


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_question_learnt_in_one_process_is_served_in_the_other(
    opened, clock, on_loop
):
    one, other = opened(), opened()
    one.put(asks(ASKED), answers())
    assert other.get(asks(ALIKE)) is None  # it looked a moment ago
    clock.now += 1.1
    hit = asyncio.run(other.aget(asks(ALIKE))) if on_loop else other.get(asks(ALIKE))
    assert hit.mark["kind"] == "semantic"


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_quarantine_reaches_every_process_and_lasts(opened, clock, on_loop):
    one, other = opened(), opened()
    one.put(asks(ASKED), answers())
    clock.now += 1.1
    hit_id = other.get(asks(ALIKE)).mark["hit_id"]
    if on_loop:
        asyncio.run(other.afeedback(hit_id, correct=False))
    else:
        other.feedback(hit_id, correct=False)
    clock.now += 1.1
    assert one.get(asks(ALIKE)) is None
    one.put(asks(ASKED), answers())
    assert opened().get(asks(ALIKE)) is None


def test_vectors_of_another_model_are_never_compared(opened):
    opened(Words("words-1")).put(asks(ASKED), answers())
    other = opened(Words("words-2"))
    assert other.stats().entries == 0
    assert other.get(asks(ALIKE)) is None


def test_a_model_that_changed_its_width_under_its_name_starts_anew(opened, clock):
    opened(Words(width=256)).put(asks(ASKED), answers("old"))
    changed = opened(Words(width=128))
    assert changed.get(asks(ALIKE)) is None
    assert changed.put(asks(f"{ASKED} "), answers("new"))
    assert changed.get(asks(ALIKE)).generations[0].text == "new"
    later = opened(Words(width=128))  # finds questions of both widths in the file
    assert later.get(asks(ALIKE)) is None
    clock.now += 1.1
    assert later.get(asks(ALIKE)).generations[0].text == "new"
    assert later.stats().log_errors == changed.stats().embedding_errors == 0


def test_a_file_that_cannot_be_read_any_more_never_fails_a_call(
    opened, tmp_path, clock
):
    cache = opened()
    cache.put(asks(ASKED), answers())
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        connection.execute("DROP TABLE llmops_questions")
    clock.now += 1.1
    assert cache.get(asks(ALIKE)).mark["kind"] == "semantic"
    assert cache.stats().log_errors == 1


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_cleared_cache_is_empty_after_a_restart(opened, on_loop):
    cache = opened()
    cache.put(asks(ASKED), answers())
    if on_loop:
        asyncio.run(cache.aclear())
    else:
        cache.clear()
    assert opened().stats().entries == 0


def test_questions_that_leave_memory_leave_the_file(opened):
    cache = opened(max_entries=2)
    for name in ("apples", "bridges", "candles"):
        cache.put(asks(f"What are {name} made of?"), answers(name))
    assert opened().stats().entries == 2


def test_a_lost_answer_takes_its_question_out_of_the_file(opened, clock):
    cache = opened()
    cache.put(asks(ASKED), answers())
    cache.tier.clear()
    cache.get(asks(ALIKE))
    clock.now += 31
    asyncio.run(cache.aget(asks(ALIKE)))
    assert cache.stats().lost == 1
    assert opened().stats().entries == 0


def test_a_damaged_file_never_fails_a_call(opened, tmp_path, caplog):
    cache = opened()
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        connection.execute("DROP TABLE llmops_questions")
    with caplog.at_level(logging.WARNING):
        assert cache.put(asks(ASKED), answers())
        assert cache.get(asks(ALIKE)).mark["kind"] == "semantic"
        cache.feedback("k", correct=False)
        cache.clear()
    assert cache.stats().log_errors >= 3
    assert len(caplog.records) == 1


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StorageError, match=r"notes\.txt"):
        SemanticCache(Words(), path=path)


def test_two_places_for_questions_are_refused(tmp_path, clock):
    questions = QuestionIndex(max_entries=9, path=None, clock=clock)
    with pytest.raises(ConfigurationError, match="two places for the same"):
        SemanticCache(Words(), path=tmp_path / "q.db", questions=questions)


def test_questions_of_one_model_are_no_use_to_another(clock):
    questions = QuestionIndex(max_entries=9, path=None, clock=clock)
    SemanticCache(Words("words-1"), questions=questions).put(asks(ASKED), answers())
    assert SemanticCache(Words("words-1"), questions=questions).stats().entries == 1
    with pytest.raises(ConfigurationError, match="give each embedding model its own"):
        SemanticCache(Words("words-2"), questions=questions)


def row(number, **changes):
    values = {
        "key": str(number),
        "partition": "p",
        "question": f"question {number}",
        "vector": np.array([1.0, number], np.float32),
        "quarantined": False,
    }
    return LoggedQuestion(**{**values, **changes})


def test_the_log_tells_each_reader_what_is_new(tmp_path):
    logs = [QuestionLog(tmp_path / "q.db", embedding="e", max_entries=9) for _ in "ab"]
    one, other = logs
    one.append(row(1))
    other.append(row(2, quarantined=True))
    assert [(r.key, r.quarantined) for r in one.news()] == [("1", False), ("2", True)]
    assert list(one.news()) == []
    one.append(row(1, question="again"))
    found = list(other.news())
    assert [r.question for r in found] == ["question 2", "again"]
    assert found[1].vector.tolist() == [1.0, 1.0]
    one.forget([str(n) for n in range(2_000)])
    assert (
        list(QuestionLog(tmp_path / "q.db", embedding="e", max_entries=9).news()) == []
    )
    for log in logs:
        log.close()


def test_the_log_keeps_the_latest_questions_of_each_model(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_llmops.caching.semantic.log._SWEEP_EVERY", 1)
    log = QuestionLog(tmp_path / "q.db", embedding="e", max_entries=3)
    neighbour = QuestionLog(tmp_path / "q.db", embedding="f", max_entries=3)
    neighbour.append(row(99))
    for number in range(6):
        log.append(row(number))
    assert [r.key for r in log.news()] == ["3", "4", "5"]
    assert [r.key for r in neighbour.news()] == ["99"]
    log.close()
    neighbour.close()

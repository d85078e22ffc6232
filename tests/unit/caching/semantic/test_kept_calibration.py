from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from langchain_llmops import SemanticCache
from langchain_llmops.caching import Calibration, semantic
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.caching.semantic.boosting import fit_trees
from langchain_llmops.caching.semantic.features import FEATURES
from langchain_llmops.caching.semantic.judge import RULES_VERSION
from langchain_llmops.errors import ConfigurationError

NEAR = ("0 house", "0.2 house")


class Table(Embeddings):
    """A question named "n …" lies at angle n."""

    def __init__(self, model="table"):
        self.model = model

    def embed_query(self, text):
        angle = float(text.split()[0])
        return [np.cos(angle), np.sin(angle)]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


def labelled(count=350, near=0.3):
    names = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(count)]
    return [
        (f"0 house {name}", f"{n / count} house {name}", n / count < near)
        for n, name in enumerate(names)
    ]


def looks_up(cache):
    cache.get(CacheRequest(key="k", partition="p", question="9 towers", model=None))


@pytest.fixture
def opened(tmp_path, clock):
    """Open caches over one file, as processes would; all are closed in the end."""
    caches = []

    def open_cache(model="table", *, rate=0.1, guards=(), **kwargs):
        cache = SemanticCache(
            Table(model),
            max_false_hit_rate=rate,
            guards=guards,
            path=tmp_path / "questions.db",
            clock=clock,
            **kwargs,
        )
        caches.append(cache)
        return cache

    yield open_cache
    for cache in caches:
        cache.close()


@pytest.fixture
def proven():
    cache = SemanticCache(Table(), max_false_hit_rate=0.1, guards=())
    return cache.calibrate(labelled())


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_calibration_survives_a_restart(opened, on_loop):
    cache = opened()
    if on_loop:
        found = asyncio.run(cache.acalibrate(labelled()))
    else:
        found = cache.calibrate(labelled())
    later = opened()
    assert later.stats().calibration == found
    assert later.same(*NEAR)
    assert not later.same("0 house", "0.5 house")
    cache.clear()
    assert opened().same(*NEAR)


@pytest.mark.parametrize("on_loop", [False, True])
def test_other_processes_take_it_up_with_their_next_lookup(opened, clock, on_loop):
    one, other = opened(), opened()
    one.calibrate(labelled())
    request = CacheRequest(key="k", partition="p", question="9 towers", model=None)
    clock.now += 1.1
    if on_loop:
        asyncio.run(other.aget(request))
    else:
        other.get(request)
    assert other.same(*NEAR)
    # The latest counts, also where it proves less.
    other.calibrate(labelled(20))
    clock.now += 1.1
    looks_up(one)
    assert one.stats().calibration.abstains
    assert not one.same(*NEAR)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guards": (lambda a, b: None,)}, "made with 'guards none'"),
        ({"verifier": lambda a, b, s: s}, "made with 'verifier none'"),
        ({"rate": 0.01}, "proves max_false_hit_rate=0.1, and the cache asks for 0.01"),
    ],
)
def test_a_calibration_that_does_not_hold_here_is_ignored_and_said_once(
    opened, clock, caplog, changes, message
):
    first = opened()
    first.calibrate(labelled())
    with caplog.at_level(logging.WARNING):
        cache = opened(**changes)
        first.calibrate(labelled(349))
        clock.now += 1.1
        looks_up(cache)
    assert [message in record.getMessage() for record in caplog.records] == [True]
    assert cache.stats().ignored_calibrations == 2
    assert not cache.same(*NEAR)


def test_each_embedding_model_has_its_own(opened):
    opened("one").calibrate(labelled())
    assert opened("two").stats().calibration is None
    assert opened("one").same(*NEAR)


def test_a_calibration_that_proves_no_rate_is_not_kept(opened):
    opened(rate=None).calibrate(labelled())
    assert opened().stats().calibration is None
    opened().calibrate(labelled())
    cache = opened(rate=None)  # goes by its own threshold
    assert (cache.stats().calibration, cache.stats().ignored_calibrations) == (None, 0)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '"text"',
        '{"format": "langchain-llmops calibration", "version": 2}',
    ],
)
def test_a_damaged_record_is_counted_and_logged_and_fails_nothing(
    opened, tmp_path, caplog, damage
):
    opened().calibrate(labelled())
    with closing(sqlite3.connect(tmp_path / "questions.db")) as connection:
        connection.execute(
            "UPDATE llmops_question_calibrations SET record = ?", (damage,)
        )
        connection.commit()
    with caplog.at_level(logging.WARNING):
        cache = opened()
        looks_up(cache)
    assert (cache.stats().calibration, cache.stats().ignored_calibrations) == (None, 1)
    assert len(caplog.records) == 1
    assert "calibrate again" in caplog.text
    assert not cache.same(*NEAR)


def test_a_file_that_cannot_be_written_leaves_it_in_this_process(opened, tmp_path):
    cache = opened()
    with closing(sqlite3.connect(tmp_path / "questions.db")) as connection:
        connection.execute("DROP TABLE llmops_question_calibrations")
    cache.calibrate(labelled())
    assert cache.same(*NEAR)
    assert cache.stats().log_errors == 1


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_calibration_made_elsewhere_is_served_and_kept(opened, proven, on_loop):
    text = proven.to_json()
    cache = opened()
    restored = Calibration.from_json(text)
    if on_loop:
        asyncio.run(cache.ause_calibration(restored))
    else:
        cache.use_calibration(restored)
    assert cache.same(*NEAR)
    assert opened().same(*NEAR)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "other"}, "model=table', the cache has 'embeddings .*model=other'"),
        ({"rate": None}, "and the cache asks for None"),
        ({"rate": 0.05}, "and the cache asks for 0.05"),
    ],
)
def test_using_one_that_does_not_hold_is_refused(opened, proven, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        opened(**arguments).use_calibration(proven)


def test_one_that_proves_more_than_is_asked_is_welcome(opened, proven):
    cache = opened(rate=0.2)
    cache.use_calibration(proven)
    assert cache.same(*NEAR)


def trees():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, len(FEATURES)))
    rows[:, 3] = 1.0  # a constant feature leaves infinite cuts
    return fit_trees(rows, rows[:, 0] + rows[:, 1] > 0, trees=7), rows


def test_trees_score_the_same_after_a_round_trip(proven):
    fitted, rows = trees()
    text = replace(proven, score="trees", trees=fitted).to_json()
    json.loads(text, parse_constant=pytest.fail)  # strict JSON: no Infinity, no NaN
    restored = Calibration.from_json(text)
    assert restored.to_json() == text
    np.testing.assert_array_equal(
        restored.trees.probabilities(rows), fitted.probabilities(rows)
    )


RATES = st.floats(0, 1)
CALIBRATIONS = st.builds(
    Calibration,
    score=st.sampled_from(["cosine", "verifier"]),
    threshold=st.none() | RATES,
    floor=st.floats(-1, 1),
    max_false_hit_rate=st.none() | RATES,
    confidence=RATES,
    pairs=st.integers(0),
    served=st.integers(0),
    wrong=st.integers(0),
    low=RATES,
    high=RATES,
    recall=RATES,
    needed=st.integers(0),
    basis=st.text(),
)


@given(CALIBRATIONS)
def test_every_calibration_survives_a_round_trip(calibration):
    assert Calibration.from_json(calibration.to_json()) == calibration


@given(st.data())
def test_a_changed_record_is_never_used(data):
    fitted, _ = trees()
    record = json.loads(
        replace(data.draw(CALIBRATIONS), score="trees", trees=fitted).to_json()
    )
    name = data.draw(st.sampled_from([f.name for f in fields(Calibration)]))
    record["calibration"][name] = data.draw(
        st.sampled_from([-1.5, "x", [], {}, {"base": 0}])
    )
    with pytest.raises(ConfigurationError, match="changed since it was written"):
        Calibration.from_json(json.dumps(record))


def test_whoever_changes_how_questions_are_read_raises_the_version():
    """What was calibrated with other guards or features must not be used.

    If this fails: raise `RULES_VERSION` in judge.py if a decision or a feature can come
    out otherwise, then write the new digest here.
    """
    folder = Path(semantic.__file__).parent
    names = ("guard_text", "guard_words", "guards", "features", "question")
    source = b"".join((folder / f"{name}.py").read_bytes() for name in names)
    assert (RULES_VERSION, hashlib.sha256(source).hexdigest()[:16]) == (
        1,
        "4920d06cb8c25ed8",
    )

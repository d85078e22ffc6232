"""Shadow mode in the demo: labels, what they prove, and what is said of that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_llmops.caching import Calibration, ShadowHit
from langchain_llmops.cli.demo import chains
from langchain_llmops.cli.demo.cached import SHADOW_SHARE, Cached
from langchain_llmops.cli.demo.endpoints import Endpoint
from langchain_llmops.cli.demo.shadow import label, report
from langchain_llmops.cli.demo.wording import calibration_note, shadow_note
from langchain_llmops.retrieval import FaissStore

PROVEN = Calibration(
    score="cosine",
    threshold=0.9,
    floor=0.9,
    max_false_hit_rate=0.2,
    confidence=0.8,
    pairs=14,
    served=13,
    wrong=0,
    low=0.0,
    high=0.15,
    recall=1.0,
    needed=8,
)
UNPROVEN = replace(PROVEN, threshold=None, served=0, pairs=3)


def hit(question, stored, *, accepted=True, agreed=True):
    return ShadowHit(
        question=question,
        stored=stored,
        similarity=0.9,
        accepted=accepted,
        agreed=agreed,
    )


@pytest.fixture
def log(question):
    return [
        question("a", text="What is  a?"),
        question("b", text="Tell me what a is.", of="a", meaning="a"),
        question("c", text="What is c?", of="a", meaning="c"),
    ]


def test_a_pair_is_labelled_by_what_its_questions_mean(log):
    hits = [
        hit("Tell me what a is.", "What is a?", agreed=False),
        hit("What is c?", "What is a?"),
        hit("What is that?", "What is a?"),
    ]
    assert [same for _, _, same in label(hits, log)] == [True, False, False]


def test_without_labels_the_answers_decide(question):
    log = [question("a"), question("b")]
    hits = [hit("What is b?", "What is a?", agreed=agreed) for agreed in (True, False)]
    assert label(hits, log) == [
        ("What is b?", "What is a?", True),
        ("What is b?", "What is a?", False),
    ]
    assert not report(hits, log, calibration=None).labelled


def test_only_what_would_have_been_served_counts_as_right_or_wrong(log):
    hits = [
        hit("Tell me what a is.", "What is a?", agreed=False),
        hit("What is c?", "What is a?"),
        hit("Tell me what a is.", "What is a?", accepted=False),
    ]
    told = report(hits, log, calibration=None)
    assert (told.asked, told.near, told.would_serve) == (3, 3, 2)
    assert (told.right, told.agreed) == (1, 1)


def test_it_abstains_without_pairs_and_without_proof(shadow):
    assert shadow(calibration=None).abstains
    assert shadow(calibration=UNPROVEN).abstains
    assert not shadow(calibration=PROVEN).abstains


def test_the_notes_say_what_was_seen_and_proven(shadow):
    told = shadow(asked=211, near=14, would_serve=13, right=12, agreed=11)
    assert "13 of 14 near ones would have been given another's" in shadow_note(told)
    assert "rightly for 12; the model's own answer agreed for 11" in shadow_note(told)
    assert "labels" not in shadow_note(replace(told, labelled=False))
    assert shadow_note(shadow()).endswith("given another's answer.")
    assert "at most 20% of the hits are wrong (at 80%" in calibration_note(
        replace(told, calibration=PROVEN)
    )


def test_an_abstaining_cache_says_so_and_what_it_means(shadow):
    note = calibration_note(shadow(calibration=UNPROVEN))
    assert note.startswith("Calibration abstains: 3 labelled pairs do not prove")
    assert "only exact hits were served" in note
    assert "nothing to calibrate on" in calibration_note(shadow())


@pytest.fixture
def endpoint():
    return Endpoint(
        chat={"model": "m", "api_key": "none"}, embeddings={}, provider=None
    )


@pytest.fixture
def cached(tmp_path):
    embeddings = DeterministicFakeEmbedding(size=8)
    store = FaissStore(embeddings)
    store.add_documents([Document("text", id="t", metadata={"topic": "t"})])
    store.save(tmp_path / "documents")
    return embeddings, Cached(tmp_path / "documents", tmp_path / "cache.db")


def test_the_earlier_part_runs_in_shadow_and_the_rest_too_without_pairs(
    cached, endpoint, question
):
    embeddings, arm = cached
    log = [question(f"q{n}") for n in range(30)]
    (first, early), (second, late) = arm.parts(endpoint, embeddings, log)
    assert [*early, *late] == log
    assert len(early) == round(30 * SHADOW_SHARE)
    assert second is first
    assert arm.report().asked == 30
    assert arm.report().abstains


def test_labelled_pairs_make_a_chain_that_is_calibrated(
    cached, endpoint, question, monkeypatch
):
    embeddings, arm = cached
    log = [question(f"q{n}", of="q0" if n else None, meaning="q0") for n in range(30)]
    found = [hit(f"What is q{n}?", "What is q0?") for n in range(1, 4)]
    make = chains.shadowed

    def shadowed(*places):
        chain, cache = make(*places)
        monkeypatch.setattr(cache, "shadow_hits", lambda: found)
        return chain, cache

    monkeypatch.setattr(chains, "shadowed", shadowed)
    (first, _), (second, _) = arm.parts(endpoint, embeddings, log)
    told = arm.report()
    assert second is not first
    assert (told.asked, told.near, told.right) == (20, 3, 3)
    assert told.calibration.pairs == 3
    assert told.abstains  # three pairs prove nothing

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import DifficultyEstimator, RoutingRequest, learned
from langchain_llmops.routing.learning import gain_model

NEW = ["a big pig 99 fed", "no moon 99 on loop"]


@pytest.fixture
def fitted(embeddings, records):
    return learned(embeddings=embeddings, strong="large").fit(records)


def names(ranking):
    return [candidate.name for candidate in ranking.candidates]


def test_prompts_like_those_that_the_weak_model_failed_score_higher(fitted):
    easy, hard = fitted.scores(NEW)
    assert 0 <= easy < 0.5 < hard <= 1


def test_prompts_that_the_weak_model_does_better_score_lowest(embeddings, records):
    spoiled = [
        {"prompt": f"jkl {n} jkl", "weak": 1.0, "strong": 0.2} for n in range(40)
    ]
    policy = learned(embeddings=embeddings).fit(records + spoiled)
    spoiled_score, easy, hard = policy.scores(["jkl 99 jkl", *NEW])
    assert spoiled_score < easy < hard


def test_scores_are_shares_of_the_prompts_learnt_from(embeddings, records):
    policy = learned(embeddings=embeddings).fit(records)
    scores = np.array(policy.scores([record["prompt"] for record in records]))
    assert (scores > 0.5).mean() == pytest.approx(0.5, abs=0.1)


async def test_both_ways_learn_and_score_alike(embeddings, records, fitted):
    other = await learned(embeddings=embeddings).afit(iter(records))
    assert await other.ascores(NEW) == fitted.scores(NEW)
    assert await other.ascores(NEW * 10) == pytest.approx(fitted.scores(NEW * 10))
    assert fitted.scores([]) == await fitted.ascores([]) == []
    assert isinstance(fitted, DifficultyEstimator)
    assert fitted.estimator is fitted


def test_all_prompts_are_embedded_in_one_call(embeddings, records):
    policy = learned(embeddings=embeddings).fit(records)
    policy.scores(NEW)
    assert embeddings.calls == [80, 2]


async def test_an_unfitted_policy_says_what_to_do(embeddings, make, tmp_path):
    policy = learned(embeddings=embeddings)
    assert not policy.is_fitted
    way_out = pytest.raises(ConfigurationError, match=r"call fit\(records\) or load")
    with way_out:
        policy.check([make("a", 1), make("b", 2)])
    with way_out:
        policy.scores(NEW)
    with way_out:
        await policy.ascores(NEW)
    with way_out:
        policy.save(tmp_path / "policy.npz")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"prompt": 5, "weak": 1, "strong": 1}, "record 80 has 5 as 'prompt'"),
        ({"prompt": "x", "weak": 1}, "record 80 has None as 'strong'"),
        ({"prompt": "x", "weak": 7, "strong": 1}, "record 80 has 7 as 'weak'"),
        ({"prompt": "x", "weak": float("nan"), "strong": 1}, "has nan as 'weak'"),
        ("x", "record 80 is 'x'"),
    ],
)
def test_a_malformed_record_is_named(embeddings, records, record, message):
    with pytest.raises(ConfigurationError, match=message):
        learned(embeddings=embeddings).fit([*records, record])


def test_records_that_teach_nothing_are_refused(embeddings, records):
    with pytest.raises(ConfigurationError, match="19 records are too few"):
        learned(embeddings=embeddings).fit(records[:19])
    with pytest.raises(ConfigurationError, match="equally good in all"):
        learned(embeddings=embeddings).fit(records[:40])


def test_a_failed_fit_leaves_what_was_learnt(embeddings, records, fitted):
    before = fitted.scores(NEW)
    embeddings.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        fitted.fit(records)
    embeddings.error = None
    assert fitted.scores(NEW) == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0]], r"are \(1, 2\) numbers, not \(2, 17\)"),
        ([[1.0], [1.0, 2.0]], "differ in length"),
        ([[float("nan")] * 17] * 2, "finite"),
    ],
)
def test_other_embeddings_than_it_was_fitted_with_are_noticed(
    embeddings, fitted, rows, message, monkeypatch
):
    monkeypatch.setattr(embeddings, "embed_documents", lambda _: rows)
    with pytest.raises(ConfigurationError, match=message):
        fitted.scores(NEW)


def test_a_saved_policy_scores_as_before_and_holds_no_prompt(
    fitted, embeddings, tmp_path
):
    path = tmp_path / "policy.npz"
    fitted.save(path)
    fitted.save(str(path))  # over the old one
    again = learned(embeddings=embeddings).load(path)
    assert again.scores(NEW) == fitted.scores(NEW)
    assert [each.name for each in tmp_path.iterdir()] == ["policy.npz"]
    assert b"moon" not in path.read_bytes()


def header_of(path):
    with np.load(path) as file:
        arrays = dict(file)
    return arrays, json.loads(arrays.pop("header").tobytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "fitted with version 99, not 1"),
        ({"embedding": "other"}, "fitted with embedding 'other', not"),
        ({"features": []}, r"fitted with features \[\], not"),
        ({"format": "x"}, "fitted with format 'x'"),
    ],
)
def test_a_policy_of_another_kind_is_refused(
    fitted, embeddings, tmp_path, change, message
):
    path = tmp_path / "policy.npz"
    fitted.save(path)
    arrays, header = header_of(path)
    changed = np.frombuffer(json.dumps(header | change).encode(), np.uint8)
    np.savez(path, header=changed, **arrays)
    with pytest.raises(ConfigurationError, match=message):
        learned(embeddings=embeddings).load(path)


def test_another_embedding_model_is_noticed_at_load(fitted, embeddings, tmp_path):
    fitted.save(tmp_path / "policy.npz")
    embeddings.model = "numbers"
    with pytest.raises(ConfigurationError, match=r"=letters', not .*=numbers"):
        learned(embeddings=embeddings).load(tmp_path / "policy.npz")


def damaged(good: bytes) -> dict[str, bytes]:
    headless = io.BytesIO()
    np.savez(headless, votes=np.zeros(3))
    return {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "text": b"not an archive",
        "pickle": pickle.dumps({"header": 1}),
        "headless": headless.getvalue(),
    }


@pytest.mark.parametrize("kind", damaged(b""))
def test_a_damaged_file_is_refused(fitted, embeddings, tmp_path, kind):
    path = tmp_path / "policy.npz"
    fitted.save(path)
    path.write_bytes(damaged(path.read_bytes())[kind])
    with pytest.raises(ConfigurationError, match="is not a fitted policy"):
        learned(embeddings=embeddings).load(path)


@pytest.mark.parametrize("part", ["votes", "center", "landmarks", "levels"])
def test_arrays_that_do_not_go_together_are_refused(fitted, embeddings, tmp_path, part):
    path = tmp_path / "policy.npz"
    fitted.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[part] = arrays[part][:0] if part != "levels" else arrays[part] * np.nan
    np.savez(path, **arrays)
    with pytest.raises(ConfigurationError, match="is not a fitted policy"):
        learned(embeddings=embeddings).load(path)


def test_an_object_array_in_a_file_is_never_unpickled(embeddings, tmp_path):
    path = tmp_path / "policy.npz"
    np.savez(path, header=np.array([print], dtype=object))
    with pytest.raises(ConfigurationError, match="is not a fitted policy"):
        learned(embeddings=embeddings).load(path)


def test_a_missing_file_is_named(embeddings, tmp_path):
    with pytest.raises(ConfigurationError, match="there is no fitted policy at"):
        learned(embeddings=embeddings).load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("share", "difficulty", "first"),
    [
        (0.3, 0.71, "large"),
        (0.3, 0.69, "small"),
        (0.0, 0.99, "small"),
        (1.0, 0.0, "large"),
        (0.3, None, "large"),
    ],
)
def test_the_neediest_share_goes_to_the_strong_model(
    make, embeddings, share, difficulty, first
):
    policy = learned(embeddings=embeddings, strong="large", strong_share=share)
    request = RoutingRequest(difficulty=difficulty)
    assert names(policy.choose(request, [make("small"), make("large")]))[0] == first


def test_the_dearest_is_the_strong_model_unless_told(make, embeddings, fitted, records):
    policy = learned(embeddings=embeddings).fit(records)
    candidates = [make("small", 1), make("large", 9), make("middle", 2)]
    policy.check(candidates)
    hard = policy.choose(RoutingRequest(difficulty=0.9), candidates)
    assert names(hard) == ["large", "small", "middle"]
    assert hard.choices[0].reason == "difficulty 0.90, strong model"
    for unclear in ([make("a", 1), make("b", 1)], [make("a"), make("b", 1)]):
        with pytest.raises(ConfigurationError, match=r"give learned\(strong=…\)"):
            policy.check(unclear)
    with pytest.raises(ConfigurationError, match=r"strong names \['large'\]"):
        fitted.check([make("small")])
    with pytest.raises(ConfigurationError, match="strong_share is 2"):
        learned(embeddings=embeddings, strong_share=2)


def test_many_records_keep_a_bounded_number_of_landmarks(monkeypatch):
    monkeypatch.setattr(gain_model, "MAX_LANDMARKS", 100)
    monkeypatch.setattr(gain_model, "_CHUNK", 64)
    rng = np.random.default_rng(0)
    count = 300
    vectors = rng.normal(size=(count, 2))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gains = (vectors[:, 0] > 0).astype(float)
    model = gain_model.GainModel.fit(vectors, np.ones((count, 1)), gains)
    assert len(model.landmarks) == 100
    right, left = model.scores(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.ones((2, 1)))
    assert left < 0.5 < right


@given(st.lists(st.text(max_size=50), min_size=1, max_size=5))
def test_any_text_has_a_score_on_the_scale(fitted_once, prompts):
    assert all(0 <= score <= 1 for score in fitted_once.scores(prompts))


@pytest.fixture(scope="module")
def fitted_once():
    records = [
        {"prompt": f"question {n}", "weak": n % 2, "strong": 1} for n in range(40)
    ]
    return learned(embeddings=DeterministicFakeEmbedding(size=8)).fit(records)

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from langchain_llmops.caching.semantic import vector_rows
from langchain_llmops.caching.semantic.embedder import unit_vector
from langchain_llmops.caching.semantic.vector_index import VectorIndex
from langchain_llmops.errors import ConfigurationError


def directions(count, width, *, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def filled(vectors, **kwargs):
    index = VectorIndex(**kwargs)
    for number, vector in enumerate(vectors):
        index.add("p", str(number), f"question {number}", vector)
    return index


def test_the_nearest_question_comes_first_with_its_cosine():
    vectors = directions(50, 16)
    index = filled(vectors)
    query = unit_vector(vectors[7] + 0.2 * vectors[8])
    found = index.search("p", query, limit=5)
    exact = sorted(vectors @ query, reverse=True)[:5]
    assert (found[0].key, found[0].text) == ("7", "question 7")
    assert [m.similarity for m in found] == pytest.approx(exact, abs=1e-3)


def test_a_stored_question_is_entirely_like_itself():
    for vector in directions(200, 384):
        index = filled([vector])
        assert index.search("p", vector)[0].similarity == 1.0


def test_a_search_never_leaves_its_partition():
    vector = directions(1, 8)[0]
    index = VectorIndex()
    index.add("a", "k", "text", vector)
    assert index.search("b", vector) == []
    assert [m.key for m in index.search("a", vector)] == ["k"]


def test_what_is_less_similar_than_the_floor_is_left_out():
    index = filled(np.eye(4, dtype=np.float32))
    query = unit_vector([1.0, 0.5, 0.0, 0.0])
    assert [m.key for m in index.search("p", query, floor=0.4)] == ["0", "1"]
    assert [m.key for m in index.search("p", query, floor=0.6)] == ["0"]


def dense(rng):
    return rng.normal(size=(4_000, 96))


def sparse(rng):
    """Hashed words: a few ones among many zeros."""
    rows = np.zeros((4_000, 256))
    for row in rows:
        row[rng.integers(0, 256, size=12)] += 1.0
    return rows


def leaning(rng):
    """What many models return: all vectors share a direction."""
    return rng.normal(size=(4_000, 96)) + 8.0 * rng.normal(size=96)


@pytest.mark.parametrize("kind", [dense, sparse, leaning])
def test_the_shortlist_finds_the_true_nearest_neighbour(kind):
    rng = np.random.default_rng(3)
    rows = kind(rng).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = filled(rows)
    spread = np.linalg.norm(rows - rows.mean(axis=0), axis=1).mean()
    hits = 0
    for number in range(0, 4_000, 20):
        noise = rng.normal(size=rows.shape[1]).astype(np.float32)
        noise *= 0.5 * spread / np.linalg.norm(noise)
        query = unit_vector(rows[number] + noise)
        best = int((rows @ query).argmax())
        hits += index.search("p", query, limit=1)[0].key == str(best)
    assert hits >= 199


def test_the_least_recently_used_question_leaves_and_is_named():
    vectors = directions(4, 8)
    index = filled(vectors[:3], max_entries=3)
    index.touch("0")
    assert index.add("p", "3", "new", vectors[3]) == ["1"]
    assert len(index) == 3
    assert "0" in index
    assert "1" not in index


def test_a_key_added_again_stands_for_the_new_question_only():
    one, other = np.eye(2, dtype=np.float32)
    index = VectorIndex()
    index.add("a", "k", "old", one)
    index.add("b", "k", "new", other)
    assert (len(index), index.partitions) == (1, 1)
    assert index.search("a", one) == []
    assert index.search("b", other)[0].text == "new"


def test_removed_and_cleared_questions_are_not_found():
    index = filled(directions(3, 8))
    assert index.remove("1")
    assert not index.remove("1")
    query = directions(1, 8)[0]
    assert sorted(m.key for m in index.search("p", query)) == ["0", "2"]
    index.clear()
    assert (len(index), index.partitions, index.search("p", query)) == (0, 0, [])
    index.add("p", "k", "of another width", directions(1, 16)[0])
    assert index.width == 16


def test_vectors_of_two_lengths_are_refused_on_the_way_in_and_match_nothing():
    index = filled(directions(2, 8))
    with pytest.raises(ConfigurationError, match="16 dimensions among ones of 8"):
        index.add("p", "k", "text", directions(1, 16)[0])
    assert index.search("p", directions(1, 16)[0]) == []


def test_an_index_for_nothing_is_refused():
    with pytest.raises(ConfigurationError, match="max_entries=0"):
        VectorIndex(max_entries=0)


@pytest.mark.parametrize(
    "values", [[], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [[1.0, 2.0]]]
)
def test_what_is_no_direction_becomes_none(values):
    assert unit_vector(values) is None


def test_a_direction_has_length_one():
    assert unit_vector([3, 4]).tolist() == pytest.approx([0.6, 0.8])


def test_threads_may_add_search_and_remove_together():
    vectors = directions(400, 32)
    index = VectorIndex(max_entries=300)

    def work(seed):
        rng = random.Random(seed)
        for _ in range(400):
            number = rng.randrange(400)
            partition = f"p{number % 3}"
            match rng.randrange(4):
                case 0:
                    index.remove(str(number))
                case 1:
                    for found in index.search(partition, vectors[number]):
                        assert int(found.key) % 3 == number % 3
                case _:
                    index.add(partition, str(number), str(number), vectors[number])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(index) <= 300
    for number in range(400):
        found = index.search(f"p{number % 3}", vectors[number], limit=1)
        if str(number) in index:
            assert (found[0].key, found[0].similarity) == (str(number), 1.0)


class AnyOrderOfOperations(RuleBasedStateMachine):
    """The index against a dictionary, over blocks so small that all of them change."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(vector_rows, "_BLOCK_ROWS", 4)
        self.patch.setattr(vector_rows, "EXACT_ROWS", 3)
        self.index = VectorIndex(max_entries=1_000)
        self.model = {}
        self.vectors = directions(30, 8, seed=1)

    def teardown(self):
        self.patch.undo()

    @rule(number=st.integers(0, 29), partition=st.sampled_from("ab"))
    def add(self, number, partition):
        self.index.add(partition, str(number), str(number), self.vectors[number])
        self.model[str(number)] = partition

    @rule(number=st.integers(0, 29))
    def remove(self, number):
        known = self.model.pop(str(number), None) is not None
        assert self.index.remove(str(number)) == known

    @invariant()
    def every_question_is_where_it_was_put_and_nowhere_else(self):
        for partition in "ab":
            expected = {key for key, where in self.model.items() if where == partition}
            found = self.index.search(partition, self.vectors[0], limit=99)
            assert {m.key for m in found} == expected
            for match in found:
                exact = float(self.vectors[int(match.key)] @ self.vectors[0])
                assert match.similarity == pytest.approx(exact, abs=2e-3)
        assert len(self.index) == len(self.model)
        assert self.index.partitions == len(set(self.model.values()))


AnyOrderOfOperations.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None
)
TestAnyOrderOfOperations = AnyOrderOfOperations.TestCase

"""The batching policy: what goes together, in which order, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.exceptions import ModelInvalidRequestError, ModelRateLimitError

from langchain_llmops.concurrency.batch_call import call_batch
from langchain_llmops.concurrency.batch_queue import (
    BatchEntry,
    BatchLimits,
    BatchQueue,
)
from langchain_llmops.concurrency.request_identity import request_identity
from langchain_llmops.errors import ConfigurationError


def entry(item, *, at=0.0, rank=None, group=None, tokens=0):
    return BatchEntry(
        item=item,
        group=group,
        arrived=at,
        rank=at if rank is None else rank,
        tokens=tokens,
    )


def items(batch):
    return [each.item for each in batch]


def test_without_a_wait_whatever_is_there_goes_at_once():
    queue = BatchQueue(BatchLimits(max_batch=10))
    assert queue.ready_in(0) is None
    assert queue.take(0) == []
    queue.push(entry("a", at=5))
    assert queue.ready_in(5) == 0
    assert items(queue.take(5)) == ["a"]
    assert not queue


def test_a_batch_that_is_not_full_waits_for_its_oldest_entry():
    queue = BatchQueue(BatchLimits(max_batch=2, max_wait_s=1))
    queue.push(entry("a", at=5))
    assert queue.ready_in(5.25) == 0.75
    assert queue.take(5.25) == []
    # Neither a more urgent one nor one that left makes it wait anew.
    urgent = entry("b", at=5.5, rank=0)
    queue.push(urgent)
    assert queue.ready_in(5.5) == 0
    queue.remove(urgent)
    assert queue.ready_in(5.5) == 0.5
    assert items(queue.take(6)) == ["a"]


def test_a_full_group_does_not_wait_for_the_head_of_another():
    queue = BatchQueue(BatchLimits(max_batch=2, max_wait_s=1))
    queue.push(entry("old", at=0, group="x"))
    queue.push(entry("a", at=0.1, group="y"))
    queue.push(entry("b", at=0.1, group="y"))
    assert items(queue.take(0.1)) == ["a", "b"]


def test_a_large_item_goes_alone_and_is_not_overtaken():
    queue = BatchQueue(BatchLimits(max_batch=9, max_tokens=10))
    for name, tokens in [("a", 4), ("huge", 50), ("b", 6), ("c", 4), ("d", 1)]:
        queue.push(entry(name, tokens=tokens))
    batches = [items(queue.take(0)) for _ in range(4)]
    assert batches == [["a"], ["huge"], ["b", "c"], ["d"]]


def test_a_lower_rank_goes_first_and_can_be_given_later():
    queue = BatchQueue(BatchLimits(max_batch=1))
    slow, urgent = entry("slow", rank=5), entry("urgent", rank=1)
    hurried = entry("hurried", rank=9)
    for each in (slow, hurried, urgent):
        queue.push(each)
    queue.hurry(hurried, 0)
    queue.hurry(urgent, 7)  # later than it is: changes nothing
    assert [items(queue.take(0)) for _ in range(4)] == [
        ["hurried"],
        ["urgent"],
        ["slow"],
        [],
    ]


@given(
    pushes=st.lists(
        st.tuples(
            st.sampled_from("xyz"),
            st.integers(0, 20),
            st.integers(0, 12),
            st.booleans(),
        ),
        max_size=40,
    ),
    max_batch=st.integers(1, 5),
    max_tokens=st.none() | st.integers(1, 20),
)
def test_each_entry_that_stays_is_taken_once_within_the_limits(
    pushes, max_batch, max_tokens
):
    queue = BatchQueue(BatchLimits(max_batch=max_batch, max_tokens=max_tokens))
    entries = [
        entry(number, rank=rank, group=group, tokens=tokens)
        for number, (group, rank, tokens, _) in enumerate(pushes)
    ]
    for each in entries:
        queue.push(each)
    gone = [each for each, (*_, leaves) in zip(entries, pushes, strict=True) if leaves]
    for each in gone:
        queue.remove(each)
        queue.remove(each)  # twice is once
    taken = []
    while batch := queue.take(0):
        assert len(batch) <= max_batch
        assert len({each.group for each in batch}) == 1
        tokens = sum(each.tokens for each in batch)
        assert max_tokens is None or tokens <= max_tokens or len(batch) == 1
        taken += batch
    assert not queue
    assert sorted(items(taken)) == sorted(set(range(len(entries))) - {*items(gone)})
    for group in "xyz":
        own = [(each.rank, each.item) for each in taken if each.group == group]
        assert own == sorted(own)


@given(bad=st.sets(st.integers(0, 31)), size=st.integers(1, 32))
def test_items_that_fail_are_found_and_all_others_get_their_result(bad, size):
    calls = []

    def double(numbers):
        calls.append(numbers)
        if found := bad & {*numbers}:
            raise ValueError(found)
        return [2 * number for number in numbers]

    outcomes, searches = call_batch(double, list(range(size)))
    for number, outcome in enumerate(outcomes):
        assert (
            isinstance(outcome, ValueError) if number in bad else outcome == 2 * number
        )
    assert searches == len(calls) - 1
    poisoned = len(bad & {*range(size)})
    assert searches <= 2 * poisoned * (size - 1).bit_length()


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (ConnectionError("down"), 1),
        (TimeoutError("slow"), 1),
        (ModelRateLimitError("429"), 1),
        (ModelInvalidRequestError("400"), 7),
        (ValueError("bad"), 7),
    ],
)
def test_errors_of_the_way_are_not_searched_for(error, calls):
    made = []

    def fail(numbers):
        made.append(numbers)
        raise error

    outcomes, _ = call_batch(fail, [1, 2, 3, 4])
    assert outcomes == [error] * 4
    assert len(made) == calls


@pytest.mark.parametrize("returned", [[1], [1, 2, 3], None, 7])
def test_a_function_that_returns_too_few_or_many_is_told_so(returned):
    outcomes, searches = call_batch(lambda _: returned, ["a", "b"])
    assert searches == 0
    for outcome in outcomes:
        assert isinstance(outcome, ConfigurationError)
        assert "for 2 items" in str(outcome)


def test_requests_are_the_same_by_value_and_type():
    same = [
        "tea",
        ("query", Document("text", metadata={"page": 1})),
        {"a": [1, 2.5, None, b"x"]},
    ]
    for item in same:
        assert request_identity(item) is not None
    assert request_identity(["q", Document("a")]) == request_identity(
        ["q", Document("a")]
    )
    different = [1, True, 1.0, "1", b"1", [1], (1,), {"a": 1}, 0.0, -0.0, None]
    assert len({request_identity(item) for item in different}) == len(different)
    endless: list[object] = []
    endless.append(endless)
    assert request_identity(object()) is None
    assert request_identity(endless) is None

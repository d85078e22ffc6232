"""FlightTable under any interleaving: one leads, nobody hangs, nothing stays behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmops.caching.flight.table import FlightTable, Turn

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass
class World:
    """What the callers of one key share; each runs until it yields."""

    table: FlightTable = field(default_factory=FlightTable)
    cached: bool = False
    calls: int = 0
    leading: int = 0
    most_leading: int = 0


class Caller:
    """A caller by the book: look, board, wait, look again, call, commit."""

    def __init__(self, world: World, number: int, fate: str) -> None:
        self.world, self.number, self.fate = world, number, fate
        self.ticket: Any = None
        self.done = False
        self._steps = self._run()

    @property
    def waits(self) -> bool:
        return self.ticket is not None and self.ticket.turn is Turn.WAIT

    def step(self) -> None:
        try:
            next(self._steps)
        except (StopIteration, ConnectionError):
            self.done = True

    def cancel(self) -> None:
        self._steps.close()
        self.done = True

    def _wake(self) -> bool:
        if self.fate == "dead loop":
            self.done = True
            return False
        if self.fate == "cancelled as it wakes":
            self.cancel()
        return True

    def _run(self) -> Generator[None]:
        world, table = self.world, self.world.table
        since = table.landings
        yield
        if world.cached:
            return
        yield
        may_wait = self.fate != "never waits"
        self.ticket = table.board(
            "key",
            owner=self.number,
            waiter=(lambda: self._wake) if may_wait else None,
        )
        try:
            while self.waits:
                yield
            leads = self.ticket.turn is Turn.LEAD
            look = self.ticket.turn is Turn.READ or self.ticket.inherited
            if (look or table.landings != since) and world.cached:
                table.end(self.ticket, committed=True)
                return
            yield from self._call(leads=leads)
        finally:
            table.leave(self.ticket)

    def _call(self, *, leads: bool) -> Generator[None]:
        world = self.world
        world.calls += 1
        world.leading += leads
        world.most_leading = max(world.most_leading, world.leading)
        try:
            yield
            if self.fate == "fails":
                raise ConnectionError
            if self.fate != "not storable":
                world.cached = True
            yield
        finally:
            world.leading -= leads
        world.table.end(self.ticket, committed=self.fate != "not storable")


def run(world: World, callers: list[Caller], data: st.DataObject, kinds: Any) -> None:
    while alive := [c for c in callers if not c.done]:
        movable = [c for c in alive if not c.waits]
        assert movable, "everyone waits"
        action = data.draw(kinds)
        if action == "step":
            data.draw(st.sampled_from(movable)).step()
        elif action == "cancel":
            data.draw(st.sampled_from(alive)).cancel()
        else:
            waiting = [c for c in alive if c.waits]
            if waiting:
                world.table.expire(data.draw(st.sampled_from(waiting)).ticket)
    assert len(world.table) == 0
    assert all(not c.waits for c in callers if c.fate != "dead loop")


FATES = [
    "succeeds",
    "fails",
    "not storable",
    "dead loop",
    "cancelled as it wakes",
    "never waits",
]


@settings(max_examples=300)
@given(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=6), data=st.data())
def test_nobody_hangs_and_nothing_stays_behind(fates: list[str], data: st.DataObject):
    world = World()
    callers = [Caller(world, number, fate) for number, fate in enumerate(fates)]
    run(world, callers, data, st.sampled_from(["step"] * 6 + ["cancel", "expire"]))


@settings(max_examples=200)
@given(count=st.integers(1, 7), data=st.data())
def test_calls_that_succeed_are_one_call(count: int, data: st.DataObject):
    world = World()
    callers = [Caller(world, number, "succeeds") for number in range(count)]
    run(world, callers, data, st.just("step"))
    assert world.calls == 1


@settings(max_examples=200)
@given(
    fates=st.lists(st.sampled_from(["succeeds", "fails", "dead loop"]), max_size=6),
    data=st.data(),
)
def test_one_leads_at_a_time_and_only_failures_are_repeated(
    fates: list[str], data: st.DataObject
):
    world = World()
    callers = [Caller(world, number, fate) for number, fate in enumerate(fates)]
    run(world, callers, data, st.sampled_from(["step"] * 8 + ["cancel"]))
    assert world.most_leading <= 1


@pytest.fixture
def table() -> FlightTable:
    return FlightTable()


def board(table: FlightTable, owner: object, woken: list[object]) -> Any:
    def wake() -> bool:
        woken.append(owner)
        return True

    return table.board("key", owner=owner, waiter=lambda: wake)


def test_the_longest_waiting_leads_next(table: FlightTable):
    woken: list[object] = []
    first, second, third = (board(table, owner, woken) for owner in "abc")
    table.leave(first)
    assert woken == ["b"]
    assert (second.turn, second.inherited) == (Turn.LEAD, True)
    assert third.turn is Turn.WAIT
    table.end(second, committed=True)
    assert third.turn is Turn.READ
    assert (len(table), table.landings) == (0, 1)


def test_an_answer_that_must_not_be_stored_sends_all_to_the_model(table: FlightTable):
    woken: list[object] = []
    first, *others = (board(table, owner, woken) for owner in "abc")
    table.end(first, committed=False)
    assert [ticket.turn for ticket in others] == [Turn.ALONE] * 2
    assert (woken, table.landings) == (["b", "c"], 0)


def test_who_leads_never_waits_for_itself(table: FlightTable):
    board(table, "a", [])
    assert board(table, "a", []).turn is Turn.ALONE


def test_who_waited_too_long_closes_the_flight_to_newcomers(table: FlightTable):
    stuck, waiting, _ = (board(table, owner, []) for owner in "abc")
    table.expire(waiting)
    assert waiting.turn is Turn.ALONE
    newcomer = board(table, "d", [])
    assert newcomer.turn is Turn.LEAD
    table.leave(stuck)
    assert len(table) == 1, "the old flight's end leaves the new one alone"
    table.leave(newcomer)
    assert len(table) == 0


def test_a_thousand_closed_loops_are_passed_over(table: FlightTable):
    first = board(table, "a", [])
    for owner in range(2_000):
        table.board("key", owner=owner, waiter=lambda: lambda: False)
    table.leave(first)
    assert len(table) == 0

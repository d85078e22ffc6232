"""Who goes next: fairly between tenants, by priority, and nobody starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.concurrency.queue_order import OLDEST_EVERY, QueueOrder, Ticket

TENANTS = st.sampled_from("abc")
CALLS = st.lists(st.tuples(TENANTS, st.integers(0, 2)), max_size=40)


def joined(order: QueueOrder, tenant: str = "", priority: int = 0) -> Ticket:
    ticket = Ticket(tenant=tenant, priority=priority)
    order.join(ticket)
    return ticket


def leave_one(order: QueueOrder) -> Ticket:
    ticket = order.following()
    assert ticket is not None
    order.depart(ticket)
    return ticket


def test_calls_of_one_tenant_keep_their_order():
    order = QueueOrder()
    tickets = [joined(order) for _ in range(30)]
    assert [leave_one(order) for _ in tickets] == tickets


def test_a_flood_does_not_hold_up_another_tenant():
    order = QueueOrder()
    for _ in range(1000):
        joined(order, "flood")
    leave_one(order)
    small = joined(order, "small")
    assert leave_one(order) is small


def test_tenants_take_turns_where_calls_end_at_once():
    order = QueueOrder()
    for tenant in "aaaaaabbbbbb":
        joined(order, tenant)
    gone = []
    for _ in range(8):
        ticket = leave_one(order)
        order.end(ticket)
        gone.append(ticket.tenant)
    assert gone == list("abababab")


def test_the_tenant_with_fewer_calls_under_way_goes_first():
    order = QueueOrder()
    for _ in range(3):
        order.depart(Ticket(tenant="busy"))
    joined(order, "busy")
    idle = joined(order, "idle")
    assert leave_one(order) is idle


def test_a_higher_priority_goes_first():
    order = QueueOrder()
    joined(order, "a", 0)
    urgent = joined(order, "a", 5)
    assert leave_one(order) is urgent


@given(CALLS, CALLS)
def test_no_call_is_overtaken_for_ever(before, after):
    order = QueueOrder()
    for tenant, priority in before:
        joined(order, tenant, priority)
    last = joined(order, "x", -1)
    late = iter(after * 200)
    for _ in range(OLDEST_EVERY * (len(before) + 1)):
        ticket = leave_one(order)
        order.end(ticket)
        if ticket is last:
            return
        joined(order, *next(late, ("a", 9)))
    raise AssertionError("the oldest call still waits")


@given(CALLS, st.data())
def test_each_call_leaves_once_whether_it_departs_or_gives_up(calls, data):
    order = QueueOrder()
    tickets = [joined(order, *call) for call in calls]
    gone = []
    for ticket in tickets:
        if data.draw(st.booleans()):
            assert order.leave(ticket) == (ticket not in gone)
            assert not order.leave(ticket)
        elif (following := order.following()) is not None:
            order.depart(following)
            gone.append(following)
            assert not order.leave(following)
    while (following := order.following()) is not None:
        order.depart(following)
        gone.append(following)
    assert len(set(map(id, gone))) == len(gone)
    for ticket in gone:
        order.end(ticket)
    # Nothing is kept of tenants that have gone.
    assert not order._lanes
    assert not order._running
    assert not len(order)

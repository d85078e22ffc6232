"""Plans: the same steps from a thread and on an event loop."""

from __future__ import annotations

import threading

import pytest

from langchain_llmops.memory.stores.operation import Compute, ask
from langchain_llmops.storage.plans import Plan, arun, run


def adding(*sizes: int) -> Plan[list[str]]:
    done: list[str] = []
    for size in sizes:
        name = yield from ask(Compute(lambda: threading.current_thread().name, size))
        done += [name]
    return done


def failing(closed: list[bool]) -> Plan[str]:
    def fail() -> None:
        raise KeyError("inner")

    try:
        yield from ask(Compute(fail, 0))
    except KeyError:
        caught = yield from ask(Compute(lambda: "caught", 0))
    finally:
        closed.append(True)
    yield from ask(Compute(fail, 0))
    return caught


def test_a_plan_runs_in_the_thread_of_its_caller():
    assert run(adding(1, 10**9)) == [threading.current_thread().name] * 2


async def test_on_an_event_loop_only_long_work_goes_to_a_thread():
    short, long = await arun(adding(1, 10**9))
    assert short == threading.current_thread().name
    assert long != short


async def test_a_plan_can_handle_what_its_steps_raise():
    closed: list[bool] = []
    with pytest.raises(KeyError, match="inner"):
        run(failing(closed))
    with pytest.raises(KeyError, match="inner"):
        await arun(failing(closed))
    assert closed == [True, True]

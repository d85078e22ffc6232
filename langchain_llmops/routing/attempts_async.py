"""Drive the attempts of a call on an event loop, as `attempts` does on a thread."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from langchain_llmops.models.closable import aclosable
from langchain_llmops.routing.router_answer import Answer, Opened, answered, has_content
from langchain_llmops.routing.router_race import Contest, arace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.routing.router_call import RoutedCall, Sending
    from langchain_llmops.routing.router_course import Course
    from langchain_llmops.routing.router_run import AsyncRouterRun

__all__ = ["agenerate", "astream"]


async def agenerate(course: Course, call: RoutedCall[AsyncRouterRun]) -> ChatResult:
    """Return the first answer that a candidate gives; see `attempts.generate`."""
    begun: list[AIMessageChunk] = []
    while True:
        if course.wait_s:
            await course.desk.timing.asleep(course.wait_s)
        course.begin()
        contest = Contest(course, call, _ainvoke, begun if course.goes_on else ())
        try:
            message: AIMessage = await arace(contest)
        except Exception as error:  # noqa: BLE001 - the course says what is handled
            shown = contest.shown
            await call.run.announce(*course.failed(error, shown))
            begun += shown
            continue
        except BaseException:
            course.leg.live.released()
            raise
        course.leg.live.succeeded()
        return answered(course, message, begun if course.goes_on else ())


async def astream(
    course: Course, call: RoutedCall[AsyncRouterRun]
) -> AsyncGenerator[ChatGenerationChunk, None]:
    """Yield the answer of one candidate or several; see `attempts.stream`."""
    answer = Answer(course)
    while True:
        if course.wait_s:
            await course.desk.timing.asleep(course.wait_s)
        course.begin()
        contest = Contest(course, call, _aopen, answer.given if course.goes_on else ())
        try:
            opened: Opened = await arace(contest)
            async with aclosing(opened.rest):
                course.leg.live.first_token()
                for chunk in answer.opening():
                    yield chunk
                for message in opened.head:
                    yield answer.chunk(message)
                async for message in opened.rest:
                    yield answer.chunk(message)
        except Exception as error:  # noqa: BLE001 - the course says what is handled
            await call.run.announce(*course.failed(error, answer.given))
            continue
        except BaseException:
            course.leg.live.released()
            raise
        course.leg.live.succeeded()
        return


async def _ainvoke(sending: Sending, call: RoutedCall[AsyncRouterRun]) -> AIMessage:
    try:
        message: AIMessage = await sending.model.ainvoke(
            sending.messages, sending.config, **call.kwargs
        )
    except asyncio.CancelledError as error:
        # LangChain leaves the run of a cancelled `ainvoke` open.
        if sending.watch is not None:
            await sending.watch.close(error)
        raise
    return message


async def _aopen(sending: Sending, call: RoutedCall[AsyncRouterRun]) -> Opened:
    chunks = sending.model.astream(sending.messages, sending.config, **call.kwargs)
    rest = aclosable(chunks)
    head = []
    try:
        async for message in rest:
            head.append(message)
            if has_content(message):
                break
    except BaseException:
        await rest.aclose()
        raise
    return Opened(head, rest)

"""Drive the attempts of a synchronous call: send, wait, fail over, hand out.

An attempt is opened until it has said something: a whole answer, or the first chunks of
a stream. Until then another candidate may take over unseen, limits hold, and a second
one may be asked beside it. A failure after that is one in mid-stream.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from langchain_llmops.models.closable import closable
from langchain_llmops.routing.router_answer import Answer, Opened, answered, has_content
from langchain_llmops.routing.router_race import Contest
from langchain_llmops.routing.router_threads import race

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.routing.router_call import RoutedCall, Sending
    from langchain_llmops.routing.router_course import Course
    from langchain_llmops.routing.router_run import RouterRun

__all__ = ["generate", "stream"]


def generate(course: Course, call: RoutedCall[RouterRun]) -> ChatResult:
    """Return the first answer that a candidate gives.

    Args:
        course: Decides whom to ask.
        call: What is asked.

    Raises:
        Exception: What `Course.failed` raises.
    """
    begun: list[AIMessageChunk] = []
    while True:
        if course.wait_s:
            course.desk.timing.sleep(course.wait_s)
        course.begin()
        contest = Contest(course, call, _invoke, begun if course.goes_on else ())
        try:
            message: AIMessage = race(contest)
        except Exception as error:  # noqa: BLE001 - the course says what is handled
            shown = contest.shown
            call.run.announce(*course.failed(error, shown))
            begun += shown
            continue
        except BaseException:
            course.leg.live.released()
            raise
        course.leg.live.succeeded()
        return answered(course, message, begun if course.goes_on else ())


def stream(
    course: Course, call: RoutedCall[RouterRun]
) -> Generator[ChatGenerationChunk, None, None]:
    """Yield the answer of a candidate, and of another one where it breaks off.

    Args:
        course: Decides whom to ask.
        call: What is asked.

    Raises:
        Exception: What `Course.failed` raises.
    """
    answer = Answer(course)
    while True:
        if course.wait_s:
            course.desk.timing.sleep(course.wait_s)
        course.begin()
        contest = Contest(course, call, _open, answer.given if course.goes_on else ())
        try:
            opened: Opened = race(contest)
            with closing(opened.rest):
                course.leg.live.first_token()
                yield from answer.opening()
                for message in opened.head:
                    yield answer.chunk(message)
                for message in opened.rest:
                    yield answer.chunk(message)
        except Exception as error:  # noqa: BLE001 - the course says what is handled
            call.run.announce(*course.failed(error, answer.given))
            continue
        except BaseException:
            course.leg.live.released()
            raise
        course.leg.live.succeeded()
        return


def _invoke(sending: Sending, call: RoutedCall[RouterRun]) -> AIMessage:
    message: AIMessage = sending.model.invoke(
        sending.messages, sending.config, **call.kwargs
    )
    return message


def _open(sending: Sending, call: RoutedCall[RouterRun]) -> Opened:
    chunks = sending.model.stream(sending.messages, sending.config, **call.kwargs)
    rest = closable(chunks)
    head = []
    try:
        for message in rest:
            head.append(message)
            if has_content(message):
                break
    except BaseException:
        rest.close()
        raise
    return Opened(head, rest)

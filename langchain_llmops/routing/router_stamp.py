"""What a router writes into the metadata of its answers.

`response_metadata["routing"]` says who answered and why. A stream carries it once, on
its last chunk, since merging chunks joins strings and adds numbers. What happens on
the way is a list, which merging appends: `response_metadata["routing_events"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.pricing import Usage
    from langchain_llmops.routing.candidate import Candidate

__all__ = [
    "ROUTING",
    "ROUTING_EVENTS",
    "RoutingEvent",
    "RoutingMark",
    "event_chunk",
    "is_restart",
    "mark",
    "marked",
    "model_of",
]

ROUTING: Final = "routing"
ROUTING_EVENTS: Final = "routing_events"

M = TypeVar("M", bound=AIMessage)


class RoutingMark(TypedDict):
    """Who answered: what `response_metadata["routing"]` holds."""

    model: str
    tier: str
    reason: str
    attempts: int
    cost_estimate_usd: float | None


class RoutingEvent(TypedDict):
    """What happens in a stream: an entry of `response_metadata["routing_events"]`.

    `start`: this model's answer begins. `restart`: what came before is void, the
    answer begins anew. `continue`: the answer goes on, by another model.
    """

    event: Literal["start", "restart", "continue"]
    model: str


def mark(
    candidate: Candidate,
    reason: str,
    attempts: int,
    usage: Usage,
) -> RoutingMark:
    """Return the mark of an answer.

    Args:
        candidate: Who answered.
        reason: Why it was asked.
        attempts: How many attempts it took.
        usage: The tokens that the cost is estimated from.
    """
    cost = candidate.cost(usage)
    return RoutingMark(
        model=candidate.name,
        tier=candidate.tier,
        reason=reason,
        attempts=attempts,
        cost_estimate_usd=None if cost is None else float(cost),
    )


def marked(message: M, entry: str, value: Any) -> M:
    """Return a copy of a message with an entry in its metadata: caches keep theirs."""
    metadata = {**message.response_metadata, entry: value}
    return message.model_copy(update={"response_metadata": metadata})


def event_chunk(
    event: Literal["restart", "continue"], model: str
) -> ChatGenerationChunk:
    """Return an empty chunk that tells of an event."""
    entry = RoutingEvent(event=event, model=model)
    return ChatGenerationChunk(
        message=AIMessageChunk(content="", response_metadata={ROUTING_EVENTS: [entry]})
    )


def is_restart(message: BaseMessage) -> bool:
    """Say whether a chunk takes back what came before it."""
    events: Sequence[RoutingEvent] = message.response_metadata.get(ROUTING_EVENTS, ())
    return any(event["event"] == "restart" for event in events)


def model_of(message: BaseMessage) -> str | None:
    """Return the name of the candidate that an answer or its first chunk comes from."""
    metadata = message.response_metadata
    if events := metadata.get(ROUTING_EVENTS):
        return str(events[-1]["model"])
    found = metadata.get(ROUTING)
    return None if found is None else str(found["model"])

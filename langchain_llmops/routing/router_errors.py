"""How a routed call fails, beyond the errors of the models themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import LLMOpsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage

    from langchain_llmops.routing.ranking import Exclusion

__all__ = [
    "AllCandidatesFailedError",
    "NoCandidateError",
    "carry_partial",
    "partial_message",
]

_PARTIAL = "llmops_partial_message"


class NoCandidateError(LLMOpsError):
    """No candidate may take the call; nothing was sent.

    Args:
        excluded: Every candidate, with what speaks against it.
    """

    def __init__(self, excluded: Sequence[Exclusion]) -> None:
        self.excluded = tuple(excluded)
        super().__init__(self.excluded)

    def __str__(self) -> str:
        reasons = "; ".join(
            f"{each.candidate.name!r} {each.reason}" for each in self.excluded
        )
        return (
            f"no candidate fits the call: {reasons}. Shorten it, relax what it asks "
            "for, or add a candidate that can take it"
        )


class AllCandidatesFailedError(LLMOpsError, ExceptionGroup[Exception]):
    """Several attempts were made and all failed.

    An `ExceptionGroup`: `exceptions` holds the error of each attempt, in order, so
    that `except*` finds them by their types. Where there was only one attempt, its
    own error is raised instead.

    Args:
        message: Why no more attempts were made.
        exceptions: The error of each attempt.
    """

    def derive(self, excs: Sequence[Any]) -> Any:
        """Return a group of some of the errors, for `except*`."""
        return AllCandidatesFailedError(self.message, excs)


def partial_message(error: BaseException) -> AIMessage | None:
    """Return what had been answered when a stream broke off, if an error knows.

    Args:
        error: What a router's stream raised; of a group, its members are asked too.

    Returns:
        The text and tool calls that were already handed out, in one message.
    """
    found: AIMessage | None = getattr(error, _PARTIAL, None)
    if found is None and isinstance(error, BaseExceptionGroup):
        parts = map(partial_message, reversed(error.exceptions))
        found = next((part for part in parts if part is not None), None)
    return found


def carry_partial(error: BaseException, message: Any) -> None:
    """Let an error carry what had been answered; one that has no room goes without."""
    with suppress(AttributeError):
        setattr(error, _PARTIAL, message)

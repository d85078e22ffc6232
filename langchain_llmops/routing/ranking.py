"""What a selection policy answers: whom to ask, in which order, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_llmops.routing.candidate import Candidate

__all__ = ["Choice", "Exclusion", "Ranking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A candidate that may be asked.

    Attributes:
        candidate: The candidate.
        reason: Why it stands where it stands.
    """

    candidate: Candidate
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A candidate that may not be asked.

    Attributes:
        candidate: The candidate.
        reason: What speaks against it.
        is_temporary: Whether it is the moment that does (an open breaker, a used-up
            rate limit), and not the call itself.
    """

    candidate: Candidate
    reason: str
    is_temporary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The order in which to ask, best first.

    Attributes:
        choices: Who may be asked.
        excluded: Who may not, in the order of the candidates.
    """

    choices: tuple[Choice, ...]
    excluded: tuple[Exclusion, ...] = ()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Who may be asked, best first."""
        return tuple(choice.candidate for choice in self.choices)

    def __str__(self) -> str:
        """Return a line for each candidate, with its reason."""
        lines = [
            f"{place}. {choice.candidate.name}: {choice.reason or 'as listed'}"
            for place, choice in enumerate(self.choices, 1)
        ]
        lines += [f"-  {out.candidate.name}: {out.reason}" for out in self.excluded]
        return "\n".join(lines)

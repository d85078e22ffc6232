"""What breakers of several processes tell each other, and how: `BreakerStore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from langchain_llmops.routing.circuit import ErrorClass

__all__ = ["BreakerStore", "CircuitNews"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitNews:
    """That a circuit was opened, probed or closed.

    Attributes:
        id: Which piece of news it is: a text that is never used twice.
        why: What opened the circuit; `None`: it was closed.
        open_for_s: Seconds from now until the next probe.
        level: How often in a row it was opened.
    """

    id: str
    why: ErrorClass | None
    open_for_s: float = 0.0
    level: int = 0


class BreakerStore(Protocol):
    """The latest news of each circuit, where several processes find them.

    Called on a thread of its own, never on the way of a call; it may raise, and may
    take its time. `RedisBreakerStore` is one.
    """

    def exchange(
        self, news: Mapping[str, CircuitNews], names: Collection[str]
    ) -> Mapping[str, CircuitNews]:
        """Put down this process's news, and return the latest of all.

        Args:
            news: Name of a candidate to what is new.
            names: The candidates whose latest news are wanted.

        Returns:
            What there is, by the candidate's name; whatever cannot be read is absent.
        """
        ...

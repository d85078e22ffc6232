"""Which summaries a new one may replace, so that no message is covered twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_llmops.memory.stores.base import SessionSummary

__all__ = ["replaced_by"]


def replaced_by(
    new: SessionSummary, known: Iterable[SessionSummary]
) -> Sequence[int] | None:
    """Return where the summaries start that a new one stands for.

    Args:
        new: The summary to store.
        known: Those that are stored; no two overlap.

    Returns:
        The starts of those in its range. `None` if it cannot be stored: it would cut
        through one, or one in its range is of the same level or above, and so not
        what it was made of.
    """
    inside = []
    for summary in known:
        if summary.stop <= new.start or new.stop <= summary.start:
            continue
        cut = summary.start < new.start or new.stop < summary.stop
        if cut or summary.level >= new.level:
            return None
        inside.append(summary.start)
    return inside

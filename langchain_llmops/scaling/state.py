"""What a policy remembers from one decision to the next, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

__all__ = ["LoadSample", "ScalingState", "ScalingTarget"]

SAMPLES = 60
"""How many loads a window holds: enough for a trend, however often one decides."""


class LoadSample(NamedTuple):
    """The highest load seen in one sixtieth of the window that begins at `at_s`."""

    at_s: float
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingState:
    """What `ScalingPolicy.decide` hands on to its next call; plain numbers only.

    Attributes:
        target: The replicas asked for last.
        seen_at_s: Time of the latest reading.
        began_at_s: Time of the first reading.
        raised_at_s: When it was last raised; `None` if never.
        busy_at_s: When there was last work, as far as is known; `None` if never.
        loads: Loads of the window before, oldest first; at most 62.
    """

    target: int
    seen_at_s: float
    began_at_s: float
    raised_at_s: float | None = None
    busy_at_s: float | None
    loads: tuple[LoadSample, ...] = ()

    @property
    def held_since_s(self) -> float:
        """Since when nothing was added: the last raise, or the first reading."""
        return self.began_at_s if self.raised_at_s is None else self.raised_at_s

    def seeing(self, at_s: float, load: float, window_s: float) -> ScalingState:
        """Return the state with one more load, without those before the window.

        Args:
            at_s: When the load was read.
            load: How many replicas it would keep wholly busy.
            window_s: How far back loads are kept.
        """
        part_s = window_s / SAMPLES
        # The last load of a part may be as much younger than its beginning.
        start = at_s - window_s - part_s
        kept = [sample for sample in self.loads if sample.at_s >= start]
        if kept and at_s - kept[-1].at_s < part_s:
            last = kept.pop()
            kept.append(LoadSample(last.at_s, max(last.load, load)))
        else:
            kept.append(LoadSample(at_s, load))
        return replace(self, seen_at_s=at_s, loads=tuple(kept))

    def highest_since(self, start_s: float, window_s: float) -> float:
        """Return the highest load since a time within the window."""
        parts = (one for one in self.loads if one.at_s >= start_s - window_s / SAMPLES)
        return max((one.load for one in parts), default=0.0)

    def aiming(self, target: int) -> ScalingState:
        """Return the state with another target, changed at the latest reading."""
        if target == self.target:
            return self
        raised = self.seen_at_s if target > self.target else self.raised_at_s
        return replace(self, target=target, raised_at_s=raised)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingTarget:
    """A decision: how many replicas there should be, why, and what to remember.

    Attributes:
        replicas: Replicas that should be running.
        reason: One line for the log.
        state: Give it to the next `decide`.
    """

    replicas: int
    reason: str
    state: ScalingState

"""The state of one candidate's circuit, and how it changes: values in, values out.

A closed circuit keeps points for each class of error: a failure is a point, and each
call that begins takes a fifth of them away. So failures in a row open it, and so does a
share of failures that keeps the points up, such as every second call. Calls count when
they begin, not when they are answered: where failures are quick and answers slow, the
answers to calls from before an outage would otherwise hide it.

An open circuit lets one probe through each time that its open time is over. What
counts is when the probe began: a probe that hangs holds up neither the next one nor the
recovery. An answer to any call that began after the opening closes the circuit, with so
many points left that a failure soon after opens it again: a backend that answers every
second probe costs little more than one that is down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.routing.failures import FailureKind

__all__ = [
    "CLOSED",
    "Circuit",
    "CircuitRules",
    "ErrorClass",
    "adopted",
    "answered",
    "begun",
    "class_of",
    "failed",
    "probed",
    "released",
]

ErrorClass = Literal["sick", "limited", "denied"]
"""`sick`: down, slow or unreachable; `limited`: too many calls; `denied`: no access."""

_CLASSES: Final[dict[FailureKind, ErrorClass]] = {
    "server": "sick",
    "connection": "sick",
    "timeout": "sick",
    "rate_limit": "limited",
    "quota": "denied",
    "auth": "denied",
    "not_found": "denied",
}
"""What is missing here lies in the call, and says nothing about the candidate."""

_PATIENCE: Final[dict[ErrorClass, int]] = {"sick": 1, "limited": 1, "denied": 10}
"""How many times longer a circuit stays open: what people must put right, takes."""

_KEPT: Final = 0.8
"""The share of its points that a circuit keeps when a call begins."""
_FORGOTTEN: Final = 0.5
"""Points below this are none: the circuit is as good as new."""
_JITTER: Final = 0.05
"""The share of the open time that chance may take away."""
_MOST_DOUBLINGS: Final = 16
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRules:
    """When a circuit opens, and for how long.

    Attributes:
        failures: How many failures in a row open it.
        open_s: How long it is open at first; each further time twice as long.
        max_open_s: At most so long, unless the provider asks for more.
        max_retry_after_s: How much of what a provider asks for is believed.
    """

    failures: int
    open_s: float
    max_open_s: float
    max_retry_after_s: float = 60.0

    @property
    def most_points(self) -> float:
        """How many points open it: what so many failures in a row amount to."""
        in_a_row = (1 - _KEPT**self.failures) / (1 - _KEPT)
        return in_a_row - _ROUNDING

    def open_for_s(self, why: ErrorClass, level: int, chance: float) -> float:
        """Return how long a circuit is open, the `level`-th time in a row, from 0."""
        doubled = self.open_s * 2.0 ** min(level, _MOST_DOUBLINGS)
        jittered = min(doubled, self.max_open_s) * (1 - _JITTER * chance)
        return jittered * _PATIENCE[why]

    def longest_s(self, why: ErrorClass) -> float:
        """Return how long a circuit may be open without a provider's word."""
        return self.max_open_s * _PATIENCE[why]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What a breaker knows of one candidate; times are those of the breaker's clock.

    Attributes:
        points: Points by class of error; a class without any is absent.
        why: What opened it; `None`: it is closed.
        opened_at: When it was opened.
        until: When the next probe may go.
        probe_at: When the last probe began.
        level: How often it was opened, or probed in vain, since it was as good as new.
    """

    points: Mapping[ErrorClass, float]
    why: ErrorClass | None = None
    opened_at: float = 0.0
    until: float = 0.0
    probe_at: float | None = None
    level: int = 0


CLOSED: Final = Circuit(points={})
"""As good as new."""


def class_of(kind: FailureKind) -> ErrorClass | None:
    """Return the class of a failure; `None` if it says nothing on the candidate."""
    return _CLASSES.get(kind)


def begun(circuit: Circuit) -> Circuit:
    """Return a closed circuit after a call has begun."""
    left = {why: points * _KEPT for why, points in circuit.points.items()}
    left = {why: points for why, points in left.items() if points >= _FORGOTTEN}
    return replace(circuit, points=left) if left else CLOSED


def answered(circuit: Circuit, rules: CircuitRules, *, began: float) -> Circuit:
    """Return the circuit after an answer, to a call that began at a time."""
    if circuit.why is None or began <= circuit.opened_at:
        return circuit
    return _closed(circuit, rules)


def failed(
    circuit: Circuit,
    rules: CircuitRules,
    why: ErrorClass,
    *,
    now: float,
    chance: float,
    retry_after_s: float | None = None,
) -> Circuit:
    """Return the circuit after a failure.

    A provider that says when to come back is not asked before, at the first failure.
    """
    asked = min(retry_after_s or 0.0, rules.max_retry_after_s)
    if circuit.why is not None:
        return replace(circuit, until=max(circuit.until, now + asked))
    points = circuit.points.get(why, 0.0) + 1
    if points < rules.most_points and not asked:
        return replace(circuit, points={**circuit.points, why: points})
    open_for_s = max(asked, rules.open_for_s(why, circuit.level, chance))
    return Circuit(
        points={},
        why=why,
        opened_at=now,
        until=now + open_for_s,
        level=circuit.level + 1,
    )


def probed(
    circuit: Circuit, rules: CircuitRules, *, now: float, chance: float
) -> Circuit:
    """Return an open circuit after its probe was sent."""
    why = circuit.why or "sick"
    return replace(
        circuit,
        until=now + rules.open_for_s(why, circuit.level, chance),
        probe_at=now,
        level=circuit.level + 1,
    )


def released(circuit: Circuit, *, began: float) -> Circuit:
    """Return the circuit after a call without a verdict: a probe may go at once."""
    if circuit.why is None or circuit.probe_at != began:
        return circuit
    return replace(circuit, until=began, probe_at=None, level=circuit.level - 1)


def adopted(
    circuit: Circuit,
    rules: CircuitRules,
    why: ErrorClass | None,
    *,
    level: int,
    open_for_s: float,
    now: float,
) -> Circuit:
    """Return the circuit after another process has opened, probed or closed its own.

    Args:
        circuit: This process's own.
        rules: This process's own.
        why: What opened the other's; `None`: it was closed.
        level: The other's.
        open_for_s: How long the other's stays open; believed within this one's rules.
        now: The time.
    """
    if why is None:
        return circuit if circuit.why is None else _closed(circuit, rules)
    return Circuit(
        points={},
        why=why,
        opened_at=now if circuit.why is None else circuit.opened_at,
        until=now + min(open_for_s, rules.longest_s(why)),
        level=max(0, min(level, _MOST_DOUBLINGS)),
    )


def _closed(circuit: Circuit, rules: CircuitRules) -> Circuit:
    points = {} if circuit.why is None else {circuit.why: rules.most_points}
    return Circuit(points=points, level=circuit.level)

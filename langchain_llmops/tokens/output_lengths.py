"""How long answers turn out: a quantile of finished calls, by feature and by prompt."""

from __future__ import annotations

import threading
from collections import deque
from math import ceil, log
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OutputLengths"]

_KEPT = 512
_ENOUGH = 20
"""Calls from which a quantile is worth more than none: of 20, the 95 % are the top."""

_CUT_SHORT = 2
"""An answer that was cut off would have been longer: taken as so many times as long.

Without this an estimate that limits the next answer could never grow again.
"""


class _Call(NamedTuple):
    prompt: int
    output: int


class OutputLengths:
    """Remembers the last 512 calls of each feature; safe across threads."""

    def __init__(self) -> None:
        self._calls: dict[str | None, deque[_Call]] = {}
        self._lock = threading.Lock()

    def observe(
        self,
        prompt_tokens: int,
        output_tokens: int,
        *,
        feature: str | None = None,
        truncated: bool = False,
    ) -> None:
        """Learn from one finished call.

        Args:
            prompt_tokens: Its input.
            output_tokens: Its answer.
            feature: What it was for.
            truncated: Whether the answer was cut off at a limit.
        """
        output = output_tokens * (_CUT_SHORT if truncated else 1)
        with self._lock:
            calls = self._calls.setdefault(feature, deque(maxlen=_KEPT))
            calls.append(_Call(prompt_tokens, output))

    def estimate(
        self, prompt_tokens: int, *, feature: str | None, quantile: float
    ) -> int | None:
        """Return the tokens that an answer does not exceed, in that share of calls.

        Looked at are the calls of the feature (of all features, where it has fewer
        than 20), and of these the third whose prompts are most like this one in size.

        Args:
            prompt_tokens: The input.
            feature: What the call is for.
            quantile: Share of the calls, between 0 and 1.

        Returns:
            The estimate; `None` while fewer than 20 calls are known.
        """
        with self._lock:
            calls = list(self._calls.get(feature, ()))
            if len(calls) < _ENOUGH:
                calls = [call for each in self._calls.values() for call in each]
        if len(calls) < _ENOUGH:
            return None
        near = _nearest(calls, prompt_tokens)
        outputs = sorted(call.output for call in near)
        # The share of (n + 1): so it holds for the next call, not only the last ones.
        place = min(len(outputs), ceil((len(outputs) + 1) * quantile))
        return outputs[place - 1]


def _nearest(calls: Sequence[_Call], prompt_tokens: int) -> list[_Call]:
    """Return the third of the calls with the most similar prompts, and their equals."""
    size = log(max(1, prompt_tokens))
    away = [abs(log(max(1, call.prompt)) - size) for call in calls]
    furthest = sorted(away)[min(len(calls), max(_ENOUGH, len(calls) // 3)) - 1]
    near = zip(calls, away, strict=True)
    return [call for call, distance in near if distance <= furthest]

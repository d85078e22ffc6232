"""Calls under way: what was known when one began, and what has come of it since."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_llmops.cost.charge import NOT_SAID
from langchain_llmops.cost.report import UNKNOWN_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["OpenRun", "OpenRuns", "said"]


class OpenRun:
    """One call that began. Everything is kept as it came and read only if needed.

    Attributes:
        run_id: Its run.
        started: Its place in the order in which this handler's runs began.
        started_at: When it began, in seconds since the epoch.
        began: The same by a clock that never goes backwards, as the next two.
        arrivals: When its stream brought output, piece by piece, by that clock.
        ended: When it ended, if it did.
        error: Class of the error that ended it, if one did.
        input: What went in: messages of a chat model, prompts of a text model.
        is_chat: Whether it is a chat model.
        pieces: What its stream brought: chunks, protocol events or tokens.
        copies: How often each event arrives, because the handler was attached more
            than once.
    """

    __slots__ = (
        "_details",
        "_metadata",
        "arrivals",
        "began",
        "copies",
        "ended",
        "error",
        "input",
        "is_chat",
        "pieces",
        "run_id",
        "started",
        "started_at",
    )

    def __init__(
        self,
        run_id: UUID,
        started: int,
        input_: object,
        details: Mapping[str, Any],
        *,
        is_chat: bool,
        started_at: float = 0.0,
        began: float = 0.0,
    ) -> None:
        self.run_id = run_id
        self.started = started
        self.started_at = started_at
        self.began = began
        self.arrivals: list[float] = []
        self.ended: float | None = None
        self.error: str | None = None
        self.input = input_
        self.is_chat = is_chat
        self.pieces: list[object] = []
        self.copies = 1
        self._details = details
        metadata = details.get("metadata")
        self._metadata = metadata if isinstance(metadata, Mapping) else {}

    @property
    def model_class(self) -> str:
        """The name of the model's class, as core serialises it."""
        serialized = self._details.get("serialized")
        path = serialized.get("id") if isinstance(serialized, Mapping) else None
        return str(path[-1]) if path and isinstance(path, list) else ""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the model was called with: its settings and the caller's."""
        parameters = self._details.get("invocation_params")
        return parameters if isinstance(parameters, Mapping) else {}

    @property
    def requested(self) -> str | None:
        """The model that was asked for."""
        names = [self._metadata.get("ls_model_name")]
        names += [self.parameters.get(key) for key in ("model", "model_name")]
        return next((name for name in names if name and isinstance(name, str)), None)

    @property
    def provider(self) -> str | None:
        """The provider that the model's class belongs to."""
        provider = self._metadata.get("ls_provider")
        return provider if isinstance(provider, str) else None

    def said(self, key: str) -> str:
        """Return what `config["metadata"]` says of a key: the feature, the tenant."""
        return said(self._metadata, key)

    @property
    def duration_s(self) -> float:
        """Seconds from its beginning to its end; 0 if it has not ended."""
        return 0.0 if self.ended is None else max(0.0, self.ended - self.began)

    @property
    def first_token_s(self) -> float | None:
        """Seconds until its stream brought output, if it did."""
        return max(0.0, self.arrivals[0] - self.began) if self.arrivals else None

    @property
    def label(self) -> str:
        """The model for reports, as long as no reply has named it."""
        return self.requested or UNKNOWN_MODEL

    @property
    def tools(self) -> Sequence[Any] | None:
        """The tools that went along."""
        tools = self.parameters.get("tools")
        return tools if isinstance(tools, list) else None

    @property
    def service_tier(self) -> str | None:
        """The service tier that was asked for."""
        tier = self.parameters.get("service_tier")
        return tier if isinstance(tier, str) else None

    @property
    def shares_request(self) -> bool:
        """Whether one request may have carried several prompts, as text models do."""
        size = self._details.get("batch_size")
        return not self.is_chat and isinstance(size, int) and size > 1


class OpenRuns:
    """The runs under way, by id; never more than a given number.

    Not safe across threads: its owner holds a lock. Only `add` needs none, as the
    events of one run come one after the other.

    Args:
        most: How many are kept. A cancelled `ainvoke` ends without an event, so runs
            may stay for ever; the oldest give way.
        clock: Seconds since the epoch.
        timer: Seconds on a clock that never goes backwards.
    """

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._most = most
        self._clock = clock
        self._timer = timer
        self._order = itertools.count()
        self._runs: dict[UUID, OpenRun] = {}

    def open(
        self,
        run_id: UUID,
        input_: object,
        details: Mapping[str, Any],
        *,
        is_chat: bool,
    ) -> OpenRun | None:
        """Note that a run begins; return the run that had to give way, if any."""
        known = self._runs.get(run_id)
        if known is not None:
            known.copies += 1
            return None
        self._runs[run_id] = OpenRun(
            run_id,
            next(self._order),
            input_,
            details,
            is_chat=is_chat,
            started_at=self._clock(),
            began=self._timer(),
        )
        if len(self._runs) <= self._most:
            return None
        return self._runs.pop(next(iter(self._runs)))

    def close(self, run_id: UUID) -> OpenRun | None:
        """Note that a run ended; `None` if it never began, or ended before."""
        run = self._runs.pop(run_id, None)
        if run is not None:
            run.ended = self._timer()
        return run

    def add(self, run_id: UUID, piece: object) -> None:
        """Note what the stream of a run brought. Needs no lock."""
        run = self._runs.get(run_id)
        if run is not None:
            run.pieces.append(piece)
            if _brings_output(piece):
                run.arrivals.append(self._timer())

    def __iter__(self) -> Iterator[OpenRun]:
        """Iterate over the runs that began and have not ended."""
        return iter(self._runs.values())


def said(metadata: Mapping[str, Any], key: str) -> str:
    """Return what `config["metadata"]` says of a key, if that can be a label."""
    value = metadata.get(key)
    if value and isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float | UUID) else NOT_SAID


def _brings_output(piece: object) -> bool:
    """Say whether a piece holds some of the answer; roles and usage are none of it."""
    if isinstance(piece, dict):
        return piece.get("event") == "content-block-delta"
    message = getattr(piece, "message", None)
    if message is None:
        return bool(getattr(piece, "text", piece))
    parts = ("content", "tool_call_chunks", "additional_kwargs")
    return any(getattr(message, part, None) for part in parts)

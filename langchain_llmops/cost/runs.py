"""Calls under way: what was known when one began, and what has come of it since."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_llmops.cost.report import NO_FEATURE, UNKNOWN_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OpenRun", "OpenRuns"]


class OpenRun:
    """One call that began. Everything is kept as it came and read only if needed.

    Attributes:
        run_id: Its run.
        started: Its place in the order in which this handler's runs began.
        input: What went in: messages of a chat model, prompts of a text model.
        is_chat: Whether it is a chat model.
        pieces: What its stream brought: chunks, protocol events or tokens.
        copies: How often each event arrives, because the handler was attached more
            than once.
    """

    __slots__ = (
        "_details",
        "_metadata",
        "copies",
        "input",
        "is_chat",
        "pieces",
        "run_id",
        "started",
    )

    def __init__(
        self,
        run_id: UUID,
        started: int,
        input_: object,
        details: Mapping[str, Any],
        *,
        is_chat: bool,
    ) -> None:
        self.run_id = run_id
        self.started = started
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

    @property
    def feature(self) -> str:
        """What the call is for, as `config["metadata"]["feature"]` says."""
        feature = self._metadata.get("feature")
        if isinstance(feature, int | float | UUID):
            return str(feature)
        return feature if feature and isinstance(feature, str) else NO_FEATURE

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

    Not safe across threads: its owner holds a lock. Adding to `OpenRun.pieces` needs
    none, as the events of one run come one after the other.

    Args:
        most: How many are kept. A cancelled `ainvoke` ends without an event, so runs
            may stay for ever; the oldest give way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._order = itertools.count()
        self._runs: dict[UUID, OpenRun] = {}
        self._answered: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def get(self, run_id: UUID) -> OpenRun | None:
        """Return a run that began and has not ended."""
        return self._runs.get(run_id)

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
            run_id, next(self._order), input_, details, is_chat=is_chat
        )
        if len(self._runs) <= self._most:
            return None
        return self._runs.pop(next(iter(self._runs)))

    def close(self, run_id: UUID) -> OpenRun | None:
        """Note that a run ended; `None` if it never began, or ended before."""
        return self._runs.pop(run_id, None)

    def is_echo(self, run: OpenRun, message_id: str | None) -> bool:
        """Say whether a run only handed on the answer of a run inside it.

        A chat model that wraps another makes two runs of one call, and both report the
        inner one's message. Ask once per answered run: it is remembered for the next.

        Args:
            run: The run that just ended.
            message_id: Id of the message that it returned.
        """
        if message_id is None:
            return False
        inner = self._answered.get(message_id)
        if inner is not None and inner[0] > run.started and inner[1] != run.model_class:
            return True
        self._answered[message_id] = (run.started, run.model_class)
        if len(self._answered) > self._most:
            self._answered.popitem(last=False)
        return False

    def remaining(self) -> list[OpenRun]:
        """Return the runs that began and have not ended."""
        return list(self._runs.values())

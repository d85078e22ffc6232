"""`MetricsCallbackHandler`: every call as metrics, through OpenTelemetry."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from langchain_llmops import __version__
from langchain_llmops.cost.events import CallTrackingHandler
from langchain_llmops.cost.tracker import CallTracker
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.observability.collection import follow, observer
from langchain_llmops.observability.gaps import Gaps
from langchain_llmops.observability.instruments import make_instruments
from langchain_llmops.observability.recorder import Recorder
from langchain_llmops.observability.series import Attribute, SeriesTable
from langchain_llmops.observability.sums import Sums
from langchain_llmops.pricing.prices import Prices, default_prices
from langchain_llmops.types import RETRY_EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from opentelemetry.metrics import Meter

    from langchain_llmops.cost.charge import Charge

__all__ = ["MetricsCallbackHandler"]

logger = logging.getLogger(__name__)

_FEWEST_SERIES = 10
_RETRY_TAG = "retry:attempt:"


class MetricsCallbackHandler(CallTrackingHandler):
    """Record what calls take, use and cost as OpenTelemetry metrics.

    Pass it in `config["callbacks"]`, beside other handlers. Each call is recorded once,
    however often the handler is attached and however chains are nested, under the names
    of the GenAI conventions: `gen_ai.client.token.usage`, `.operation.duration`,
    `.operation.time_to_first_chunk`, `.operation.time_per_output_chunk` and the
    `.inference.usage` counters. What these have no word for is under `llmops.*`: cost,
    cache hits and what they saved, retries, failovers, budgets, waiting times. An
    answer out of a cache is none of the provider's: it is in `llmops.cache.*` only.

    It only needs OpenTelemetry's API. Without an SDK nothing is recorded; exporters are
    the SDK's, on threads of their own, so that one which is slow or down is not noticed
    here. It never raises into a call and never changes one. A call costs some sixty
    microseconds on the caller's thread, a token less than three; counters, the times
    of chunks and the tokens of broken streams are recorded when metrics are collected.
    Safe across threads and event loops. Making one loads the prices, as for
    `CostCallbackHandler`.

    Layers and routers tell it what no model's callback knows by LangChain's custom
    events: `types.RETRY_EVENT`, `FAILOVER_EVENT`, `QUEUE_WAIT_EVENT`, `BUDGET_EVENT`.
    Retries of `with_retry` are seen without.

    Args:
        meter: Where instruments are made; by default that of OpenTelemetry's global
            provider, which may be set later.
        attributes: What of `config["metadata"]` becomes a label (`llmops.tenant`), the
            one to keep longest first: `feature`, `tenant`, `user`. A call that does not
            say is `unknown`.
        max_series: Combinations of labels that are told apart, for each instrument.
            Beyond, the most frequent are; the last label of the others is `other`.
        prices: What models cost; by default the list prices of the day.

    Raises:
        ConfigurationError: An argument is none of these.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import MetricsCallbackHandler

        metrics = MetricsCallbackHandler()
        model = FakeListChatModel(responses=["Hello!"])
        model.invoke("Hi", {"callbacks": [metrics], "metadata": {"tenant": "acme"}})
        ```
    """

    def __init__(
        self,
        meter: Meter | None = None,
        *,
        attributes: Sequence[Attribute] = ("feature", "tenant"),
        max_series: int = 200,
        prices: Prices | None = None,
    ) -> None:
        _check(attributes, max_series, prices)
        self.meter = _meter(meter)
        on = make_instruments(self.meter, observer(self.meter))
        self._sums = Sums(on)
        self._gaps = Gaps(on["gen_ai.client.operation.time_per_output_chunk"])
        self._recorder = Recorder(
            on,
            SeriesTable(attributes, max_series),
            self._sums,
            self._gaps,
            max_scopes=max_series,
        )
        self._tracker = CallTracker(prices or default_prices(), self._book)
        self._latest: deque[object] = deque(maxlen=64)
        self._complained = False
        follow(self)

    def on_chain_start(  # noqa: D102 # see BaseCallbackHandler, here and below
        self,
        serialized: dict[str, Any],  # noqa: ARG002 # core's signatures
        inputs: dict[str, Any],  # noqa: ARG002
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        if tags:
            self._note_retry(run_id, tags, metadata)

    def on_chat_model_start(  # noqa: D102
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        super().on_chat_model_start(serialized, messages, run_id=run_id, **kwargs)
        if tags := kwargs.get("tags"):
            self._note_retry(run_id, tags, kwargs.get("metadata"))

    def on_llm_start(  # noqa: D102
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        super().on_llm_start(serialized, prompts, run_id=run_id, **kwargs)
        if tags := kwargs.get("tags"):
            self._note_retry(run_id, tags, kwargs.get("metadata"))

    def on_custom_event(  # noqa: D102
        self,
        name: str,
        data: Any,
        *,
        run_id: UUID,  # noqa: ARG002
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        ours = name.startswith("llmops.") and isinstance(data, Mapping)
        if ours and self._is_news(data):
            self._try(self._recorder.event, name, data, metadata or {})

    def catch_up(self) -> None:
        """Record what was put off: counters, times of chunks, tokens yet to count.

        The SDK asks for this whenever it collects, on its own thread. About 7 µs for
        each chunk and 50 ms for each megabyte of broken streams.
        """
        self._try(self._tracker.count_estimates)
        self._try(self._sums.record)
        self._try(self._gaps.record)

    def under_way(self) -> int:
        """Return the number of calls that began and have not ended, or not audibly."""
        return len(self._tracker.under_way())

    def _book(self, charge: Charge) -> None:
        self._try(self._recorder.call, charge)

    def _note_retry(
        self, run_id: UUID, tags: list[str], metadata: Mapping[str, Any] | None
    ) -> None:
        again = any(str(tag).startswith(_RETRY_TAG) for tag in tags)
        if again and self._is_news(run_id):
            self._try(self._recorder.event, RETRY_EVENT, {}, metadata or {})

    def _is_news(self, thing: object) -> bool:
        """Say whether something is seen first: a handler may be attached twice."""
        if any(thing is known for known in self._latest):
            return False
        self._latest.append(thing)
        return True

    def _try(self, record: Callable[..., None], *what: Any) -> None:
        try:
            record(*what)
        except Exception as error:  # whatever a meter may do
            if not self._complained:
                self._complained = True
                logger.warning(
                    "A metric could not be recorded. Further ones are not logged.",
                    exc_info=error,
                )


def _meter(meter: Meter | None) -> Meter:
    from opentelemetry import metrics  # noqa: PLC0415 # only when one is made

    if meter is None:
        return metrics.get_meter("langchain_llmops", __version__)
    if not isinstance(meter, metrics.Meter):
        raise ConfigurationError(
            f"meter={meter!r} is none: pass "
            'opentelemetry.metrics.get_meter("my-service")'
        )
    return meter


def _check(
    attributes: Sequence[Attribute], max_series: int, prices: Prices | None
) -> None:
    known = get_args(Attribute)
    if isinstance(attributes, str) or not set(attributes) <= set(known):
        raise ConfigurationError(
            f"attributes={attributes!r} cannot be labels: choose from {known!r}"
        )
    if max_series < _FEWEST_SERIES:
        raise ConfigurationError(
            f"max_series={max_series!r} tells nothing apart: "
            f"give {_FEWEST_SERIES} or more"
        )
    if prices is not None and not isinstance(prices, Prices):
        raise ConfigurationError(
            f"prices={prices!r} are none: pass Prices({{model: UsdPerMillion(…)}})"
        )

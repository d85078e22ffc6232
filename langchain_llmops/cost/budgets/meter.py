"""What a call will use, as far as that can be known, and what it did use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from uuid import UUID

from langchain_llmops.cost.budgets.history import OutputHistory
from langchain_llmops.cost.budgets.limit import MOST, Unit, picodollars
from langchain_llmops.cost.estimate import answer_text, estimate, streamed_text
from langchain_llmops.cost.runs import OpenRun
from langchain_llmops.cost.settle import is_believable, settle
from langchain_llmops.cost.usage import mark_in, read_reply, usage_so_far
from langchain_llmops.errors import BudgetExceededError, ConfigurationError
from langchain_llmops.pricing.money import dollars, motes
from langchain_llmops.pricing.prices import Prices, default_prices
from langchain_llmops.pricing.usage import Usage, token_count
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.models.base import ModelCall

__all__ = ["CallMeter", "Expectation", "Outputs"]

Outputs: TypeAlias = Literal["learned", "max"]

_NO_RUN: Final = UUID(int=0)
_NOTHING: Final = Usage()
_LONG: Final = 100_000
"""Characters that take milliseconds to count: on another thread, then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a call is expected to use, and what is known of it for its settlement.

    Attributes:
        run: The call, as the rest of cost/ reads it.
        amount: How much of the budget it needs: calls, tokens or picodollars.
        model: Its model, for learning.
        choices: How many answers it asks for.
    """

    run: OpenRun
    amount: int
    model: str
    choices: int


class CallMeter:
    """Measure calls in the unit of a budget. Safe across threads and event loops.

    Args:
        unit: What the budget counts.
        prices: What models cost; loaded when first needed if not given.
        unpriced: Whether models without a price pass, as costing nothing.
        outputs: Whether the length of an answer is learnt, or taken at its maximum.
    """

    def __init__(
        self,
        unit: Unit,
        *,
        prices: Prices | None,
        unpriced: Literal["refuse", "allow"],
        outputs: Outputs,
    ) -> None:
        self._unit = unit
        self._prices = default_prices() if prices is None and unit == "usd" else prices
        self._allows_unpriced = unpriced == "allow"
        self._learns = outputs == "learned"
        self._history = OutputHistory()
        self._counter = lru_cache(maxsize=64)(TokenCounter)
        self._loaded: set[str] = set()

    def load(self, model: BaseChatModel) -> None:
        """Read what counting a model's tokens needs, so that no call has to."""
        if self._unit != "calls":
            name = _text(_parameters(model, None, {}), "ls_model_name")
            self._counter(name).load()
            self._loaded.add(name)

    def expect(self, call: ModelCall) -> Expectation:
        """Return what a call will use: its input counted, its output estimated.

        Raises:
            ConfigurationError: The model has no known price and needs one, no maximum
                and needs one, or `max_usd` is no amount.
            BudgetExceededError: The call may cost more than its own `max_usd`.
        """
        parameters = _parameters(call.model, call.stop, call.kwargs)
        model = _text(parameters, "ls_model_name")
        run = _open_run(call, parameters)
        choices = _choices(call)
        max_usd = (call.config.get("configurable") or {}).get("max_usd")
        if self._unit == "calls" and max_usd is None:
            return Expectation(run=run, amount=1, model=model, choices=choices)
        usage = Usage(
            self._input_tokens(call, run, model),
            self._output_tokens(call, parameters, model) * choices,
        )
        cost = None
        if self._unit == "usd" or max_usd is not None:
            cost = self._cost(run, model, usage)
        if max_usd is not None:
            _check_call(max_usd, cost)
        return Expectation(
            run=run, amount=self._amount(usage, cost), model=model, choices=choices
        )

    async def aexpect(self, call: ModelCall) -> Expectation:
        """Return what `expect` returns; what takes long is done on another thread."""
        if self._takes_long(call):
            return await asyncio.to_thread(self.expect, call)
        return self.expect(call)

    def used(
        self,
        expected: Expectation,
        result: ChatResult | None,
        chunks: Sequence[ChatGenerationChunk] = (),
    ) -> int | None:
        """Return what a call used, by the provider's numbers where there are any.

        Returns `None` if those numbers cannot be true.

        Args:
            expected: What `expect` returned for it.
            result: Its result, or `None` if it was a stream.
            chunks: What its stream brought.
        """
        reply = read_reply(result, reversed(chunks))
        if reply.mark or mark_in(chunks):
            return 0  # a cache further in answered
        if self._unit == "calls":
            return 1
        run = expected.run
        usage = reply.usage or usage_so_far(chunks)
        if reply.usage is None and not usage.output_tokens:
            output = streamed_text(chunks) if result is None else answer_text(result)
            usage = estimate(run, reply.model or run.requested, output, usage)
        if not is_believable(usage):
            return None
        self._history.add(expected.model, -(-usage.output_tokens // expected.choices))
        cost = None
        if self._unit == "usd":
            cost = settle(run, reply, usage, self._known_prices()).cost
        return self._amount(usage, cost)

    def cut_off(
        self, expected: Expectation, chunks: Sequence[ChatGenerationChunk]
    ) -> int:
        """Return what a call that broke off may have used: what was reserved, at least.

        A provider may go on writing, and billing, after the reader has gone.
        """
        if self._unit == "calls" or not chunks:
            return expected.amount
        usage = estimate(
            expected.run,
            expected.run.requested,
            streamed_text(chunks),
            usage_so_far(chunks),
        )
        cost = None
        if self._unit == "usd":
            cost = self._cost(expected.run, expected.model, usage)
        return max(expected.amount, self._amount(usage, cost))

    def _amount(self, usage: Usage, cost: int | None) -> int:
        if self._unit == "usd":
            return picodollars(cost or 0)
        if self._unit == "tokens":
            return min(usage.input_tokens + usage.output_tokens, MOST)
        return 1

    def _cost(self, run: OpenRun, model: str, usage: Usage) -> int | None:
        sheet = self._known_prices().sheet(
            (model,) if model else (), run.provider, run.service_tier
        )
        cost = None if sheet is None else sheet.cost(usage)
        if cost is None and not self._allows_unpriced:
            raise ConfigurationError(
                f"the model {model!r} has no known price, so a limit in USD cannot be "
                "kept: give BudgetLayer(budget, prices=Prices({…})), or "
                'Budget(…, unpriced="allow")'
            )
        return cost

    def _known_prices(self) -> Prices:
        return self._prices or default_prices()

    def _input_tokens(self, call: ModelCall, run: OpenRun, model: str) -> int:
        count = self._counter(model).measure_messages(call.messages, run.tools)
        self._loaded.add(model)
        return count.tokens if count.upper_bound is None else count.upper_bound

    def _output_tokens(
        self, call: ModelCall, parameters: Mapping[str, Any], model: str
    ) -> int:
        asked = parameters.get("ls_max_tokens") or call.kwargs.get("max_output_tokens")
        at_most = token_count(asked) or None
        if self._learns:
            return self._history.expected(model, at_most)
        profile = call.model.profile or {}
        at_most = at_most or token_count(profile.get("max_output_tokens")) or None
        if at_most is None:
            raise ConfigurationError(
                f"the model {model!r} has no known maximum of output tokens: give it "
                'max_tokens, or BudgetLayer(budget, outputs="learned")'
            )
        return at_most

    def _takes_long(self, call: ModelCall) -> bool:
        max_usd = (call.config.get("configurable") or {}).get("max_usd")
        if self._unit == "calls" and max_usd is None:
            return False
        if max_usd is not None and self._prices is None:
            return True
        name = _text(_parameters(call.model, call.stop, call.kwargs), "ls_model_name")
        long = sum(len(message.content) for message in call.messages) > _LONG
        return long or name not in self._loaded


def _parameters(
    model: BaseChatModel, stop: list[str] | None, kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what core tells tracers: the model's name, its provider, its maximum."""
    return dict(model._get_ls_params(stop=stop, **kwargs))  # noqa: SLF001 # core's hook


def _open_run(call: ModelCall, parameters: Mapping[str, Any]) -> OpenRun:
    tier = call.kwargs.get("service_tier", getattr(call.model, "service_tier", None))
    details = {
        "metadata": parameters,
        "invocation_params": {**call.kwargs, "service_tier": tier},
    }
    return OpenRun(_NO_RUN, 0, call.messages, details, is_chat=True)


def _choices(call: ModelCall) -> int:
    asked = call.kwargs.get("n") or getattr(call.model, "n", None)
    return max(1, token_count(asked))


def _check_call(max_usd: object, cost: int | None) -> None:
    if isinstance(max_usd, bool) or not isinstance(max_usd, int | float | str):
        max_usd = str(max_usd)  # a Decimal; anything else is refused below
    most = motes(max_usd)
    if cost is not None and cost > most:
        raise BudgetExceededError(
            "call", dollars(most), dollars(0), dollars(cost), None, unit="usd"
        )


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""

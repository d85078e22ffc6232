"""`track_costs`: count whatever is called inside a block, without passing a handler."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from langchain_llmops.cost.handler import CostCallbackHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_llmops.cost.charge import ChargeLedger
    from langchain_llmops.pricing import Prices

__all__ = ["track_costs"]


class _Around(BaseCallbackHandler):
    """Hands each event of a model to the handlers of all blocks around it."""

    run_inline = True

    def __init__(self, handlers: tuple[CostCallbackHandler, ...]) -> None:
        self.handlers = handlers

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        for handler in self.handlers:
            handler.on_chat_model_start(*args, **kwargs)

    def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
        for handler in self.handlers:
            handler.on_llm_start(*args, **kwargs)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        for handler in self.handlers:
            handler.on_llm_new_token(*args, **kwargs)

    def on_stream_event(self, *args: Any, **kwargs: Any) -> None:
        for handler in self.handlers:
            handler.on_stream_event(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        for handler in self.handlers:
            handler.on_llm_end(*args, **kwargs)

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
        for handler in self.handlers:
            handler.on_llm_error(*args, **kwargs)


_around: ContextVar[_Around | None] = ContextVar("llmops_track_costs", default=None)

# Once for the process: LangChain asks every hook at every call and never drops one.
register_configure_hook(_around, inheritable=True)


@contextmanager
def track_costs(
    ledger: ChargeLedger | None = None, *, prices: Prices | None = None
) -> Iterator[CostCallbackHandler]:
    """Count what every model called inside a `with` block uses and costs.

    For code that hands no `config` on. It holds for the tasks and threads that the
    block starts through asyncio or LangChain, and for nobody else: blocks that run at
    the same time do not see each other's calls. Inside another block, both count. A
    run that begins in the block is followed to its end, even outside.

    Entering one takes a few microseconds (the first in a process loads the prices, as
    `CostCallbackHandler` does), and leaves nothing behind.

    Args:
        ledger: Where each charge is kept as a row as well.
        prices: What models cost; by default the list prices of the day.

    Yields:
        A new `CostCallbackHandler`; its report is good during the block and after it.

    Raises:
        ConfigurationError: As for `CostCallbackHandler`.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import track_costs

        with track_costs() as costs:
            FakeListChatModel(responses=["Hello!"]).invoke("Hi")
        assert costs.report().calls == 1
        ```
    """
    handler = CostCallbackHandler(ledger, prices=prices)
    outer = _around.get()
    _around.set(_Around((*(outer.handlers if outer else ()), handler)))
    try:
        yield handler
    finally:
        # Not by a token: a generator may be closed in another context than it began in.
        _around.set(outer)

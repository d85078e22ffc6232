"""`stream_events(version="v3")` of a router: one chain run, and the stream of events.

The chunks that the router hands out, with layers or without, become the events of
LangChain's v3 protocol by core's own bridge, as those of any model do.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models._compat_bridge import (
    achunks_to_events,
    chunks_to_events,
)
from langchain_core.language_models.chat_model_stream import (
    AsyncChatModelStream,
    ChatModelStream,
)

from langchain_llmops.models.closable import aclosable, closable
from langchain_llmops.routing.router_run import aopen_run, open_run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import RunnableConfig

    from langchain_llmops.routing.router_run import AsyncRouterRun, RouterRun

__all__ = ["achain_events", "chain_events"]

# The hooks and the task of a stream are private by name; core's own v3 drivers, which
# open an LLM run where a router needs a chain, use them in the same way.
# ruff: noqa: SLF001


def chain_events(
    router: BaseChatModel,
    prompt: LanguageModelInput,
    config: RunnableConfig | None,
    **kwargs: Any,
) -> ChatModelStream:
    """Return the stream of one call; nothing is sent before it is read.

    As with any model, a stream that is not read to its end leaves its run open.
    """
    messages = router._convert_input(prompt).to_messages()
    stream = ChatModelStream()
    run: RouterRun
    events: Iterator[Any] | None = None

    def start() -> None:
        nonlocal run, events
        if events is None:
            run = open_run(router, prompt, config)
            message_id = f"lc_run--{run.run_id}"
            stream.set_message_id(message_id)
            chunks = router._stream(messages, run_manager=cast("Any", run), **kwargs)
            events = chunks_to_events(closable(chunks), message_id=message_id)

    def pump() -> bool:
        start()
        assert events is not None  # noqa: S101 - `start` has set it
        try:
            event = next(events, None)
            if event is not None:
                stream.dispatch(event)
        except BaseException as error:  # noqa: BLE001 - the stream raises it
            # First the run: failing the stream wakes who waits for it.
            run.on_chain_error(error)
            stream.fail(error)
            return False
        if stream.done:
            run.on_chain_end(stream.output_message)
        return event is not None

    stream.set_start(start)
    stream.bind_pump(pump)
    return stream


async def achain_events(
    router: BaseChatModel,
    prompt: LanguageModelInput,
    config: RunnableConfig | None,
    **kwargs: Any,
) -> AsyncChatModelStream:
    """Return the stream of one call on an event loop; it starts when it is read."""
    messages = router._convert_input(prompt).to_messages()
    stream = AsyncChatModelStream()
    starting = asyncio.Lock()
    run: AsyncRouterRun

    async def start() -> None:
        nonlocal run
        async with starting:
            if stream._producer_task is None:
                run = await aopen_run(router, prompt, config)
                stream.set_message_id(f"lc_run--{run.run_id}")
                chunks = router._astream(
                    messages, run_manager=cast("Any", run), **kwargs
                )
                producing = _produce(stream, run, aclosable(chunks))
                stream._producer_task = asyncio.create_task(producing)

    async def unstarted(error: BaseException) -> None:
        # The task was cancelled before it ran, so that nobody has closed the run.
        await run.on_chain_error(error)

    stream.set_start(start)
    stream._on_aclose_fail = unstarted
    return stream


async def _produce(
    stream: AsyncChatModelStream,
    run: AsyncRouterRun,
    chunks: AsyncGenerator[ChatGenerationChunk, None],
) -> None:
    events = achunks_to_events(chunks, message_id=stream.message_id)
    try:
        async with aclosing(chunks), aclosing(aclosable(events)) as each:
            async for event in each:
                stream.dispatch(event)
    except asyncio.CancelledError as error:
        with suppress(Exception):
            await run.on_chain_error(error)
        stream.fail(error)
        raise
    except BaseException as error:  # noqa: BLE001 - the stream raises it
        await run.on_chain_error(error)
        stream.fail(error)
        return
    await run.on_chain_end(stream.output_message)

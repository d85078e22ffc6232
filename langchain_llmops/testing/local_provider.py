"""A provider on loopback that speaks the OpenAI API."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Self

from aiohttp import web

from langchain_llmops.errors import LocalProviderError
from langchain_llmops.testing.app import application
from langchain_llmops.testing.desk import Desk, ProviderSettings
from langchain_llmops.testing.encoder import encoder
from langchain_llmops.testing.exchange import Books
from langchain_llmops.testing.faults import Latency
from langchain_llmops.testing.minilm import minilm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from langchain_llmops.testing.desk import Embedder, Script
    from langchain_llmops.testing.faults import Fault
    from langchain_llmops.testing.invoice import InvoiceRow, RequestRecord

__all__ = ["LocalProvider", "serve"]

_HOST = "127.0.0.1"
_BACKLOG = 4096
_POLL_S = 0.005


class LocalProvider:
    r"""Serve the OpenAI API on loopback, keep the invoice, and fail on request.

    Chat completions (streamed or not, with tools and structured output) are answered
    from the context in the prompt, by quotation; embeddings are lexical. Both are
    deterministic by seed. The server runs on a thread of its own, so that sync and
    async code can call it from the same process.

    Example:
        ```python
        from langchain_openai import ChatOpenAI
        from langchain_llmops.testing import LocalProvider

        with LocalProvider() as provider:
            model = ChatOpenAI(model="gpt-4o", base_url=provider.base_url, api_key="-")
            model.invoke("Context: Ada wrote it.\n\nQuestion: Who wrote it?")
            assert provider.invoice[0].status == "completed"
        ```

    Args:
        port: Port to listen on; 0 takes a free one.
        seed: Where all chance comes from: latency, faults with a probability, the
            wording at positive temperature.
        latency: How fast it answers: for all models, or by name pattern
            (`{"gpt-4o-mini*": Latency(...), "*": Latency(...)}`).
        faults: What goes wrong from the start; `inject` adds more.
        answer: Answers in place of the built-in quotation: gets the messages as they
            were sent, returns the text. Runs on the provider's event loop.
        embedder: Embeds in place of the lexical vectors: texts in, vectors out, on a
            worker thread. `"minilm"` loads the model of the `local` extra.
        settings: Keys, unknown models, prompt caching, reasoning.
        clock: Seconds, monotonic.
        sleep: How to wait.

    Raises:
        LocalProviderError: From `start` and `with`: the port is used.
        MissingExtraError: `embedder="minilm"` without the `local` extra.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        seed: int = 0,
        latency: Latency | Mapping[str, Latency] = Latency(),  # noqa: B008 - frozen
        faults: Iterable[Fault] = (),
        answer: Script | None = None,
        embedder: Embedder | Literal["minilm"] | None = None,
        settings: ProviderSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._port = port
        self._clock = clock
        started, wall = clock(), datetime.now(UTC)
        self._now = lambda: wall + timedelta(seconds=clock() - started)
        self._desk = Desk(
            settings=settings or ProviderSettings(),
            seed=seed,
            latency=latency,
            script=answer,
            embedder=minilm() if embedder == "minilm" else embedder,
            sleep=sleep,
            books=Books(clock=clock, now=self._now),
            started=started,
        )
        self.inject(*faults)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        """Address for clients, ending in `/v1`."""
        return f"http://{_HOST}:{self._port}/v1"

    @property
    def port(self) -> int:
        """Port that it listens on; kept when it is stopped and started again."""
        return self._port

    @property
    def invoice(self) -> list[InvoiceRow]:
        """What has been billed since the start or the last `reset`, in order of end."""
        return list(self._desk.books.invoice)

    @property
    def invoiced_usd(self) -> Decimal:
        """Sum of the invoice."""
        return sum((row.usd for row in self.invoice), Decimal())

    @property
    def requests(self) -> list[RequestRecord]:
        """Every HTTP request since the start or the last `reset`, refused ones too."""
        return [exchange.record() for exchange in list(self._desk.books.exchanges)]

    @property
    def active(self) -> int:
        """Requests being served now."""
        return len(self._desk.books.open)

    @property
    def peak_active(self) -> int:
        """Most requests that were ever served at once since the last `reset`."""
        return self._desk.books.peak

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was made, by its clock: what `Fault.between` refers to."""
        return self._clock() - self._desk.started

    @property
    def exact(self) -> bool:
        """Whether tokens are counted by tiktoken: its rank files were found.

        Otherwise they are approximated, and so are the invoice's amounts. The first
        use reads the files, up to a second each.
        """
        return all(encoder(name).exact for name in ("o200k_base", "cl100k_base"))

    def inject(self, *faults: Fault) -> None:
        """Let something go wrong from the next request on. Safe from any thread."""
        self._desk.inject(*faults)

    def clear_faults(self) -> None:
        """Let nothing go wrong any more. Safe from any thread."""
        self._desk.faults = ()

    def reset(self) -> None:
        """Start new books and forget prompts seen before; faults stay.

        Requests that are being served are forgotten: they end up in no invoice.
        """
        self._desk.reset(Books(clock=self._clock, now=self._now))

    def start(self) -> Self:
        """Begin to serve; returns when connections are accepted.

        Raises:
            LocalProviderError: It is running already, or the port is used.
        """
        if self._thread is not None:
            raise LocalProviderError(
                f"The provider at {self.base_url!r} is running already: stop it first"
            )
        listener = _listen(self._port)
        self._port = listener.getsockname()[1]
        ready: Future[None] = Future()
        thread = threading.Thread(
            target=self._run,
            args=(listener, ready),
            name=f"local-provider-{self._port}",
            daemon=True,
        )
        thread.start()
        try:
            ready.result()
        except Exception:
            listener.close()
            thread.join()
            raise
        self._thread = thread
        return self

    def stop(self) -> None:
        """Stop serving: open requests are aborted, the port is free afterwards."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()
        self._loop = self._stopping = None

    def wait_idle(self, timeout_s: float = 5.0) -> None:
        """Wait until no request is being served: then the invoice is complete.

        A client that goes away is noticed within milliseconds, but after it has gone.

        Raises:
            LocalProviderError: Requests are still open after `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while self.active:
            if time.monotonic() > deadline:
                raise self._busy(timeout_s)
            time.sleep(_POLL_S)

    async def await_idle(self, timeout_s: float = 5.0) -> None:
        """Wait like `wait_idle`, without blocking the event loop."""
        deadline = time.monotonic() + timeout_s
        while self.active:
            if time.monotonic() > deadline:
                raise self._busy(timeout_s)
            await asyncio.sleep(_POLL_S)

    def _busy(self, timeout_s: float) -> LocalProviderError:
        return LocalProviderError(
            f"{self.active} requests are still open after {timeout_s} s: close their "
            "streams, or clear_faults() if they hang"
        )

    def _run(self, listener: socket.socket, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listener, ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, listener: socket.socket, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        runner = web.AppRunner(
            application(self._desk),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener, backlog=_BACKLOG).start()
            ready.set_result(None)
            await self._stopping.wait()
            for task in self._desk.tasks:
                task.cancel()
        finally:
            await runner.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port), backlog=_BACKLOG)
    except OSError as error:
        raise LocalProviderError(
            f"port={port!r} on {_HOST} cannot be used ({error.strerror}): choose "
            "another port, or 0 for a free one"
        ) from error


def serve(
    provider: LocalProvider, *, on_ready: Callable[[LocalProvider], None]
) -> None:
    """Run a provider until Ctrl-C; for a process of its own, such as a command.

    Args:
        provider: What to run; its invoice can be read afterwards.
        on_ready: Called once connections are accepted, to print the address.

    Raises:
        LocalProviderError: The port is used.
    """
    with provider:
        on_ready(provider)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return

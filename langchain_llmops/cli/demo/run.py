"""Driving traffic through a chain, and watching each question."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_llmops.cli.demo.turns import Turn
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import price
from langchain_llmops.types import CACHE_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.outputs import LLMResult

    from langchain_llmops.cli.demo.chains import Chain
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.spending import Spending

__all__ = ["Arm"]

_HOPELESS = 5
"""So many failures before the first answer, and no further question is asked."""


class Arm:
    """One chain under the whole traffic, or several in turns.

    Sessions run side by side, the turns of a session in order; questions start in the
    order of the log. Made and run in one event loop.

    Args:
        name: What reports call it.
        model: The model's name, to price each call.
        callbacks: Handlers to hang on every question.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        *,
        model: str,
        callbacks: Sequence[BaseCallbackHandler] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self._model = model
        self._callbacks = callbacks
        self._clock = clock
        self._done: dict[str, Turn] = {}
        self._asked: Sequence[Question] = ()
        self.wall_s = 0.0

    @property
    def turns(self) -> list[Turn]:
        """What was seen so far, in the order of the log; also after a cancellation."""
        return [self._done[one.id] for one in self._asked if one.id in self._done]

    async def run(
        self,
        chain: Chain,
        questions: Sequence[Question],
        *,
        concurrency: int,
        on_turn: Callable[[Turn], None],
        spending: Spending | None = None,
    ) -> None:
        """Ask all questions; what fails is recorded, not raised.

        Args:
            chain: Takes `{"question", "turns"}`, streams text.
            questions: The log, or its next part: sessions go on.
            concurrency: How many questions may be open at once.
            on_turn: Called after each question, in the order of ends.
            spending: Says whether the next call may be made; `None` for no limit.

        Raises:
            ConfigurationError: The first questions all failed: something is wrong
                with the provider or its address, key or model.
        """
        self._asked = [*self._asked, *questions]
        started = self._clock()
        sessions: dict[str, list[asyncio.Task[None]]] = {}
        open_now: dict[asyncio.Task[None], Question] = {}

        async def one(question: Question, before: list[asyncio.Task[None]]) -> None:
            if before:
                await asyncio.wait(before)
            self._done[question.id] = turn = await self._ask(chain, question)
            on_turn(turn)

        try:
            async with asyncio.TaskGroup() as group:
                for question in questions:
                    if not await self._may_ask(
                        question, open_now, concurrency, spending
                    ):
                        break
                    turns = sessions.setdefault(question.session, [])
                    task = group.create_task(one(question, turns.copy()))
                    open_now[task] = question
                    task.add_done_callback(open_now.pop)
                    turns.append(task)
        finally:
            self.wall_s += self._clock() - started
        if self._hopeless():
            error = next(iter(self._done.values())).error
            raise ConfigurationError(
                f"no answer to the first {len(self._done)} questions arrived "
                f"({error}): check --base-url, --model and OPENAI_API_KEY"
            )

    async def _may_ask(
        self,
        question: Question,
        open_now: Mapping[asyncio.Task[None], Question],
        concurrency: int,
        spending: Spending | None,
    ) -> bool:
        """Wait until a question may be asked; `False` if none may any more."""
        while not self._hopeless():
            if len(open_now) < concurrency:
                if spending is None or spending.admits(question, open_now.values()):
                    return True
                if not open_now:
                    return False
            await asyncio.wait(open_now, return_when=asyncio.FIRST_COMPLETED)
        return False

    def _hopeless(self) -> bool:
        enough = max(1, min(_HOPELESS, len(self._asked)))
        return len(self._done) >= enough and all(
            turn.error for turn in self._done.values()
        )

    async def _ask(self, chain: Chain, question: Question) -> Turn:
        watch = _Watch()
        started = self._clock()
        ttft_s: float | None = None
        error: str | None = None
        text = ""
        try:
            stream = chain.astream(
                {"question": question.text, "turns": self._earlier(question)},
                {
                    "callbacks": [*self._callbacks, watch],
                    "run_name": f"demo {self.name}",
                    "metadata": {
                        "feature": f"demo {self.name}",
                        "question": question.id,
                    },
                    "configurable": {"thread_id": question.session},
                },
            )
            async with aclosing(stream) as pieces:  # type: ignore[type-var]  # typed as an iterator
                async for piece in pieces:
                    if piece and ttft_s is None:
                        ttft_s = self._clock() - started
                    text += piece
        except Exception as failure:  # noqa: BLE001 - an answer that did not arrive is a result
            error = f"{type(failure).__name__}: {failure}"
        latency_s = self._clock() - started
        if error is None and not text.strip():
            error = "the answer is empty"
        usage = watch.usage
        return Turn(
            question=question,
            answer=text,
            error=error,
            ttft_s=ttft_s,
            latency_s=latency_s,
            retrieved=watch.topics,
            prompt=watch.prompt,
            mark=watch.metadata.get(CACHE_KEY),
            input_tokens=usage.get("input_tokens", 0),
            output_tokens=usage.get("output_tokens", 0),
            usd=price(self._model, usage, provider="openai") if usage else None,
        )

    def _earlier(self, question: Question) -> list[BaseMessage]:
        messages: list[BaseMessage] = []
        for other in self._asked:
            if other.id == question.id:
                break
            turn = self._done.get(other.id)
            if other.session == question.session and turn and turn.error is None:
                messages += [HumanMessage(other.text), AIMessage(turn.answer)]
        return messages


class _Watch(BaseCallbackHandler):
    """Remembers what one question retrieved, sent and used."""

    run_inline = True

    def __init__(self) -> None:
        self.topics: tuple[str, ...] = ()
        self.prompt: tuple[tuple[str, str], ...] = ()
        self.usage: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}

    def on_retriever_end(self, documents: Sequence[Document], **_: Any) -> None:
        self.topics = tuple(str(document.metadata["topic"]) for document in documents)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - core passes it by position
        messages: list[list[BaseMessage]],
        **_: Any,
    ) -> None:
        self.prompt = tuple((one.type, str(one.text)) for one in messages[0])

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        message = getattr(response.generations[0][0], "message", None)
        if isinstance(message, AIMessage):
            self.usage = dict(message.usage_metadata or {})
            self.metadata = message.response_metadata

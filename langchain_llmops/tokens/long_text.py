"""LongTextRunnable: a step that is too small for a text, applied to all of it."""

from __future__ import annotations

import asyncio
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable
from langchain_core.runnables.config import get_executor_for_config, run_in_executor
from langchain_core.stores import BaseStore  # noqa: TC002 - pydantic reads it
from langchain_text_splitters import TextSplitter  # noqa: TC002 - pydantic reads it
from pydantic import ConfigDict

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.counter import TokenCounter
from langchain_llmops.tokens.long_text_job import LongTextJob, said, text_of
from langchain_llmops.tokens.segment_store import Finished, SegmentStore
from langchain_llmops.tokens.shortening import Shortened, Strategy, shorten
from langchain_llmops.tokens.splitter import TokenTextSplitter
from langchain_llmops.tokens.structure import Structure

if TYPE_CHECKING:
    from langchain_core.documents import Document

__all__ = ["LONG_TEXT_EVENT", "LongTextRunnable"]

LONG_TEXT_EVENT = "llmops.long_text"
"""Custom event of LangChain: a segment of a long text is finished.

Its data says which (`index`), how many are finished (`done`) of how many there are
(`total`), and whether this one came out of the store (`resumed`).
"""

Carry = Literal["summary", "tail"]
_SEPARATOR = "\n\n"


class LongTextRunnable(RunnableSerializable[Any, Any]):
    r"""Applies a step to each segment of a long text, and merges what comes out.

    ```python
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI
    from langchain_llmops import LongTextRunnable, TokenTextSplitter

    prompt = ChatPromptTemplate.from_template(
        "Before: {context}\n\nSummarise in two sentences: {text}"
    )
    step = prompt | ChatOpenAI(model="gpt-4o-mini") | StrOutputParser()
    summary = LongTextRunnable(step, TokenTextSplitter(2000), carry="tail")
    print(type(summary.invoke("Green tea steeps for two minutes. " * 900)))
    #> <class 'str'>
    ```

    The step gets a dictionary: the segment's `text`, its `index` and the `total`, and
    the `context` that is carried into it. Without `carry`, and with `"tail"` (the end
    of the segment before), segments are worked on side by side; with `"summary"` one
    after the other, each with the summary of all before it.

    An error of the step reaches the caller as it is. No further segment is begun then;
    those under way finish, and with a `store` all that was finished is kept, so that
    the next `invoke` with the same text goes on from there and pays for no segment
    twice. Each finished segment is told to the callbacks as `LONG_TEXT_EVENT`.

    Safe across threads and event loops. Costs one call of the step per segment, and
    with `summarize` one more.

    Args:
        step: What is done with a segment: a Runnable or a function.
        splitter: Cuts the text; `TokenTextSplitter(2000)` by default.
        carry: What of the segments before goes into the next one.
        merge: What is made of the outputs: `"join"` their texts, `"list"`, `"last"`, or
            a Runnable or function that takes the list.
        summarize: With `carry="summary"`: makes the summary of `{"summary", "text",
            "output"}`: the one so far, the segment and what the step made of it.
            Without it the step's own output is the summary, as when refining.
        carry_tokens: Tokens that are carried at most.
        max_concurrency: Segments under way at once, unless the config says otherwise.
        store: Where finished segments are kept: one of LangChain's byte stores, such as
            `InMemoryByteStore`. Keys are hashes of namespace, segment and context.
        namespace: Tells steps in one store apart: change it when the step changes.
        counter: Counts what is carried; `gpt-4o`'s tokens by default.

    Raises:
        ConfigurationError: An argument, input or output that cannot be.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    step: Runnable[Any, Any]
    splitter: TextSplitter
    carry: Carry | None
    merge: Literal["join", "list", "last"] | Runnable[Any, Any]
    summarize: Runnable[Any, Any] | None
    carry_tokens: int
    max_concurrency: int
    store: BaseStore[str, bytes] | None
    namespace: str
    counter: TokenCounter

    def __init__(  # noqa: PLR0913 - the pieces of one pipeline, nearly all optional
        self,
        step: RunnableLike[Any, Any],
        splitter: TextSplitter | None = None,
        carry: Carry | None = None,
        merge: Literal["join", "list", "last"] | RunnableLike[Any, Any] = "join",
        *,
        summarize: RunnableLike[Any, Any] | None = None,
        carry_tokens: int = 200,
        max_concurrency: int = 4,
        store: BaseStore[str, bytes] | None = None,
        namespace: str = "",
        counter: TokenCounter | None = None,
    ) -> None:
        if carry not in {None, "summary", "tail"}:
            raise ConfigurationError(
                f"carry={carry!r} is not 'summary', 'tail' or None"
            )
        if isinstance(merge, str) and merge not in {"join", "list", "last"}:
            raise ConfigurationError(
                f"merge={merge!r} is not 'join', 'list', 'last' or a Runnable"
            )
        if max_concurrency < 1 or carry_tokens < 1:
            raise ConfigurationError(
                f"max_concurrency={max_concurrency!r} and carry_tokens={carry_tokens!r}"
                " must be at least 1"
            )
        fields: dict[str, Any] = {
            "step": coerce_to_runnable(step),
            "splitter": splitter or TokenTextSplitter(2000, counter=counter),
            "carry": carry,
            "merge": merge if isinstance(merge, str) else coerce_to_runnable(merge),
            "summarize": None if summarize is None else coerce_to_runnable(summarize),
            "carry_tokens": carry_tokens,
            "max_concurrency": max_concurrency,
            "store": store,
            "namespace": namespace,
            "counter": TokenCounter() if counter is None else counter,
        }
        super().__init__(**fields)

    def invoke(
        self,
        input: str | Document,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return what `merge` makes of the outputs for all segments of a text."""
        return self._call_with_config(cast("Any", self._run), input, config, **kwargs)

    async def ainvoke(
        self,
        input: str | Document,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the same, without holding up the event loop."""
        return await self._acall_with_config(
            cast("Any", self._arun), input, config, **kwargs
        )

    def _run(self, value: Any, config: RunnableConfig, **kwargs: Any) -> Any:
        texts = self.splitter.split_text(text_of(value))
        job = LongTextJob(
            texts, SegmentStore(self.store, self.namespace), config, kwargs
        )
        if self.carry == "summary":
            summary = ""
            for index in job:
                summary = self._segment(job, index, summary).summary
        else:
            limit = config.get("max_concurrency") or self.max_concurrency
            workers: RunnableConfig = {**config, "max_concurrency": limit}
            with get_executor_for_config(workers) as executor:
                count = min(limit, len(texts))
                working = [executor.submit(self._work, job) for _ in range(count)]
                wait(working)
            job.raise_error()
        merged = self._merged(job)
        if isinstance(self.merge, Runnable):
            return self.merge.invoke(merged, config)
        return merged

    async def _arun(self, value: Any, config: RunnableConfig, **kwargs: Any) -> Any:
        texts = await self._asplit(text_of(value))
        job = LongTextJob(
            texts, SegmentStore(self.store, self.namespace), config, kwargs
        )
        if self.carry == "summary":
            summary = ""
            for index in job:
                summary = (await self._asegment(job, index, summary)).summary
        else:
            limit = config.get("max_concurrency") or self.max_concurrency
            async with asyncio.TaskGroup() as tasks:  # cancels them if it is cancelled
                for _ in range(min(limit, len(texts))):
                    tasks.create_task(self._awork(job))
            job.raise_error()
        merged = self._merged(job)
        if isinstance(self.merge, Runnable):
            return await self.merge.ainvoke(merged, config)
        return merged

    def _work(self, job: LongTextJob) -> None:
        """Do segments until there are none, or one has failed."""
        for index in job:
            try:
                self._segment(job, index, self._before(job, index))
            except BaseException as error:  # noqa: BLE001 - raised by `raise_error`
                job.errors.append(error)

    async def _awork(self, job: LongTextJob) -> None:
        for index in job:
            try:
                before = ""
                if self.carry is not None:
                    before = await run_in_executor(None, self._before, job, index)
                await self._asegment(job, index, before)
            except Exception as error:  # noqa: BLE001 - raised by `raise_error`
                job.errors.append(error)

    def _segment(self, job: LongTextJob, index: int, context: str) -> Finished:
        key = job.store.key(job.texts[index], context)
        finished = job.store.get(key)
        resumed = finished is not None
        if finished is None:
            asked = job.input(index, context)
            output = self.step.invoke(asked, job.config, **job.kwargs)
            summary = ""
            if self.carry == "summary":
                summed = output
                if self.summarize is not None:
                    known = job.known(index, context, output)
                    summed = self.summarize.invoke(known, job.config)
                summary = self._summary(summed, context)
            finished = Finished(output=output, summary=summary)
            job.store.put(key, finished)
        told = job.finish(index, finished, resumed=resumed)
        dispatch_custom_event(LONG_TEXT_EVENT, told, config=job.config)
        return finished

    async def _asegment(self, job: LongTextJob, index: int, context: str) -> Finished:
        key = job.store.key(job.texts[index], context)
        finished = await job.store.aget(key)
        resumed = finished is not None
        if finished is None:
            asked = job.input(index, context)
            output = await self.step.ainvoke(asked, job.config, **job.kwargs)
            summary = ""
            if self.carry == "summary":
                summed = output
                if self.summarize is not None:
                    known = job.known(index, context, output)
                    summed = await self.summarize.ainvoke(known, job.config)
                summary = await run_in_executor(None, self._summary, summed, context)
            finished = Finished(output=output, summary=summary)
            await job.store.aput(key, finished)
        told = job.finish(index, finished, resumed=resumed)
        await adispatch_custom_event(LONG_TEXT_EVENT, told, config=job.config)
        return finished

    async def _asplit(self, text: str) -> list[str]:
        if isinstance(self.splitter, TokenTextSplitter):
            return await self.splitter.asplit_text(text)
        return await run_in_executor(None, self.splitter.split_text, text)

    def _before(self, job: LongTextJob, index: int) -> str:
        """Return the end of the segment before, from the beginning of a sentence."""
        if self.carry is None or index == 0:
            return ""
        text = job.texts[index - 1]
        kept = self._short(text, "tail").kept
        start = kept[0][0] if kept else len(text)
        return text[Structure(text).begin(start, len(text)) if start else 0 :]

    def _summary(self, summed: Any, before: str) -> str:
        """Return a summary that may be carried on; an empty one changes nothing."""
        return self._short(said(summed), "head_tail").text or before

    def _short(self, text: str, strategy: Strategy) -> Shortened:
        return shorten(
            text, self.carry_tokens, counter=self.counter, strategy=strategy, marker=""
        )

    def _merged(self, job: LongTextJob) -> Any:
        outputs = [finished.output for finished in job.finished()]
        if self.merge == "join":
            return _SEPARATOR.join(said(output) for output in outputs)
        if self.merge == "last":
            return outputs[-1] if outputs else None
        return outputs

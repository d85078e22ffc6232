"""One long text on its way through a step, segment by segment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

    from langchain_llmops.tokens.segment_store import Finished, SegmentStore

__all__ = ["LongTextJob", "said", "text_of"]


class LongTextJob:
    """One text on its way; its workers iterate it, and each gets other indexes."""

    def __init__(
        self,
        texts: list[str],
        store: SegmentStore,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> None:
        self.texts = texts
        self.store = store
        self.config = config
        self.kwargs = kwargs
        self.errors: list[BaseException] = []
        self._finished: dict[int, Finished] = {}
        self._lock = threading.Lock()
        self._next = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._lock:
                index = self._next
                self._next += 1
            if self.errors or index >= len(self.texts):
                return
            yield index

    def input(self, index: int, context: str) -> dict[str, Any]:
        """Return what the step gets."""
        return {
            "text": self.texts[index],
            "context": context,
            "index": index,
            "total": len(self.texts),
        }

    def known(self, index: int, summary: str, output: Any) -> dict[str, Any]:
        """Return what the summary is made of."""
        return {"summary": summary, "text": self.texts[index], "output": said(output)}

    def finish(
        self, index: int, finished: Finished, *, resumed: bool
    ) -> dict[str, Any]:
        """Remember what is finished; returns what the callbacks are told."""
        with self._lock:
            self._finished[index] = finished
            done = len(self._finished)
        total = len(self.texts)
        return {"index": index, "done": done, "total": total, "resumed": resumed}

    def finished(self) -> list[Finished]:
        """Return what was made of each segment, in the order of the text."""
        return [self._finished[index] for index in range(len(self.texts))]

    def raise_error(self) -> None:
        """Raise the first error of a segment, as it was."""
        if self.errors:
            raise self.errors[0]


def text_of(value: Any) -> str:
    """Return the text of a string or document."""
    if isinstance(value, Document):
        return value.page_content
    if isinstance(value, str):
        return value
    raise ConfigurationError(
        f"LongTextRunnable takes a string or a document, not {type(value).__name__!r}"
    )


def said(output: Any) -> str:
    """Return the text of a step's output."""
    if isinstance(output, BaseMessage):
        return str(output.text)
    if isinstance(output, str):
        return output
    raise ConfigurationError(
        f"an output of type {type(output).__name__!r} has no text to join or carry: "
        "let the step end in a message or a string, or use merge='list'"
    )

"""What was seen of one question in one arm of the demo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from decimal import Decimal

    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.types import CacheMark

__all__ = ["Source", "Turn"]

Source = Literal["provider", "exact", "semantic", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and what came of it.

    Args:
        question: The row of the log.
        answer: The text that arrived, whole or not.
        error: Why no answer arrived; `None` if one did.
        ttft_s: Seconds until the first piece of text; `None` if there was none.
        latency_s: Seconds until the end.
        retrieved: Topics of the documents that were found, best first.
        prompt: What was sent: role and text of each message.
        mark: What the cache says, where the answer came out of it.
        input_tokens: Billed input tokens; 0 for a cached answer.
        output_tokens: Billed output tokens; 0 for a cached answer.
        usd: What the call cost; `None` where its model has no known price.
    """

    question: Question
    answer: str
    error: str | None
    ttft_s: float | None
    latency_s: float
    retrieved: tuple[str, ...] = ()
    prompt: tuple[tuple[str, str], ...] = ()
    mark: CacheMark | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = field(default=None)

    @property
    def source(self) -> Source:
        """Where the answer came from."""
        if self.error is not None:
            return "failed"
        return "provider" if self.mark is None else self.mark["kind"]

    @property
    def found(self) -> bool | None:
        """Whether a right document was retrieved; `None` where none is known."""
        if not self.question.topics or self.error is not None:
            return None
        return not self.question.topics.isdisjoint(self.retrieved)

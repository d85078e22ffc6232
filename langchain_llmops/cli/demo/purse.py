"""What a run on a real provider has spent, and what each next call may cost."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from langchain_llmops.cli.demo.spending import Spending, most_input_tokens
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import price
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.settings import Settings
    from langchain_llmops.cli.demo.turns import Turn

__all__ = ["Purse"]

_ATTEMPTS = 3
"""How often ChatOpenAI may send one request (`max_retries=2`)."""
_EMBEDDED_TIMES = 4
"""A question is embedded to search, to look into the cache, to calibrate that, and with
its next turn."""


class Purse:
    """Keeps `--max-usd` over the whole run: the index, then one arm after the other.

    Args:
        settings: Models, ceiling, and whether calls cost money at all.
        questions: The log.
        documents: What the prompts choose from.
        per_question: How many of them a prompt holds.
        answer_tokens: Longest answer.

    Raises:
        ConfigurationError: `--real` with a model that has no known price.
    """

    def __init__(
        self,
        settings: Settings,
        questions: Sequence[Question],
        *,
        documents: Sequence[str],
        per_question: int,
        answer_tokens: int,
    ) -> None:
        self._settings = settings
        self._answer_tokens = answer_tokens
        count = _counter(settings.model)
        self._most_tokens = most_input_tokens(
            questions,
            count=count,
            context_tokens=sum(sorted(map(count, documents))[-per_question:]),
            answer_tokens=answer_tokens,
        )
        self._limited = _limited(settings)
        self.spent_usd = Decimal()

    def pay_for_index(self, texts: Iterable[str]) -> None:
        """Book the embedding of the documents before it is done.

        Raises:
            ConfigurationError: It may cost more than the ceiling.
        """
        bill = self._embedding_usd(texts)
        if self._limited and bill > self._settings.max_usd:
            raise ConfigurationError(
                f"embedding the documents may cost ${bill:.4f}, more than "
                f"--max-usd {self._settings.max_usd}: raise it, or pass fewer --docs"
            )
        self.spent_usd += bill

    def spending(
        self,
        questions: Sequence[Question],
        in_this_arm: Callable[[], Decimal],
        *,
        last: bool,
    ) -> Spending | None:
        """Return the ceiling of one arm; `None` where there is none.

        Args:
            questions: What the arm will be asked.
            in_this_arm: Returns what its calls have cost so far.
            last: Whether no other arm follows: the first one leaves half.
        """
        if not self._limited:
            return None
        texts = [question.text for question in questions] * _EMBEDDED_TIMES
        before = self.spent_usd + self._embedding_usd(texts)
        most = self._settings.max_usd
        return Spending(
            limit_usd=most if last else (most + before) / 2,
            spent=lambda: before + in_this_arm(),
            worst=self.worst_usd,
        )

    def worst_usd(self, question: Question) -> Decimal:
        """Return the most that a question can cost."""
        used = _usage(self._most_tokens[question.id], self._answer_tokens)
        return (_price(self._settings.model, used) or Decimal()) * _ATTEMPTS

    def worst_of_failed(self, turns: Iterable[Turn]) -> Decimal:
        """Return what failed calls may have cost: nobody says whether they did."""
        failed = (self.worst_usd(turn.question) for turn in turns if turn.error)
        return sum(failed, Decimal())

    def _embedding_usd(self, texts: Iterable[str]) -> Decimal:
        model = self._settings.embedding_model
        tokens = sum(map(_counter(model), texts))
        return _price(model, _usage(tokens, 0)) or Decimal()


def _limited(settings: Settings) -> bool:
    """Whether calls cost money, and somebody knows how much."""
    if settings.local:
        return False
    models = {settings.model: _usage(1, 1), settings.embedding_model: _usage(1, 0)}
    unpriced = [name for name, used in models.items() if _price(name, used) is None]
    if settings.real and unpriced:
        raise ConfigurationError(
            f"{unpriced[0]!r} has no known price, so --max-usd cannot be kept: "
            "choose another --model or --embedding-model"
        )
    return not unpriced


def _counter(model: str) -> Callable[[str], int]:
    """Return what counts a model's tokens, or counts too many."""
    counter = TokenCounter(model)
    # No tokenizer makes more tokens than there are bytes.
    return counter.count if counter.exact else lambda text: len(text.encode())


def _price(model: str, usage: Mapping[str, int]) -> Decimal | None:
    # The name by which ChatOpenAI goes, whichever server it calls.
    return price(model, usage, provider="openai")


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }

"""TokenTruncator: texts, documents and conversations that fit, as a Runnable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.conversation_shortening import (
    ShortenedMessages,
    shorten_messages,
)
from langchain_llmops.tokens.counter import TokenCounter
from langchain_llmops.tokens.shortening import Shortened, Strategy, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TokenTruncator"]

T = TypeVar("T")
_STRATEGIES = ("head_tail", "head", "tail", "sentences", "query")
_MARKER = "\n[{tokens} tokens removed]\n"


class TokenTruncator(RunnableSerializable[Any, Any]):
    """Makes a text, a document or a conversation fit, and says what it removed.

    ```python
    from langchain_llmops import TokenTruncator

    truncator = TokenTruncator(8, strategy="head", marker=" [{tokens} more]")
    print(truncator.invoke("one two three four five six seven eight nine ten"))
    #> one two three four [6 more]
    ```

    The result never has more than `max_tokens`, by the counter's own count, and no
    character that a reader sees as one is cut (`é`, flags, families of emoji). What
    fits comes back as it is. The input may be

    - a string, or a string prompt;
    - a `Document`: its metadata gets `truncated`, with the removed characters and
      tokens;
    - messages (a list, or the prompt of a chat model): the longest texts are cut
      first, the strategy says which part of each stays; where that is not enough,
      the oldest turns go. System messages stay as they are, the last turn stays,
      and no tool call loses its results.

    Safe across threads and event loops; `ainvoke` works on another thread. Calls
    nothing but the counter: 50 ms per MB.

    Args:
        max_tokens: Tokens that the result may have.
        strategy: What stays: `head_tail` both ends, `head` the beginning, `tail` the
            end, `sentences` whole sentences of both ends, `query` the sentences that
            have most to do with a query, and both ends where none has.
        marker: Stands where something is missing; `{tokens}` and `{chars}` say how
            much. It counts, and is left out where it does not fit.
        query: What `query` looks for. May be given per call
            (`truncator.invoke(text, query="...")`); in messages it is the last
            question by default.
        counter: Counts tokens; those of `gpt-4o` by default.

    Raises:
        ConfigurationError: An argument or input that cannot be, or messages of which
            even the least that must stay has more tokens.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    max_tokens: int
    strategy: Strategy
    marker: str
    query: str
    counter: TokenCounter

    def __init__(
        self,
        max_tokens: int,
        strategy: Strategy = "head_tail",
        *,
        marker: str = _MARKER,
        query: str = "",
        counter: TokenCounter | None = None,
    ) -> None:
        if max_tokens < 1:
            raise ConfigurationError(f"max_tokens={max_tokens!r} must be at least 1")
        if strategy not in _STRATEGIES:
            raise ConfigurationError(
                f"strategy={strategy!r} is none of {', '.join(map(repr, _STRATEGIES))}"
            )
        fields: dict[str, Any] = {
            "max_tokens": max_tokens,
            "strategy": strategy,
            "marker": marker,
            "query": query,
            "counter": TokenCounter() if counter is None else counter,
        }
        super().__init__(**fields)

    def shorten(self, text: str, *, query: str | None = None) -> Shortened:
        """Return a text that fits, and what was removed of it."""
        return self._shorten(text, self.max_tokens, query or self.query)

    def shorten_messages(
        self, messages: Sequence[BaseMessage], *, query: str | None = None
    ) -> ShortenedMessages:
        """Return a conversation that fits, and what was removed of it."""
        asked = query or self.query or _question(messages)
        return shorten_messages(
            messages,
            self.max_tokens,
            counter=self.counter,
            shorten=lambda text, limit: self._shorten(text, limit, asked).text,
        )

    def invoke(
        self,
        input: Any,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the input, made to fit: a string for a string, messages for messages.

        Args:
            input: A string, a document, messages or a prompt.
            config: As for any Runnable.
            **kwargs: `query` for this call.
        """
        return self._call_with_config(self._fit, input, config, **kwargs)

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the same, without holding up the event loop."""

        async def fit(value: Any, query: str | None = None) -> Any:
            return await run_in_executor(None, self._fit, value, query)

        return await self._acall_with_config(fit, input, config, **kwargs)

    def _fit(self, value: Any, query: str | None = None) -> Any:
        if isinstance(value, str):
            return self.shorten(value, query=query).text
        if isinstance(value, Document):
            return self._document(value, query)
        if isinstance(value, StringPromptValue):
            return StringPromptValue(text=self.shorten(value.text, query=query).text)
        if isinstance(value, PromptValue):
            messages = self.shorten_messages(value.to_messages(), query=query).messages
            return ChatPromptValue(messages=cast("Any", messages))
        if isinstance(value, BaseMessage):
            return self.shorten_messages([value], query=query).messages[0]
        if isinstance(value, list | tuple) and not _documents(value):
            messages = convert_to_messages(cast("Any", value))
            return self.shorten_messages(messages, query=query).messages
        raise ConfigurationError(
            f"TokenTruncator takes a string, a document, messages or a prompt, not "
            f"{type(value).__name__!r}: for several texts use `truncator.map()`"
        )

    def _document(self, document: Document, query: str | None) -> Document:
        short = self.shorten(document.page_content, query=query)
        if not short.removed_chars:
            return document
        said = {
            "removed_tokens": short.removed_tokens,
            "removed_chars": short.removed_chars,
        }
        metadata = {**document.metadata, "truncated": said}
        update = {"page_content": short.text, "metadata": metadata}
        return document.model_copy(update=update)

    def _shorten(self, text: str, limit: int, query: str) -> Shortened:
        return shorten(
            text,
            limit,
            counter=self.counter,
            strategy=self.strategy,
            marker=self.marker,
            query=query,
        )


def _documents(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Document) for value in values)


def _question(messages: Sequence[BaseMessage]) -> str:
    """Return the last thing that a user said."""
    said = (m.text for m in reversed(messages) if isinstance(m, HumanMessage))
    return str(next(said, ""))

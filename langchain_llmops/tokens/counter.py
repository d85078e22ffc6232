"""TokenCounter: how many tokens a model makes of texts and messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_llmops.tokens.running import RunningCount

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import tiktoken
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import MessageLikeRepresentation

    from langchain_llmops.tokens.count import TokenCount
    from langchain_llmops.tokens.messages import MessageMeter

__all__ = ["TokenCounter"]


class TokenCounter:
    """Counts tokens offline: exactly for OpenAI's models, with a bound for the rest.

    ```python
    from langchain_core.messages import HumanMessage, trim_messages
    from langchain_llmops import TokenCounter

    counter = TokenCounter("gpt-4o")
    counter.count("Hello, world!")  # 4
    history = [HumanMessage("Hello!"), HumanMessage("What is a token?")]
    counter.count_messages(history)  # 18
    trim_messages(history, max_tokens=15, token_counter=counter.count_messages)
    ```

    Text of OpenAI's models is counted with their encoding, from a rank file that is
    already on this machine (`_encodings.find`); nothing is ever downloaded. Other
    models, and any model while no rank file is found, get an estimate whose
    `upper_bound` is safe. Chat overhead and images follow the rules that OpenAI has
    published; tool calls and tool schemas, for which there are none, are never
    `exact`. Images are not fetched: their size is read from the bytes that a `data:`
    URL or a block carries, and one that is elsewhere counts as the largest.

    Nothing that a user may write raises: `<|endoftext|>` is text, an unknown model
    name gets careful estimates, and unknown messages and blocks count as their JSON.

    The first count reads a rank file (up to 0.8 s, once per process); `load` and
    `aload` do so ahead of time, which a service with an event loop should. Safe across
    threads and event loops; equal by model; pickled and copied as its model's name.

    Args:
        model: The model's name as it is configured: `gpt-4o`, `openai/gpt-4o-mini`,
            `ft:gpt-4o:acme::id`, `claude-sonnet-4-5`. For an Azure deployment, the
            model that it deploys.
    """

    __slots__ = ("_loaded", "model")

    def __init__(self, model: str = "gpt-4o") -> None:
        self.model = model
        self._loaded: MessageMeter | None = None

    def __repr__(self) -> str:
        return f"TokenCounter({self.model!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenCounter) and self.model == other.model

    def __hash__(self) -> int:
        return hash(self.model)

    def __reduce__(self) -> tuple[type[TokenCounter], tuple[str]]:
        return TokenCounter, (self.model,)

    @property
    def exact(self) -> bool:
        """Whether text is counted by the model's own encoding."""
        return self._meter.text.exact

    @property
    def encoding(self) -> tiktoken.Encoding | None:
        """The model's own encoding; `None` where counts of text are estimates."""
        return getattr(self._meter.text, "coder", None)

    def load(self) -> TokenCounter:
        """Read what counting needs, if that has not been done; returns itself."""
        _ = self._meter
        return self

    async def aload(self) -> TokenCounter:
        """Read what counting needs on another thread, if not done; returns itself."""
        return await asyncio.to_thread(self.load)

    def count(self, text: str) -> int:
        """Return the tokens of a text: about 20 MB a second.

        Args:
            text: Any text; special tokens such as `<|endoftext|>` are plain text.
        """
        return self._meter.text.count(text)

    def measure(self, text: str) -> TokenCount:
        """Return the tokens of a text, whether they are exact, and their bound."""
        return self._meter.text.measure(text)

    def count_messages(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> int:
        """Return the input tokens that a request with these messages has.

        Args:
            messages: What a chat model takes: messages, pairs, dictionaries, a prompt
                or a string.
            tools: What `bind_tools` takes, if tools are bound.
        """
        return self.running(messages, tools).total

    def measure_messages(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> TokenCount:
        """Return the same, and whether it is exact, and its bound."""
        return self.running(messages, tools).count

    def measure_message(self, message: MessageLikeRepresentation) -> TokenCount:
        """Return what one message adds to a request."""
        return self._meter.measure(message).cost

    def running(
        self, messages: LanguageModelInput = (), tools: Sequence[Any] | None = None
    ) -> RunningCount:
        """Return a count that follows a conversation as it grows and is edited.

        Args:
            messages: The conversation so far.
            tools: The tools that every request carries.
        """
        return RunningCount(self._meter, _each(messages), tools or ())

    @property
    def _meter(self) -> MessageMeter:
        if self._loaded is None:
            # 0.2 s of langchain_core, which the first count needs and no constructor.
            from langchain_llmops.tokens.messages import MessageMeter  # noqa: PLC0415

            self._loaded = MessageMeter(self.model)
        return self._loaded


def _each(messages: Any) -> Iterable[MessageLikeRepresentation]:
    """Return the messages of a chat model's input, however it was given."""
    if hasattr(messages, "to_messages"):  # a PromptValue
        messages = messages.to_messages()
    several: Iterable[MessageLikeRepresentation] = [messages]
    if isinstance(messages, list | tuple) or hasattr(messages, "__next__"):
        several = messages
    return several

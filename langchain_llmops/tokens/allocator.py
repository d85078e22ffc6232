"""WindowAllocator: how many tokens of a window each part of a request may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import SystemMessage

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.counter import TokenCounter
from langchain_llmops.tokens.output_lengths import OutputLengths
from langchain_llmops.tokens.output_observer import OutputLengthHandler
from langchain_llmops.tokens.quotas import divide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import BaseMessage

    from langchain_llmops.tokens.count import TokenCount

__all__ = ["WindowAllocation", "WindowAllocator"]

_SHARES = {"history": 0.4, "context": 0.4, "answer": 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAllocation:
    """Tokens of one request, part by part; together they are at most the window.

    Attributes:
        window: Tokens that the model takes.
        system: What the system prompt has, and what opens every request.
        tools: What the tools have.
        question: What the new messages have.
        history: What earlier messages may have.
        context: What retrieved context may have.
        answer: What the answer may have: the `max_tokens` of the call.
    """

    window: int
    system: int
    tools: int
    question: int
    history: int
    context: int
    answer: int

    @property
    def spare(self) -> int:
        """Tokens that nobody wants."""
        asked = self.system + self.tools + self.question
        return self.window - asked - self.history - self.context - self.answer


class WindowAllocator:
    """Divides a context window, and learns how long answers turn out.

    ```python
    from langchain_openai import ChatOpenAI
    from langchain_llmops import WindowAllocator

    allocator = WindowAllocator(ChatOpenAI(model="gpt-4o-mini"), window=8000)
    plan = allocator.allocate(system="Be brief.", question="How long?", history=300)
    assert plan.history == 300
    assert plan.context > 4000
    ```

    The system prompt, the tools and the question get what they have, by their bound
    where they cannot be counted exactly. The rest goes to history, context and answer
    by their shares; what one of them does not need goes to the others.

    `estimate_output` says how long an answer will be at most, in `quantile` of the
    calls; it learns from finished calls through `handler`, which goes among the
    callbacks of the model or the chain. Safe across threads and event loops.

    Args:
        model: A chat model, whose profile says what it takes, or a model's name.
        shares: Weights of `history`, `context` and `answer`; by default 0.4, 0.4, 0.2.
        window: Tokens that the model takes, input and answer together; from the
            model's profile by default.
        max_output: The longest answer that it gives; from the profile by default.
        quantile: Share of the answers that are to be within the estimate.
        counter: Counts tokens; by default for the model, or else for `gpt-4o`.

    Raises:
        ConfigurationError: A model without a profile and no `window`, or an unknown
            share.
    """

    def __init__(
        self,
        model: BaseChatModel | str,
        *,
        shares: Mapping[str, float] | None = None,
        window: int | None = None,
        max_output: int | None = None,
        quantile: float = 0.95,
        counter: TokenCounter | None = None,
    ) -> None:
        profile: Mapping[str, Any] = _profile(model)
        self.window = _size("window", window, profile.get("max_input_tokens"), model)
        known = max_output or profile.get("max_output_tokens") or self.window
        self.max_output = min(int(known), self.window)
        if not 0 < quantile < 1:
            raise ConfigurationError(f"quantile={quantile!r} must be between 0 and 1")
        self._shares = _checked(shares)
        self._quantile = quantile
        self._counter = counter or TokenCounter(_name(model) or "gpt-4o")
        self._lengths = OutputLengths()
        self.handler: BaseCallbackHandler = OutputLengthHandler(self._lengths)

    def allocate(
        self,
        *,
        system: str | SystemMessage = "",
        tools: Sequence[Any] = (),
        question: LanguageModelInput = (),
        history: int | Sequence[BaseMessage] | None = None,
        context: int | str | None = None,
        answer: int | None = None,
        feature: str | None = None,
    ) -> WindowAllocation:
        """Return how many tokens each part of a request may have.

        Args:
            system: The system prompt.
            tools: What `bind_tools` takes.
            question: The new messages, or their text.
            history: Earlier messages, or their tokens: no more are given. By default
                as many as there are.
            context: Retrieved text, or its tokens, in the same way.
            answer: Tokens that the answer needs; what is estimated by default.
            feature: What the call is for.

        Raises:
            ConfigurationError: System prompt, tools and question leave no room.
        """
        opening = [system] if isinstance(system, SystemMessage) else []
        if system and not opening:
            opening = [SystemMessage(str(system))]
        counter = self._counter
        first = _safe(counter.measure_messages(opening))
        with_tools = _safe(counter.measure_messages(opening, tools)) if tools else first
        asked = sum(_safe(each) for each in self._each(question))
        pool = self.window - max(first, with_tools) - asked
        if pool < 1:
            raise ConfigurationError(
                f"system prompt, tools and question have {self.window - pool} tokens, "
                f"of a window of {self.window}: shorten them, or take a larger model"
            )
        longest = answer or self.estimate_output(
            max(first, with_tools) + asked, feature=feature
        )
        wants = {
            "history": self._want(history),
            "context": self._want(context),
            "answer": min(longest, self.max_output),
        }
        return WindowAllocation(
            window=self.window,
            system=first,
            tools=max(0, with_tools - first),
            question=asked,
            **divide(pool, wants, self._shares),
        )

    def estimate_output(
        self, prompt: int | LanguageModelInput, *, feature: str | None = None
    ) -> int:
        """Return how many tokens an answer has at most, in `quantile` of the calls.

        Args:
            prompt: The input of the call, or its tokens.
            feature: What the call is for: `config["metadata"]["feature"]`.

        Returns:
            At most `max_output`, and just that until 20 calls are finished.
        """
        tokens = (
            prompt if isinstance(prompt, int) else self._counter.count_messages(prompt)
        )
        found = self._lengths.estimate(tokens, feature=feature, quantile=self._quantile)
        return self.max_output if found is None else min(found, self.max_output)

    def observe(
        self,
        prompt_tokens: int,
        output_tokens: int,
        *,
        feature: str | None = None,
        truncated: bool = False,
    ) -> None:
        """Learn from one finished call, as `handler` does by itself."""
        self._lengths.observe(
            prompt_tokens, output_tokens, feature=feature, truncated=truncated
        )

    def _each(self, messages: LanguageModelInput) -> list[TokenCount]:
        """Return the counts of messages, without what opens a request."""
        if hasattr(messages, "to_messages"):
            messages = messages.to_messages()
        several = [messages] if isinstance(messages, str) else messages
        return [self._counter.measure_message(message) for message in several]

    def _want(self, part: int | str | Sequence[BaseMessage] | None) -> int | None:
        if part is None or isinstance(part, int):
            return part
        if isinstance(part, str):
            return _safe(self._counter.measure(part))
        return sum(_safe(each) for each in self._each(part))


def _safe(count: TokenCount) -> int:
    """Return what a count does not exceed, as far as that is known."""
    return count.tokens if count.upper_bound is None else count.upper_bound


def _profile(model: Any) -> Mapping[str, Any]:
    profile = getattr(getattr(model, "bound", model), "profile", None)
    return profile or {}


def _name(model: Any) -> str:
    if isinstance(model, str):
        return model
    inner = getattr(model, "bound", model)
    return str(getattr(inner, "model_name", "") or getattr(inner, "model", "") or "")


def _size(name: str, given: int | None, known: int | None, model: object) -> int:
    size = given or known
    if not size or size < 1:
        raise ConfigurationError(
            f"the model {_name(model)!r} has no profile that says what it takes: give "
            f"`{name}`, its tokens"
        )
    return size


def _checked(shares: Mapping[str, float] | None) -> Mapping[str, float]:
    given = dict(_SHARES if shares is None else shares)
    unknown = sorted(given.keys() - _SHARES.keys())
    if unknown:
        raise ConfigurationError(
            f"share {unknown[0]!r} is none of {', '.join(map(repr, _SHARES))}: system "
            "prompt and tools get what they have"
        )
    if min(given.values(), default=0) < 0 or not sum(given.values()):
        raise ConfigurationError(f"shares={given!r} must be positive")
    return {name: given.get(name, 0.0) for name in _SHARES}

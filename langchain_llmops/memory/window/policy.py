"""WindowPolicy: choose the part of a conversation that a model is to see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable
from typing_extensions import override

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory.window.index import WindowIndex
from langchain_llmops.memory.window.ranker import Ranker, RankerName
from langchain_llmops.memory.window.relevance import Ranking
from langchain_llmops.memory.window.selection import Selection
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.messages import MessageLikeRepresentation
    from langchain_core.runnables import RunnableConfig

    Messages = Sequence[MessageLikeRepresentation]

__all__ = ["WindowPolicy"]


class WindowPolicy(Runnable[Any, list[BaseMessage]]):
    """Chooses the messages of a conversation that fit a budget and matter now.

    ```python
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
    from langchain_llmops import WindowPolicy

    policy = WindowPolicy(max_tokens=60, keep_last=1)
    window = policy.select(
        [
            SystemMessage("Be brief."),
            HumanMessage("My cat is called Ada."),
            AIMessage("A good name."),
            HumanMessage("I had soup for lunch, and then a long walk by the sea."),
            AIMessage("That sounds like a calm day, and soup is good for you."),
            HumanMessage("What is the name of my cat?"),
        ]
    )
    ```

    What comes out is a part of what went in, in the same order, and summaries:

    - System messages always, then summaries, and the last turn (the user's last message
      and what follows it). If the last turn alone is too long it is cut in its middle.
    - The last `keep_last` messages and those with `additional_kwargs={"pinned": True}`,
      as far as they fit.
    - Of the rest what says most about `query`, until the budget is used.
    - A tool call has all its results, or neither is there. The first message is a
      user's, unless the user has said nothing.
    - It never costs more than `max_tokens`, by `counter`; where that counter is not
      exact, by its upper bound.

    Ranking by words reads a dialogue as one: a message gains from what its neighbours
    say, an answer from its question; it counts who speaks, when the question names one
    (`message.name`, or a text that begins `Ann: …`). Embeddings add meaning; if they
    fail, words rank alone, which is logged once.

    Choosing is pure: nothing is kept between calls but in a `WindowIndex` of yours.
    Without one, everything is computed afresh: 50 ms for 10,000 messages; with one,
    below a millisecond. As a Runnable it takes messages like `trim_messages` does:
    `policy | model`. Safe across threads and event loops.

    Args:
        max_tokens: The budget of a window.
        keep_last: Messages at the end that come before all that is ranked.
        ranker: `bm25` ranks by words, `hybrid` by words and embeddings; `None` keeps
            the newest messages only.
        embeddings: For `hybrid`; messages are embedded once per index, so give cached
            ones (`CachedEmbeddings`) where there is no index.
        counter: Counts tokens; `TokenCounter("gpt-4o")` by default.
        ranking: The weights of ranking.

    Raises:
        ConfigurationError: A number is not positive, the ranker is unknown, or `hybrid`
            has no embeddings.
    """

    def __init__(
        self,
        max_tokens: int,
        *,
        keep_last: int = 4,
        ranker: RankerName | None = "bm25",
        embeddings: Embeddings | None = None,
        counter: TokenCounter | None = None,
        ranking: Ranking | None = None,
    ) -> None:
        if max_tokens < 1:
            raise ConfigurationError(f"max_tokens={max_tokens!r}: take 1 or more")
        if keep_last < 0:
            raise ConfigurationError(f"keep_last={keep_last!r}: take 0 or more")
        if ranker not in {"bm25", "hybrid", None}:
            raise ConfigurationError(
                f"ranker={ranker!r}: take 'bm25', 'hybrid' or None"
            )
        if ranker == "hybrid" and embeddings is None:
            raise ConfigurationError("ranker='hybrid' needs embeddings=: pass a model")
        self.max_tokens = max_tokens
        self.keep_last = keep_last
        self.ranker = ranker
        self.counter = counter or TokenCounter("gpt-4o")
        self._ranker = Ranker(
            embeddings if ranker == "hybrid" else None, ranking or Ranking()
        )

    def select(
        self,
        messages: Messages | PromptValue,
        query: str | None = None,
        max_tokens: int | None = None,
        *,
        index: WindowIndex | None = None,
        counter: TokenCounter | None = None,
        summaries: Sequence[str | BaseMessage] = (),
        keep_last: int | None = None,
    ) -> list[BaseMessage]:
        """Return the window of a conversation.

        Args:
            messages: The whole conversation.
            query: What is asked now; the user's last message by default.
            max_tokens: Another budget than the policy's, such as a smaller model's.
            index: Carries what is known of these messages from call to call.
            counter: Another counter than the policy's.
            summaries: Texts or messages that stand for older messages, oldest first;
                they take a third of the room at most, the newest first.
            keep_last: Another number of last messages than the policy's.

        Raises:
            ConfigurationError: The system messages leave no room for any of the last
                turn, the messages hold nothing that may be sent, or one of them is
                nothing that LangChain knows.
        """
        wish = _Wish(self, max_tokens, counter, summaries, keep_last)
        seen = _Seen.of(messages, query, index)
        return self._choose(seen, self._ranker.embed(seen.index, seen.query), wish)

    async def aselect(
        self,
        messages: Messages | PromptValue,
        query: str | None = None,
        max_tokens: int | None = None,
        *,
        index: WindowIndex | None = None,
        counter: TokenCounter | None = None,
        summaries: Sequence[str | BaseMessage] = (),
        keep_last: int | None = None,
    ) -> list[BaseMessage]:
        """Return the window of a conversation, as `select` does, off the event loop."""
        wish = _Wish(self, max_tokens, counter, summaries, keep_last)
        seen = await asyncio.to_thread(_Seen.of, messages, query, index)
        vector = await self._ranker.aembed(seen.index, seen.query)
        return await asyncio.to_thread(self._choose, seen, vector, wish)

    @override
    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[BaseMessage]:
        return self._call_with_config(partial(self.select, **kwargs), input, config)

    @override
    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[BaseMessage]:
        select = partial(self.aselect, **kwargs)
        return await self._acall_with_config(select, input, config)

    def _choose(
        self, seen: _Seen, vector: list[float] | None, wish: _Wish
    ) -> list[BaseMessage]:
        if not seen.size:
            return wish.summaries
        choice = Selection(seen.index, seen.size, wish.counter, wish.max_tokens)
        choice.keep(wish.keep_last, wish.summaries)
        worth = partial(self._ranker.worth, seen.index, seen.query, vector)
        choice.fill(worth if self.ranker else None)
        return choice.window()


class _Wish:
    """What one call asks for, or the policy where it says nothing."""

    def __init__(
        self,
        policy: WindowPolicy,
        max_tokens: int | None,
        counter: TokenCounter | None,
        summaries: Sequence[str | BaseMessage],
        keep_last: int | None,
    ) -> None:
        self.max_tokens = policy.max_tokens if max_tokens is None else max_tokens
        self.counter = counter or policy.counter
        self.keep_last = policy.keep_last if keep_last is None else keep_last
        self.summaries: list[BaseMessage] = [
            HumanMessage(summary) if isinstance(summary, str) else summary
            for summary in summaries
        ]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A conversation and what is asked."""

    index: WindowIndex
    size: int
    query: str

    @classmethod
    def of(
        cls, given: Messages | PromptValue, query: str | None, index: WindowIndex | None
    ) -> _Seen:
        messages = given.to_messages() if isinstance(given, PromptValue) else given
        index = WindowIndex() if index is None else index
        index.follow(messages)
        if query is None:
            units = index.units.upto(len(messages))
            place = units.bounds[units.humans[-1]] if units.humans else -1
            query = index.texts[place] if messages else ""
        return cls(index, len(messages), query)

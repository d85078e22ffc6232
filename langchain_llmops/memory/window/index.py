"""WindowIndex: what selecting needs to know of a conversation, kept as it grows."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, cast

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory.window.lexicon import Lexicon
from langchain_llmops.memory.window.units import UnitLog
from langchain_llmops.memory.window.words import speaker_of, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt
    from langchain_core.messages import MessageLikeRepresentation

    from langchain_llmops.tokens import TokenCounter

__all__ = ["WindowIndex", "cost_of"]

_LONGEST = 100_000
"""Characters of a message that ranking reads."""
_LONGEST_EMBEDDED = 8_000
_SPEAKS_OFTEN = 3
_TOOL_WEIGHT = 0.8
_WEIGHTS = {"tool": _TOOL_WEIGHT, "function": _TOOL_WEIGHT}


class WindowIndex:
    """The state that makes selecting from a growing conversation cheap.

    `WindowPolicy.select(messages, index=index)` adds what is new in `messages` and
    ranks without reading the rest again; the result is the same as without an index.
    A conversation that was edited (its beginning is not what the index has) is indexed
    afresh. A message that is changed in place is not noticed: put a new one there.

    ```python
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_llmops.memory import WindowIndex, WindowPolicy

    policy, index = WindowPolicy(max_tokens=50), WindowIndex()
    messages = [HumanMessage("My cat is called Ada."), AIMessage("Noted.")]
    policy.select(messages, query="What is my cat called?", index=index)
    ```

    Belongs to one conversation; like a list, it is not locked against other threads.
    An addition costs about 15 microseconds and a kilobyte.

    Args:
        messages: The conversation so far.
        counter: Counts messages as they come, so that the first selection with this
            counter need not; others are counted when they are first asked for.
    """

    __slots__ = (
        "_asks",
        "_chars",
        "_costs",
        "_counter",
        "_numbers",
        "_speakers",
        "_turns",
        "_weights",
        "lexicon",
        "messages",
        "texts",
        "units",
        "vectors",
    )

    def __init__(
        self,
        messages: Iterable[BaseMessage] = (),
        *,
        counter: TokenCounter | None = None,
    ) -> None:
        self._counter = counter
        self.vectors: npt.NDArray[np.float32] | None
        self._clear()
        self.extend(messages)

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"<WindowIndex of {len(self)} messages>"

    def follow(self, messages: Sequence[MessageLikeRepresentation]) -> None:
        """Take in these messages, adding to what is known or beginning anew.

        An index that is ahead, which knows these messages and later ones, stays so.

        Args:
            messages: The whole conversation: messages, or what LangChain makes
                messages of.

        Raises:
            ConfigurationError: One of them is nothing that LangChain knows.
        """
        known = self.messages
        messages = messages if isinstance(messages, list) else list(messages)
        shared = min(len(known), len(messages))
        if not _same(messages, known, shared):
            self._clear()
            shared = 0
        self.extend(_converted(messages[shared:]))

    def extend(self, messages: Iterable[BaseMessage]) -> None:
        """Add messages at the end."""
        new = list(messages)
        texts = [_text(message) for message in new]
        self.messages += new
        self.texts += texts
        self._chars.extend(map(len, texts))
        self._weights.extend([_WEIGHTS.get(message.type, 1.0) for message in new])
        self._asks.extend([text.rstrip().endswith("?") for text in texts])
        for message, text in zip(new, texts, strict=True):
            self._add(message, text)

    def costs(self, counter: TokenCounter) -> array[int]:
        """Return the tokens of each message by a counter; -1 where not yet counted.

        Args:
            counter: Whose tokens.
        """
        costs = self._costs[counter]
        costs.extend([-1] * (len(self.messages) - len(costs)))
        return costs

    @property
    def chars(self) -> npt.NDArray[np.float32]:
        """Characters of each message: a guess at its tokens before they are counted."""
        return np.array(self._chars, dtype=np.float32)

    @property
    def weights(self) -> npt.NDArray[np.float32]:
        """What the role of each message counts."""
        return np.array(self._weights, dtype=np.float32)

    @property
    def asks(self) -> npt.NDArray[np.bool_]:
        """Which messages end as questions do."""
        return np.array(self._asks, dtype=np.bool_)

    def speakers(self) -> dict[str, frozenset[str]]:
        """Return who speaks often in this conversation, with the words of each name."""
        return {
            who: frozenset(words(who))
            for who, turns in self._turns.items()
            if who and turns >= _SPEAKS_OFTEN
        }

    def said_by(self, who: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Return which messages one of these speaks."""
        numbers = [self._numbers[each] for each in who]
        return np.isin(np.array(self._speakers, dtype=np.int32), numbers)

    def unembedded(self) -> list[str]:
        """Return the texts of the messages at the end that have no vector yet."""
        done = 0 if self.vectors is None else len(self.vectors)
        return [text[:_LONGEST_EMBEDDED] or " " for text in self.texts[done:]]

    def embedded(self, vectors: Sequence[Sequence[float]]) -> None:
        """Keep the vectors of the texts that had none, as vectors of length 1."""
        new = np.asarray(vectors, dtype=np.float32)
        new /= np.maximum(np.linalg.norm(new, axis=1, keepdims=True), 1e-12)
        known = self.vectors
        self.vectors = new if known is None else np.concatenate((known, new))

    def _add(self, message: BaseMessage, text: str) -> None:
        self.units.add(message)
        said = words(text)
        if isinstance(message, AIMessage) and message.tool_calls:
            said += _called(message)
        self.lexicon.add(said)
        who = (message.name or speaker_of(text) or "").lower()
        self._speakers.append(self._numbers.setdefault(who, len(self._numbers)))
        self._turns[who] += 1
        if self._counter is not None:
            self._costs[self._counter].append(cost_of(message, self._counter))

    def _clear(self) -> None:
        self.messages: list[BaseMessage] = []
        self.texts: list[str] = []
        self.units = UnitLog()
        self.lexicon = Lexicon()
        self.vectors = None
        self._costs: defaultdict[TokenCounter, array[int]]
        self._costs = defaultdict(lambda: array("q"))
        self._chars = array("f")
        self._weights = array("f")
        self._asks = array("b")
        self._speakers = array("i")
        self._numbers: dict[str, int] = {}
        self._turns: Counter[str] = Counter()


def cost_of(message: BaseMessage, counter: TokenCounter) -> int:
    """Return the tokens of a message that a budget must allow for.

    Where counting is not exact these are the bound, if there is one: a window is never
    over its budget.
    """
    count = counter.measure_message(message)
    return count.tokens if count.upper_bound is None else count.upper_bound


def _converted(
    given: Sequence[MessageLikeRepresentation],
) -> Sequence[BaseMessage]:
    if all(isinstance(message, BaseMessage) for message in given):
        return cast("Sequence[BaseMessage]", given)
    try:
        return convert_to_messages(given)
    except (NotImplementedError, ValueError) as error:
        raise ConfigurationError(
            f"not a conversation: {error}; give messages, or what LangChain makes "
            "messages of"
        ) from error


def _same(one: Sequence[object], other: Sequence[object], size: int) -> bool:
    if len(one) == len(other) == size:
        return one == other  # nothing is copied, and most are the same objects
    return list(one[:size]) == list(other[:size])


def _text(message: BaseMessage) -> str:
    content = message.content
    return (content if type(content) is str else str(message.text))[:_LONGEST]


def _called(message: AIMessage) -> list[str]:
    """Return the words of the tool calls that a message makes."""
    return words(" ".join(f"{c['name']} {c['args']}" for c in message.tool_calls))

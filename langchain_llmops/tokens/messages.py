"""What a message costs inside a request to a chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_core.messages import BaseMessage, convert_to_messages

from langchain_llmops.tokens.blocks import BlockMeter
from langchain_llmops.tokens.count import NOTHING, TokenCount
from langchain_llmops.tokens.profiles import profile
from langchain_llmops.tokens.text import text_meter
from langchain_llmops.tokens.tools import IN_SYSTEM_MESSAGE, as_json, measure_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Measured", "MessageMeter"]

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "function",
}
_ONE_TOKEN = frozenset({*_ROLES.values(), "developer"})

_SHORT = 100_000
"""Characters of text that an exact meter counts exactly whatever they are."""


class Measured(NamedTuple):
    """A message's tokens, and whether it is a system message (tools join one)."""

    cost: TokenCount
    system: bool


class MessageMeter:
    """Counts messages for one model; immutable, safe across threads.

    Made with the rank file that is on this machine, which is read if it has not been.
    Pickled and copied as its model's name.

    Args:
        model: The model's name.
    """

    __slots__ = ("_blocks", "_chat", "_exact", "_frame", "_model", "text")

    def __init__(self, model: str) -> None:
        known = profile(model)
        self._model = model
        self.text = text_meter(known.encoding, known.family)
        self._chat = known.chat
        self._blocks = BlockMeter(self.text, known.image)
        self._exact = self.text.exact and self._chat.published
        self._frame = self._chat.per_message + 1  # its role is one token

    def __reduce__(self) -> tuple[type[MessageMeter], tuple[str]]:
        return MessageMeter, (self._model,)

    def measure(self, message: object) -> Measured:
        """Return the tokens of a message, whatever it is; never raises.

        Args:
            message: A message or what LangChain makes one of: a string, a pair, a
                dictionary. Anything else counts as its JSON.
        """
        try:
            if not isinstance(message, BaseMessage):
                message = convert_to_messages(cast("Any", [message]))[0]
            return self._measure(message)
        except Exception:  # noqa: BLE001 - a count is advice: it must not break a call
            return Measured(self._framed({"message": message}), system=False)

    def openings(self, tools: Sequence[Any]) -> tuple[TokenCount, TokenCount]:
        """Return what a request costs beside its messages: priming and tools.

        Args:
            tools: Whatever `bind_tools` takes.

        Returns:
            The cost without a system message, and with one, which tools may join.
        """
        chat = self._chat
        counted = measure_tools(tools, self.text, chat)
        alone = counted + TokenCount(
            tokens=chat.priming,
            exact=chat.published,
            upper_bound=chat.priming + chat.request_slack,
        )
        if not (tools and chat.typescript):
            return alone, alone
        return alone, alone + TokenCount(tokens=IN_SYSTEM_MESSAGE, upper_bound=0)

    def _measure(self, message: BaseMessage) -> Measured:
        kind = message.type.removesuffix("MessageChunk").lower()
        if kind == "remove":  # an instruction to LangGraph, never sent
            return Measured(NOTHING, system=False)
        calls = _calls(message) if kind == "ai" else ()
        count = self._framed(message.content, calls_counted=bool(calls))
        if kind == "tool":
            count += self._overhead(0, str(getattr(message, "tool_call_id", "")))
        elif name := message.name or message.additional_kwargs.get("name"):
            count += self._plus(self._chat.per_name, self.text.measure(str(name)))
        role = _role(message, kind)
        if role not in _ONE_TOKEN:
            count += self._plus(-1, self.text.measure(role))
        for call_name, arguments, call_id in calls:
            count += self.text.measure(call_name) + self.text.measure(arguments)
            count += self._overhead(self._chat.per_call, call_id)
        return Measured(count, system=kind == "system")

    def _framed(self, content: object, *, calls_counted: bool = False) -> TokenCount:
        """Return the tokens of content and of what surrounds every message."""
        if self._exact and type(content) is str and len(content) < _SHORT:
            tokens = self.text.count(content) + self._frame
            return TokenCount(tokens=tokens, upper_bound=tokens)
        inner = self._blocks.measure(content, calls_counted=calls_counted)
        return inner + TokenCount(
            tokens=self._frame,
            exact=self._chat.published,
            upper_bound=self._frame + self._chat.message_slack,
        )

    def _overhead(self, tokens: int, call_id: str) -> TokenCount:
        """Return what surrounds a call or result: no provider has published it."""
        at_most = self.text.measure(call_id).upper_bound or 0
        upper = tokens + at_most + self._chat.call_slack
        return TokenCount(tokens=tokens, exact=False, upper_bound=upper)

    @staticmethod
    def _plus(tokens: int, count: TokenCount) -> TokenCount:
        return count + TokenCount(tokens=tokens, upper_bound=tokens)


def _role(message: BaseMessage, kind: str) -> str:
    if kind == "chat":
        return str(getattr(message, "role", kind))
    if kind == "system":
        return str(message.additional_kwargs.get("__openai_role__", "system"))
    return _ROLES.get(kind, kind)


def _calls(message: BaseMessage) -> Sequence[tuple[str, str, str]]:
    """Return name, arguments and id of the calls that an assistant message carries."""
    calls = getattr(message, "tool_calls", None) or ()
    invalid = getattr(message, "invalid_tool_calls", None) or ()
    extra = message.additional_kwargs
    if calls or invalid:
        return [
            *((str(c["name"]), as_json(c["args"]), str(c.get("id"))) for c in calls),
            *((_text(c, "name"), _text(c, "args"), _text(c, "id")) for c in invalid),
        ]
    if not extra:
        return ()
    functions = [
        (call.get("function") or {}, _text(call, "id"))
        for call in extra.get("tool_calls") or ()
    ]
    if not functions and extra.get("function_call"):
        functions = [(extra["function_call"], "")]
    return [
        (_text(function, "name"), _text(function, "arguments"), call_id)
        for function, call_id in functions
    ]


def _text(call: Mapping[str, Any], key: str) -> str:
    return str(call.get(key) or "")

"""Memory: one long conversation, with its whole history and with a window of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops.cli.demo.chains import rag_chain
from langchain_llmops.cli.demo.chapter import Chapter, right_answers
from langchain_llmops.cli.demo.endpoints import open_endpoint
from langchain_llmops.cli.demo.results import Billed, Figure
from langchain_llmops.memory import (
    ConversationMemory,
    ConversationStore,
    WindowPolicy,
    with_memory,
)
from langchain_llmops.retrieval import FaissStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.cli.demo.chains import Chain
    from langchain_llmops.cli.demo.chapter import Stage
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.results import Unit, Value
    from langchain_llmops.cli.demo.turns import Turn

__all__ = ["conversation", "memory_chapter"]

_TITLE: Final = "Memory: a window instead of the whole conversation"
_WINDOW_TOKENS: Final = 1_000
_SESSION: Final = "one long conversation"
_MOST_TURNS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What came of one way to remember.

    Args:
        turns: The conversation.
        billed: What its calls were billed.
    """

    turns: Sequence[Turn]
    billed: Billed

    @property
    def follow_ups(self) -> list[Turn]:
        """The turns that only the one before them explains."""
        return [turn for turn in self.turns if turn.question.kind == "follow_up"]


def memory_chapter(stage: Stage) -> Chapter:
    """Hold one conversation of all questions that are followed up, twice.

    Args:
        stage: What to work with; the provider is local.
    """
    asked = conversation(stage.questions)
    if not asked:
        return Chapter.left_out("memory", _TITLE, "Skipped: the log has no follow-ups.")
    whole = _seen(stage, "memory whole", lambda rag: rag, asked)
    with closing(ConversationStore("memory://")) as store:
        memory = ConversationMemory(store, WindowPolicy(_WINDOW_TOKENS))
        window = _seen(stage, "memory", partial(_remembering, memory), asked)

    def line(
        key: str, label: str, unit: Unit, value: Callable[[_Seen], Value]
    ) -> Figure:
        before, after = value(whole), value(window)
        return Figure(key=key, label=label, unit=unit, before=before, after=after)

    return Chapter(
        key="memory",
        title=_TITLE,
        columns=("all of it", f"{_WINDOW_TOKENS:,} tokens"),
        figures=(
            line("turns", "Turns", "count", lambda one: len(one.turns)),
            line("input_tokens", "Input tokens", "count", _billed("input_tokens")),
            line("last_prompt", "Input tokens, last turn", "count", _last),
            line("usd", "USD on the invoice", "usd", _billed("usd")),
            line("follow_ups", "Follow-ups", "count", lambda o: len(o.follow_ups)),
            line(
                "right",
                "Right answers to these",
                "count",
                lambda one: right_answers(one.follow_ups),
            ),
        ),
        note=(
            "All questions that the log follows up, as one conversation. A follow-up "
            'such as "And what if there is none?" finds its document only with the '
            "question before it. The whole history grows with each turn; the window "
            "does not, and the log in the store keeps every message."
        ),
    )


def conversation(questions: Sequence[Question]) -> list[Question]:
    """Return the sessions that have a follow-up, as turns of one conversation.

    Args:
        questions: The log.
    """
    followed = {one.session for one in questions if one.kind == "follow_up"}
    sessions: dict[str, list[Question]] = {}
    for one in questions:
        if one.session in followed:
            turns = sessions.setdefault(one.session, [])
            turns.append(replace(one, session=_SESSION))
    return list(chain.from_iterable(sessions.values()))[:_MOST_TURNS]


def _seen(
    stage: Stage,
    name: str,
    remember: Callable[[Chain], Chain],
    asked: Sequence[Question],
) -> _Seen:
    with open_endpoint(stage.settings, at_once=True) as endpoint:
        embeddings = OpenAIEmbeddings(**endpoint.embeddings)
        store = FaissStore.load(stage.documents, embeddings)
        rag = remember(rag_chain(ChatOpenAI(**endpoint.chat), store))
        turns = stage.ask(stage.arm(name), rag, asked)
        billed, _ = endpoint.invoice()
    nothing = Billed(calls=0, input_tokens=0, output_tokens=0, usd=None)
    return _Seen(turns=turns, billed=billed or nothing)


def _remembering(memory: ConversationMemory, rag: Chain) -> Chain:
    """Return the chain with a memory: it needs no earlier turns."""
    return RunnableLambda(_question) | with_memory(
        RunnableLambda(_inputs) | rag, memory
    )


def _question(inputs: dict[str, Any]) -> str:
    return str(inputs["question"])


def _inputs(messages: list[BaseMessage]) -> dict[str, Any]:
    return {"question": messages[-1].text, "turns": messages[:-1]}


def _billed(attribute: str) -> Callable[[_Seen], Value]:
    def value(seen: _Seen) -> Value:
        found: Value = getattr(seen.billed, attribute)
        return found

    return value


def _last(seen: _Seen) -> int:
    return seen.turns[-1].input_tokens

"""Reading a prompt: which part is the question, and which is context."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.testing.answers import Passage, answer, not_said, sentences
from langchain_llmops.testing.words import STOP_WEIGHT, terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.testing.conversation import Message

__all__ = ["Reading", "quote", "read", "reply"]

HISTORY = 0.7
"""What an earlier turn counts as context, beside documents and tool results."""

_LABEL = r"(?im)^[ \t]*(?:#+[ \t]*|\*\*)?(?:{})\b[^\n:]{{0,40}}:(?:\*\*)?[ \t]*"
_QUESTION = re.compile(_LABEL.format("(?:user )?(?:question|query)|input"))
_CONTEXT = re.compile(
    _LABEL.format(
        "context|documents?|sources?|passages?|excerpts?|background|references?"
        "|retrieved|information|facts|text"
    )
    + "|<(?:context|documents?|sources?)>"
)
# Between two documents: "[topic]", "Document 2:", "Source: a.md", "---" on a line.
_DOCUMENT = re.compile(
    r"(?im)^[ \t]*(?:\[[^\]\n]{1,80}\]|(?:document|source|passage)\b[^\n]{0,80}:.*"
    r"|<document\b[^>\n]*>|-{3,}|={3,})[ \t]*$"
)
_CLOSING = re.compile(r"</(?:context|documents?|sources?)>|(?im:^(?:helpful )?answer:)")
_INSTRUCTION = re.compile(
    r"(?i)^(?:you(?:'re| are| will| must| should)?|your|answer|respond|reply|use|do not"
    r"|don't|never|always|be|if|given|think|please|write|return|cite|keep|follow|act"
    r"|assistant|help|only|say|speak|today)\b"
)
_FOLLOW_UP = re.compile(
    r"(?i)^\W*(?:and|but|so|what about|how about|why|then|also|what if|or|more)\b"
    r"|\b(?:it|its|that|this|they|them|those|these|he|she|there|one|ones|same)\b"
)


_FEW_TERMS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A prompt, understood.

    Args:
        question: What is asked.
        before: The question before, if this one seems to continue it.
        passages: Context to answer from.
        results: Results of the tools that were called for this question.
    """

    question: str
    before: str
    passages: tuple[Passage, ...]
    results: tuple[str, ...]


def read(messages: Sequence[Message]) -> Reading:
    """Find question and context in a conversation."""
    last = max(
        (i for i, m in enumerate(messages) if m.role == "user"), default=len(messages)
    )
    question, passages = "", []
    if last < len(messages):
        question, own = _split(messages[last].text)
        passages += own
    before = ""
    for message in messages[:last]:
        if message.role in {"system", "developer"}:
            passages += _from_instructions(message.text)
        elif message.role == "user":
            before, context = _split(message.text)
            passages += context
            passages.append(Passage(text=before, weight=HISTORY))
        elif message.text:
            weight = 1.0 if message.role == "tool" else HISTORY
            passages.append(Passage(text=message.text, weight=weight))
    results = tuple(m.text for m in messages[last + 1 :] if m.role == "tool")
    return Reading(
        question=question,
        before=before if _continues(question) else "",
        passages=tuple(passages),
        results=results,
    )


def quote(reading: Reading) -> str | None:
    """Return what the context says to the question, or `None` if it says nothing."""
    if not reading.results:
        return answer(reading.question, reading.passages, before=reading.before)
    results = [Passage(text=text) for text in reading.results]
    said = answer(reading.question, results, before=reading.before)
    return said or " ".join(reading.results)


def reply(reading: Reading) -> str:
    """Answer a prompt from its context, or say that it cannot be answered."""
    if not (reading.passages or reading.results):
        asked = reading.question[:200]
        return f"There is no context to answer from. You said: {asked}"
    return quote(reading) or not_said(reading.question)


def _split(text: str) -> tuple[str, list[Passage]]:
    """Return the question in a user's message, and the context beside it."""
    label = None
    for label in _QUESTION.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    if label is not None:
        question = _CLOSING.split(text[label.end() :])[0].strip()
        return question, _passages(text[: label.start()])
    label = _CONTEXT.search(text)
    if label is not None:
        context, _, after = text[label.end() :].partition("</")
        rest = (text[: label.start()] + " " + after.partition(">")[2]).strip()
        return rest or text, _passages(context)
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    if len(paragraphs) < 2:  # noqa: PLR2004 - one paragraph is the question
        return text.strip(), []
    asks = [p for p in paragraphs if p.rstrip().endswith("?")] or paragraphs[-1:]
    question = asks[-1]
    return question.strip(), [Passage(text=p) for p in paragraphs if p is not question]


def _passages(text: str) -> list[Passage]:
    """Return the documents in a block of context."""
    label = _CONTEXT.search(text)
    block = _CLOSING.split(text[label.end() :] if label else text)[0]
    if label is None:
        return _from_instructions(block)
    return [Passage(text=part) for part in _DOCUMENT.split(block) if part.strip()]


def _from_instructions(text: str) -> list[Passage]:
    """Return the context in a system prompt: what follows a label, or what no order is.

    The sentences of a prompt without any such label are taken one by one, since most
    of them tell the model how to behave.
    """
    label = _CONTEXT.search(text)
    if label is not None:
        return _passages(text)
    told = [s for s in sentences(text) if not _INSTRUCTION.match(s)]
    return [Passage(text="\n\n".join(told))] if told else []


def _continues(question: str) -> bool:
    """Whether a question seems to lean on the one before it."""
    own = {term for term, weight in terms(question) if weight > STOP_WEIGHT}
    return not own or (len(own) <= _FEW_TERMS and bool(_FOLLOW_UP.search(question)))

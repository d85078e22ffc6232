"""The report's table of every question: topic, found or not, source, answer."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from langchain_llmops.cli.demo.wording import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.cli.demo.metrics import Hits
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.turns import Turn

__all__ = ["question_table"]

_COLUMNS = ("", "Question", "Kind", "Topic", "Found", "From", "First", "Answer")
_NONE = "\N{EN DASH}"


def question_table(
    questions: Sequence[Question], turns: Sequence[Turn], hits: Hits
) -> str:
    """Return the section: buttons that filter, then a row per question.

    Args:
        questions: The log.
        turns: What came of it.
        hits: Which answers out of the cache were false.
    """
    kinds = list(dict.fromkeys(one.kind for one in questions))
    tags = {"all": "all", "cached": "from the cache"}
    if hits.false:
        tags["false"] = "false hits"
    if any(turn.error for turn in turns):
        tags["failed"] = "did not arrive"
    if any(turn.found is False for turn in turns):
        tags["missed"] = "document not found"
    tags |= {f"kind-{kind}": kind.replace("_", " ") for kind in kinds}
    buttons = "".join(
        f'<button data-tag="{escape(tag)}" aria-pressed="{str(tag == "all").lower()}">'
        f"{escape(name)}</button>"
        for tag, name in tags.items()
    )
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    origins = {turn.question.id: one for turn, one in hits.false or ()}
    rows = "".join(_row(turn, origins.get(turn.question.id)) for turn in turns)
    return (
        f'<h2>Every question, after</h2><div class="filter">{buttons}</div>'
        f'<table class="questions"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _row(turn: Turn, wrongly_from: Question | None) -> str:
    question = turn.question
    tags = ["all", f"kind-{question.kind}"]
    tags += ["cached"] if turn.mark else []
    tags += ["false"] if wrongly_from else []
    tags += ["failed"] if turn.error else []
    tags += ["missed"] if turn.found is False else []
    found = {True: "yes", False: '<span class="no">no</span>', None: _NONE}[turn.found]
    similarity = turn.mark and turn.mark["similarity"]
    told = turn.source if similarity is None else f"{turn.source} {similarity:.3f}"
    if wrongly_from:
        told += f'<span class="no">false, of {escape(wrongly_from.id)}</span>'
    cells = (
        escape(question.id),
        _long(question.text),
        escape(question.kind.replace("_", " ")),
        escape(", ".join(sorted(question.topics)) or _NONE),
        found,
        f'<span class="mark {turn.source}">{told}</span>',
        shown(turn.ttft_s, "seconds"),
        f'<span class="no">{escape(turn.error)}</span>'
        if turn.error
        else _long(turn.answer),
    )
    return (
        f'<tr data-tags="{escape(" ".join(tags))}">'
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    )


def _long(text: str, most: int = 160) -> str:
    """Return a text, folded where it is long."""
    if len(text) <= most:
        return escape(text)
    return f"<details><summary>{escape(text[:most])}…</summary>{escape(text)}</details>"

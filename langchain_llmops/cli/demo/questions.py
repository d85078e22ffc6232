"""The traffic: a log of questions, one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Question", "load_questions", "parse_questions", "shipped_questions"]

_COLUMNS = ("id", "kind", "session", "question", "topic", "also", "of")
_SAME_ANSWER = {"repeat", "paraphrase"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of the log.

    Args:
        id: Unique name of the row.
        kind: `ask`, `repeat`, `paraphrase`, `follow_up`, ...: reports group by it.
        session: Rows of one session are turns of one conversation, in file order.
        text: What the user asks.
        topics: Documents that answer it; empty where that is not known.
        of: Id of the earlier row that this one repeats, rephrases or resembles.
        meaning: Id of the first row that asks the same: equal meanings may share an
            answer.
        said_before: Whether an earlier row says the same in the same words.
    """

    id: str
    kind: str
    session: str
    text: str
    topics: frozenset[str]
    of: str | None
    meaning: str
    said_before: bool


def shipped_questions() -> list[Question]:
    """Return the log that comes with the package, about Python itself."""
    page = files("langchain_llmops.cli").joinpath("data/questions.jsonl")
    return parse_questions(
        page.read_text(encoding="utf-8").splitlines(), source="questions.jsonl"
    )


def load_questions(path: Path) -> list[Question]:
    """Read a log from a file.

    Args:
        path: JSON lines; only `question` is required in each.

    Raises:
        ConfigurationError: The file cannot be read, or a row is malformed: the
            message names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read --questions {str(path)!r}: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"--questions {str(path)!r} is not UTF-8 at byte {error.start}: save it "
            "as UTF-8"
        ) from error
    return parse_questions(lines, source=str(path))


def parse_questions(lines: Iterable[str], *, source: str) -> list[Question]:
    """Read rows from lines; blank lines are skipped.

    Args:
        lines: One JSON object each. `question` is required; `id` defaults to the
            line's number, `kind` to `ask`, `session` to one of its own; `topic` and
            `also` name documents, `of` an earlier row.
        source: The file's name for error messages.

    Raises:
        ConfigurationError: A row is malformed, or there is none.
    """
    questions: dict[str, Question] = {}
    meanings = _Meanings()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        row = _row(line, where)
        name = row.get("id", f"line {number}")
        of = row.get("of")
        if name in questions:
            raise ConfigurationError(f"{where}: id {name!r} is used twice: rename one")
        if of is not None and of not in questions:
            raise ConfigurationError(
                f"{where}: 'of' names {of!r}, which is not an earlier row's id"
            )
        kind = row.get("kind", "ask")
        session = row.get("session", name)
        same_as = questions[of].meaning if of and kind in _SAME_ANSWER else None
        meaning, said_before = meanings.add(name, session, row["question"], same_as)
        topic = row.get("topic")
        questions[name] = Question(
            id=name,
            kind=kind,
            session=session,
            text=row["question"],
            topics=frozenset([topic, *row.get("also", ())] if topic else ()),
            of=of,
            meaning=meaning,
            said_before=said_before,
        )
    if not questions:
        raise ConfigurationError(
            f"{source} holds no questions: write one JSON object per line, such as "
            '{"question": "What does nonlocal do?"}'
        )
    return list(questions.values())


class _Meanings:
    """Which rows ask the same: said so by `of`, or same words after the same turns."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], str] = {}
        self._turns: dict[str, tuple[str, ...]] = {}

    def add(
        self, name: str, session: str, text: str, same_as: str | None
    ) -> tuple[str, bool]:
        """Return what a row means, and whether its words were said before."""
        before = self._turns.get(session, ())
        words = (*before, _normal(text))
        said_before = words in self._first
        meaning = self._first.setdefault(words, same_as or name)
        self._turns[session] = (*before, meaning)
        return meaning, said_before


def _normal(text: str) -> str:
    """Return a question without case, punctuation around words and extra space."""
    words = (word.strip("`'\"?!.,") for word in text.casefold().split())
    return " ".join(word for word in words if word)


def _row(line: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(
            f"{where}: not JSON ({error}): write one object per line"
        ) from error
    if not isinstance(row, dict):
        raise ConfigurationError(f"{where}: expected a JSON object, got {line[:40]!r}")
    row = {key: value for key, value in row.items() if value is not None}
    for key, value in row.items():
        if key not in _COLUMNS:
            raise ConfigurationError(
                f"{where}: unknown column {key!r}: use {', '.join(_COLUMNS)}"
            )
        if key == "also":
            fits, wanted = isinstance(value, list), "a list of texts"
            fits = fits and all(isinstance(one, str) for one in value)
        else:
            fits, wanted = isinstance(value, str), "a text"
        if not fits:
            raise ConfigurationError(f"{where}: {key!r} must be {wanted}: {value!r}")
    if not row.get("question", "").strip():
        raise ConfigurationError(f"{where}: 'question' is missing or empty")
    return row

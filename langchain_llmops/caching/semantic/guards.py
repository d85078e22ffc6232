"""Reasons why two questions that look alike must not share an answer.

A cosine hardly sees a number, a "not", an opposite or two names that changed places;
these guards see nothing else. Each is a pure function of two questions that returns a
reason or `None`. They are cheap (microseconds a pair once a text has been read), they
only ever refuse, and they are English where words matter: numbers, units, signs and
code are compared in any language.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from langchain_llmops.caching.semantic.guard_text import (
    SOFT_STEMS,
    Question,
    read_question,
    stem,
)
from langchain_llmops.caching.semantic.guard_words import (
    DIRECTIONAL,
    STOP_WORDS,
    SYMMETRIC,
    antonyms,
    rivals,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "DEFAULT_GUARDS",
    "Guard",
    "code_differs",
    "conflict",
    "negation_differs",
    "numbers_differ",
    "opposites",
    "roles_swapped",
    "units_differ",
]

Guard: TypeAlias = "Callable[[Question, Question], str | None]"
_PREFIXES: Final = (
    "un", "in", "im", "il", "ir", "dis", "non", "de", "mis", "anti", "counter",
    "over", "under", "pre", "post", "inter", "intra", "micro", "macro", "multi",
)  # fmt: skip


def conflict(
    question_a: str, question_b: str, guards: Iterable[Guard] | None = None
) -> str | None:
    """Return why two questions must not share an answer, or `None`.

    Args:
        question_a: One question.
        question_b: The other; the order does not matter.
        guards: What to look at; all of `DEFAULT_GUARDS` by default.

    Returns:
        The first reason found, e.g. `"numbers: 3 / 4"`.
    """
    a, b = read_question(question_a), read_question(question_b)
    for guard in DEFAULT_GUARDS if guards is None else guards:
        reason = guard(a, b)
        if reason is not None:
            return reason
    return None


def numbers_differ(a: Question, b: Question) -> str | None:
    """Compare all numbers, however they are spelt, with repetitions."""
    if a.numbers == b.numbers:
        return None
    return f"numbers: {_sides(a.numbers, b.numbers)}"


def units_differ(a: Question, b: Question) -> str | None:
    """Compare the units of each dimension, and those of each number.

    A unit on one side only says nothing: "how long" may well be answered in metres.
    """
    shared = {dimension for dimension, _ in a.units} & {d for d, _ in b.units}
    one = {name for dimension, name in a.units if dimension in shared}
    other = {name for dimension, name in b.units if dimension in shared}
    if one == other:
        counted = {number for number, _ in a.quantities} & {n for n, _ in b.quantities}
        one = {f"{n} {unit}" for n, unit in a.quantities if n in counted}
        other = {f"{n} {unit}" for n, unit in b.quantities if n in counted}
    return None if one == other else f"units: {_sides(one, other)}"


def negation_differs(a: Question, b: Question) -> str | None:
    """Compare whether something is denied."""
    if a.negated != b.negated:
        plain = b if a.negated else a
        denied = a if a.negated else b
        # "not able" and "unable" deny alike.
        return None if plain.soft - denied.soft else "negation: on one side"
    if a.soft != b.soft and not (a.soft and b.soft):
        # "How do I (avoid) pay tax": nothing but the negation was put in.
        rest = [set(q.content) - SOFT_STEMS for q in (a, b)]
        if rest[0] == rest[1]:
            return f"negation: {_sides(a.soft, b.soft)}"
    return None


def opposites(a: Question, b: Question) -> str | None:
    """Look for a word on one side whose opposite, or rival, stands on the other."""
    only_a, only_b = _alone(a, b), _alone(b, a)
    if not (only_a and only_b):
        return None
    opposite, lists = antonyms(), rivals()
    for word in only_a:
        for other in only_b:
            if (
                other in opposite.get(word, ())
                or not lists.get(word, _NONE).isdisjoint(lists.get(other, _NONE))
                or _prefixed(word, other)
            ):
                return f"opposites: {word} / {other}"
    return None


def code_differs(a: Question, b: Question) -> str | None:
    """Compare identifiers, operators and reserved words."""
    missing_b = {token for token in a.code if not _mentions(b, token)}
    missing_a = {token for token in b.code if not _mentions(a, token)}
    if not (missing_a or missing_b):
        missing_b = {hump for hump in a.humps if not _mentions(b, hump)}
        missing_a = {hump for hump in b.humps if not _mentions(a, hump)}
        if not (missing_a and missing_b):
            return None
    return f"code: {_sides(missing_b, missing_a)}"


def roles_swapped(a: Question, b: Question) -> str | None:
    """Look for two words that changed places around a directed word between them.

    "Celsius to Fahrenheit" and "Fahrenheit to Celsius" differ, "cats and dogs" and
    "dogs and cats" do not, nor does "in Python, sort a list" from the list first. A
    passive turns it round: "X hit Y" and "Y was hit by X" say the same.
    """
    if _asks_for_object(a) != _asks_for_object(b) and set(a.content) == set(b.content):
        return "roles: who did it / to whom"
    places_a, places_b = _places(a), _places(b)
    shared = [stem_ for stem_ in places_a if stem_ in places_b]
    for at, first in enumerate(shared):
        for second in shared[at + 1 :]:
            between_a = a.words[places_a[first] + 1 : places_a[second]]
            start, end = sorted((places_b[first], places_b[second]))
            inverted = places_b[first] > places_b[second]
            if _swapped(between_a, b.words[start + 1 : end], inverted=inverted):
                return f"roles: {first} / {second}"
    return None


DEFAULT_GUARDS: Final[tuple[Guard, ...]] = (
    numbers_differ,
    units_differ,
    negation_differs,
    opposites,
    code_differs,
    roles_swapped,
)
_NONE: Final[frozenset[int]] = frozenset()
_SHORTEST_PREFIXED: Final = 4
_WHO: Final = {("who",), ("whom",)}
_DO: Final = {("do",), ("does",), ("did",)}
_SPOKEN: Final = {
    "+": "plus",
    "-": "minus",
    "*": "times",
    "=": "equals",
    "%": "percent",
}


def _places(question: Question) -> dict[str, int]:
    """Return where each topic word stands that occurs once, in order."""
    times = Counter(question.stems)
    topics = set(question.content)
    return {
        stem_: at
        for at, stem_ in enumerate(question.stems)
        if times[stem_] == 1 and stem_ in topics
    }


def _swapped(
    between_a: Sequence[str], between_b: Sequence[str], *, inverted: bool
) -> bool:
    """Return whether two words changed roles, from what stands between them."""
    passive = ("by" in between_a) != ("by" in between_b)
    if inverted == passive or not SYMMETRIC.isdisjoint((*between_a, *between_b)):
        return False
    sides = (between_a, between_b)
    a, b = ([word for word in side if word in DIRECTIONAL] for side in sides)
    if inverted and a and a == b:
        return True
    a, b = ([stem(word) for word in side if word not in STOP_WORDS] for side in sides)
    # "VIT CS placements" for "placements in CS at VIT" has no words of its own between.
    return bool(a) and a == b and (len(between_a) > len(a)) == (len(between_b) > len(b))


def _asks_for_object(question: Question) -> bool:
    """Return whether it is "who did X …" rather than "who … X"."""
    return question.words[:1] in _WHO and question.words[1:2] in _DO


def _alone(question: Question, other: Question) -> set[str]:
    """Return the words of a question of which the other has no form."""
    known = set(other.stems)
    return {
        word
        for word, stem_ in zip(question.words, question.stems, strict=True)
        if stem_ not in known
    }


def _prefixed(word: str, other: str) -> bool:
    """Return whether one word is the other behind a prefix such as "un"."""
    short, long = sorted((word, other), key=len)
    return (
        len(short) >= _SHORTEST_PREFIXED
        and long.endswith(short)
        and long[: -len(short)] in _PREFIXES
    )


def _mentions(question: Question, token: str) -> bool:
    return any(
        token in place or _SPOKEN.get(token) in place
        for place in (question.code, question.humps, question.pieces, question.words)
    )


def _sides(one: Iterable[str], other: Iterable[str]) -> str:
    left, right = Counter(one), Counter(other)
    return " / ".join(
        " ".join(sorted((side - against).elements())) or "none"
        for side, against in ((left, right), (right, left))
    )

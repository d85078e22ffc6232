"""A question as the guards read it: its words, numbers, units, negations, code.

Reading is pure and lenient: any text gives a `Question`, none raises. Number words,
contractions and stop words are English; numbers, signs and code are read in any
language.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from langchain_llmops.caching.semantic.guard_words import (
    NEGATIONS,
    NUMBERS,
    RESERVED,
    SOFT_NEGATIONS,
    STOP_WORDS,
    SYMBOLS,
    units,
)

__all__ = ["SOFT_STEMS", "Question", "read_question", "stem"]

_TOKEN: Final = re.compile(
    # A minus is one where a number may begin; within 10-20 or a date it is a dash.
    r"(?P<minus>(?<![^\s([{=*/%+<>,:])[-\u2212])?"
    r"(?P<digits>\d+(?:[.,:]\d+)*)(?P<suffix>[^\W\d_]*)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)*)|(?P<sign>[$€£¥₹%‰&])"
)
_GROUPED: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_ROMAN: Final = dict(
    zip(
        ("II", "III", "IV", "VI", "VII", "VIII", "IX", "XI", "XII"),
        ("2", "3", "4", "6", "7", "8", "9", "11", "12"),
        strict=True,
    )
)
_ORDINALS: Final = frozenset({"st", "nd", "rd", "th"})
_HALVES: Final = frozenset({"am", "pm"})
_SCALES: Final = {
    "k": 3,
    "hundred": 2,
    "thousand": 3,
    "lakh": 5,
    "million": 6,
    "crore": 7,
    "billion": 9,
    "trillion": 12,
}

# What only a programmer writes. An identifier on one side only is a difference; a word
# with a hump or an inner dot may be a brand or a slip ("WiFi", "end.Start"), and
# counts only where another such word stands in its place.
_CODE: Final = re.compile(
    r"""
      `(?P<quoted>[^`\n]+)`
    | (?P<identifier>
          \b(?=\w*[^\W_])(?:\w+_\w*|_+\w+)\b      # snake_case, __dunder__
        | \b\w+(?=\(\)) | (?<!\S)@\w+             # a call, a decorator
        | (?<!\S)--?[a-zA-Z][\w-]*                # a flag
        | \b[A-Za-z](?:\+\+|\#)(?!\w)             # C++, C#
      )
    | (?P<operator>
          [=!<>:+*/%&|^@-]==? | \*\* | // | << | >> | -> | && | \|\|
        | (?<!\S)[=<>+*%^|~](?=[\s?.,]|$)
      )
    | (?P<hump> \b[a-z]+[A-Z]\w* | \b[A-Z][a-z]+[A-Z]\w*
        | \b[^\W\d_]\w+(?:\.[a-z]\w+)+ )
    """,
    re.VERBOSE,
)
_APOSTROPHE: Final = "\u2019"
_CONTRACTED: Final = {"can": "can", "won": "will", "shan": "shall", "n": "not"}
_PHRASES: Final = {("free", "of"), ("free", "from"), ("yet", "to")}
_IDLE_BEFORE: Final = {("or",), ("if",), ("why",)}
_EDGES: Final = ".,;:!?()[]{}\"'`\u201c\u201d\u2018\u2019…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the guards compare of one question.

    Attributes:
        words: Lower-case words in order, contractions taken apart.
        stems: The same without their commonest endings.
        content: Stems that are not stop words, in order.
        numbers: All numbers, sorted, each in one spelling.
        units: Pairs of dimension and unit.
        quantities: Pairs of a number and the unit it counts.
        negated: Whether a word says "not".
        soft: Negations by meaning, such as "avoid".
        code: Identifiers, operators and reserved words, lower-case.
        humps: Words written likeThis, LikeThis or like.this, lower-case.
        pieces: What stands between spaces, lower-case, without outer punctuation.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: tuple[str, ...]
    numbers: tuple[str, ...]
    units: frozenset[tuple[str, str]]
    quantities: frozenset[tuple[str, str]]
    negated: bool
    soft: frozenset[str]
    code: frozenset[str]
    humps: frozenset[str]
    pieces: frozenset[str]


@lru_cache(maxsize=8192)
def read_question(text: str) -> Question:
    """Return what the guards compare of a text; remembered for the latest texts."""
    text = unicodedata.normalize("NFKC", text)
    reader = _Reader().read(text)
    code, humps = _code(text)
    words = tuple(reader.words)
    stems = tuple(stem(word) for word in words)
    known = set(words)
    return Question(
        words=words,
        stems=stems,
        content=tuple(
            s
            for w, s in zip(words, stems, strict=True)
            if w not in STOP_WORDS and s not in STOP_WORDS
        ),
        numbers=tuple(sorted(reader.numbers)),
        units=frozenset(reader.units),
        quantities=frozenset(reader.quantities),
        negated=_is_negated(words),
        soft=frozenset(SOFT_STEMS.intersection(stems)),
        code=frozenset(code | (known & RESERVED)),
        humps=frozenset(humps),
        pieces=frozenset(piece.strip(_EDGES) for piece in text.casefold().split()),
    )


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """Return an English word without its commonest ending, alike for its forms."""
    for ending, kept, shortest in (
        ("ies", "y", 5),
        ("sses", "ss", 6),
        ("ing", "", 6),
        ("ed", "", 5),
        ("ly", "", 6),
        ("es", "", 5),
        ("s", "", 4),
    ):
        if len(word) >= shortest and word.endswith(ending):
            if ending == "s" and word[-2] in "su":
                break
            word = word[: -len(ending)] + kept
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":  # noqa: PLR2004 - "run" from "runn"
        return word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word  # noqa: PLR2004


SOFT_STEMS: Final = frozenset(stem(word) for word in SOFT_NEGATIONS)
"""Stems of the words that negate by their meaning."""


class _Reader:
    """Collects words, numbers and units of one text, token by token."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.numbers: list[str] = []
        self.units: set[tuple[str, str]] = set()
        self.quantities: set[tuple[str, str]] = set()
        self._after_number = False
        self._sign: str | None = None  # the currency sign just before

    def read(self, text: str) -> _Reader:
        for match in _TOKEN.finditer(text):
            if match["digits"]:
                minus = "-" if match["minus"] else ""
                self._digits(match["digits"], match["suffix"].casefold(), minus)
            elif match["word"] in _ROMAN:
                self._number(_ROMAN[match["word"]])
            else:
                for word in _split(match.group().casefold()):
                    self._word(word)
        return self

    def _digits(self, digits: str, suffix: str, minus: str) -> None:
        first, *rest = _spellings(digits)
        self._number(minus + first)
        for number in rest:
            self._number(number)
        known = suffix in SYMBOLS and suffix != "s"  # an iPhone 6s is no six seconds
        if known or suffix in _SCALES or suffix in units():
            self._word(suffix)
        elif suffix and suffix not in _ORDINALS:
            self.numbers[-1] += suffix  # "6s" is another phone than "6"

    def _word(self, word: str) -> None:
        after_number, self._after_number = self._after_number, False
        self._sign = None
        number = self.numbers[-1] if after_number else None
        if after_number and self._belongs(word):
            return
        # "two seconds" is a time, "the second" an ordinal.
        unit = SYMBOLS.get(word) if after_number else None
        if unit is None and (after_number or word not in NUMBERS):
            unit = units().get(word)
        if unit is not None:
            self.units.add(unit)
            if number is not None:
                self.quantities.add((number, unit[1]))
            elif not word.isalpha():
                self._sign = unit[1]
        elif word in NUMBERS:
            self._number(NUMBERS[word])
        self.words.append(word)

    def _belongs(self, word: str) -> bool:
        """Take a word into the number before it: "30 thousand", "8 am", "1 month"."""
        last = self.numbers[-1]
        if word in _SCALES and last.replace(".", "", 1).isdecimal():
            scaled = Decimal(last).scaleb(_SCALES[word])
            self.numbers.pop()
            self._number(_spelling(f"{scaled:f}"))
            return True
        if word in _HALVES:
            self.numbers[-1] += word
            return True
        if last == "1" and word in units():
            self.numbers.pop()  # "1 month" is "a month"
        return False

    def _number(self, number: str) -> None:
        self.numbers.append(number)
        if self._sign is not None:
            self.quantities.add((number, self._sign))
            self._sign = None
        self._after_number = True


def _spellings(digits: str) -> list[str]:
    """Return the numbers in `1,000`, `3.11`, `10,20`, each spelt in one way."""
    if _GROUPED.fullmatch(digits):
        return [_spelling(digits.replace(",", ""))]
    return [_spelling(part) for part in digits.split(",")]


def _spelling(number: str) -> str:
    """Spell a number in ASCII digits; 3.10 is not 3.1 (a version), 3.0 is 3."""
    if number.count(".") > 1:
        return number
    number = "".join(
        str(unicodedata.digit(sign)) if sign.isdigit() else sign for sign in number
    ).removesuffix(":00")
    whole, _, fraction = number.partition(".")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction.strip("0") else whole


def _split(word: str) -> list[str]:
    """Take a contraction apart: don't → do not, what's → what."""
    head, apostrophe, tail = word.replace(_APOSTROPHE, "'").partition("'")
    if not apostrophe:
        return [head]
    if tail == "t" and head.endswith("n"):
        return [_CONTRACTED.get(head, head[:-1]), "not"]
    return [head]


def _is_negated(words: tuple[str, ...]) -> bool:
    """Return whether a question denies; "why or why not", "not only" do not."""
    for at, word in enumerate(words):
        if words[at : at + 2] in _PHRASES:
            return True
        if word not in NEGATIONS:
            continue
        before, after = words[max(at - 1, 0) : at], words[at + 1 : at + 2]
        idle = before in _IDLE_BEFORE or after == ("only",)
        if not (word == "not" and idle):
            return True
    return False


def _code(text: str) -> tuple[set[str], set[str]]:
    """Return the code words of a text for certain, and those that only look so."""
    certain: set[str] = set()
    humps: set[str] = set()
    for match in _CODE.finditer(text):
        if match["hump"]:
            humps.add(match["hump"].casefold())
        else:
            certain.update((match["quoted"] or match.group()).casefold().split())
    return certain, humps

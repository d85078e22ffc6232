"""Words as the provider sees them: terms with weights, from text about anything.

Terms are what answers and embeddings match on. Natural words are lower-cased and
lightly stemmed; identifiers and operators (`__init__`, `os.path`, `==`) stay as they
are, because in questions about code they carry the meaning; words that every question
has count little, unless they are quoted, since then they are meant as names ("the
`is` operator").
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["content_words", "stem", "terms"]

STOP_WEIGHT = 0.08
"""What a stop word counts beside a content word."""

_STOP = frozenset(
    """a about above after again all also although am an and any anyone are as at be
    because been before being below between both but by can cannot could did do does
    doing don done down during each either else explain explains few for from
    further get gets give given go had happen happens has have having he her here
    hers him his how i if in into is it its itself just know let like ll make makes
    many may me mean means might more most much must my need no nor not of off on
    once one only or other our out over own please possible purpose question re
    really s same say says shall she should show so some something still such t tell
    than that the their them then there these they thing things this those through
    to too under until up us use used uses using ve very want was way we well were
    what when where whether which while who whom why will with work works
    would write you your""".split()  # noqa: SIM905 - a page of quoted words is harder to read
)

# Words that are usually grammar, but names before a noun of programming: "a for loop".
_GRAMMAR = frozenset(
    "and as by else for from if in is not or then while with".split()  # noqa: SIM905 - as above
)
_NOUN = re.compile(
    r"\s+(?:loop|statement|clause|operator|keyword|expression|block|branch|command)"
)

# Words that say little in any question.
_FAINT = frozenset(
    """add call change common create differ difference different handle inside
    kind make python run simple take term thing write""".split()  # noqa: SIM905 - as above
)
FAINT_WEIGHT = 0.4
"""What such a word counts."""

_TERM = re.compile(
    r"""
    (?P<quoted>[`"'](?P<inner>[^\s`"']{1,40})[`"'](?!\w))
  | (?P<flag>(?<!\S)--?[^\W\d][\w-]*|\b[^\W\d]-[^\W\d]\w+)
  | (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
  | (?P<number>\d+(?:[.,]\d+)*)
  | (?P<operator>\*\*=?|//=?|<<=?|>>=?|:=|->|==|!=|<=|>=|[-+*/%@&|^]=)
  | (?<!\S)(?P<sign>[-+*/%@&|^~<>=!])(?![^\s?.,;])
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """Return a word without its English ending: enough to join its usual forms."""
    if len(word) <= 3 or not word.isascii():  # noqa: PLR2004 - too short to inflect
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = (
            word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
        )
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search("[aeiouy]", root):  # noqa: PLR2004 - "red" and "sing" are roots
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word.removesuffix("e") if len(word) > 3 else word  # noqa: PLR2004 - as above


_FAINT_STEMS = frozenset(map(stem, _FAINT))


@lru_cache(maxsize=1 << 15)
def _weighted(name: str) -> tuple[tuple[str, float], ...]:
    """Return the terms of one bare word or identifier."""
    whole = name.lower()
    if "." in name:
        *owners, last = (_weighted(part) for part in name.split("."))
        return (*((term, w * 0.5) for owner in owners for term, w in owner), *last)
    if "_" in name or not (name.islower() or name.istitle() or name.isupper()):
        parts = {stem(part.lower()) for part in _WORD.findall(name)} - {whole}
        return ((whole, 1.0), *((part, 0.3) for part in sorted(parts)))
    if whole in _STOP or len(whole) == 1:
        return ((whole, STOP_WEIGHT),)
    root = stem(whole)
    return ((root, FAINT_WEIGHT if whole in _FAINT or root in _FAINT_STEMS else 1.0),)


def terms(text: str) -> list[tuple[str, float]]:
    """Return the terms of a text in order, each with its weight from 0 to 1.

    Args:
        text: Any text; markup is taken as punctuation.

    Returns:
        Pairs of term and weight; a term may come more than once.
    """
    found: list[tuple[str, float]] = []
    for match in _TERM.finditer(text):
        kind = match.lastgroup
        if kind == "quoted":
            found += _quoted(match["inner"])
        elif kind == "name" and _names_a_construct(match):
            found.append((match["name"].lower(), 1.0))
        elif kind == "name":
            found += _weighted(match["name"])
        elif kind == "flag":
            found.append((stem(match[0].lower()), 1.0))
            found += _weighted(match[0].lstrip("-").rpartition("-")[2])
        else:
            found.append((match[0], 1.0))
    return found


def _names_a_construct(match: re.Match[str]) -> bool:
    """Whether a word of grammar stands before the noun that makes it a name."""
    return match["name"].lower() in _GRAMMAR and bool(
        _NOUN.match(match.string, match.end())
    )


def _quoted(inner: str) -> list[tuple[str, float]]:
    """Return a quoted token's terms: it is a name, so it never counts as a stop word.

    What is no single word (`x.y=1`, `print(x)`) is read like any other text.
    """
    bare = inner.strip(".,;:?!()[]{}")
    if bare.lower() in _STOP:
        return [(bare.lower(), 1.0)]
    if not bare:
        return []
    return terms(bare) or [(bare, 1.0)]


def content_words(text: str, limit: int) -> list[str]:
    """Return the first words of a text that are no stop words, as they are written."""
    words = (match[0].strip("`\"'") for match in _TERM.finditer(text))
    kept = [
        word
        for word in words
        if any(weight > STOP_WEIGHT for _, weight in _weighted(word))
    ]
    return list(dict.fromkeys(kept))[:limit]

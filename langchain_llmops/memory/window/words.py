"""Words of messages and questions, as ranking compares them."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["STOP_WORDS", "speaker_of", "stem", "words"]

STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are aren't as at be because been before
    being but by can could d did do does doing don done during each for from get gets
    got had has have having he her here hers him his how i if in into is isn it its
    itself just know let like ll m make me more most much my no nor not now of off oh
    ok on once one only or other our out over own re really s said say says she should
    so some such t tell than that the their theirs them then there these they thing
    things this those through to too under until up us ve very was we well were what
    when where which while who whom whose why will with would yeah yes you your yours
    """.split()  # noqa: SIM905 - a table of words reads better as text
)
"""Words that say nothing of what a message is about."""

# Questions ask with the first form ("did you buy"), answers tell with the others.
_IRREGULAR = {
    form: head
    for head, forms in (
        line.split(":")
        for line in """
        become:became|begin:began begun|bite:bit bitten|blow:blew blown|bring:brought
        break:broke broken|build:built|buy:bought|catch:caught|child:children kid kids
        choose:chose chosen|come:came|draw:drew drawn|drink:drank drunk|eat:ate eaten
        drive:drove driven|fall:fell fallen|feed:fed|feel:felt|fight:fought|find:found
        fly:flew flown|foot:feet|forget:forgot forgotten|give:gave given|go:went gone
        grow:grew grown|hear:heard|hide:hid hidden|hold:held|keep:kept|lead:led
        learn:learnt|leave:left|lend:lent|lose:lost|man:men|mean:meant|meet:met
        mouse:mice|pay:paid|person:people|ride:rode ridden|rise:rose risen|run:ran
        see:saw seen|sell:sold|send:sent|shake:shook shaken|shoot:shot|sing:sang sung
        sit:sat|sleep:slept|speak:spoke spoken|spend:spent|stand:stood|steal:stole
        stick:stuck|swim:swam swum|take:took taken|teach:taught|think:thought
        throw:threw thrown|tooth:teeth|understand:understood|wake:woke woken
        wear:wore worn|win:won|woman:women|write:wrote written|mom:mum mother
        dad:father|movie:film films
        """.replace("\n", "|").split("|")
        if line.strip()
    )
    for form in forms.split()
}
_IRREGULAR = {form: head.strip() for form, head in _IRREGULAR.items()}

_ENDINGS = (
    ("ization", "iz"),
    ("ational", "at"),
    ("iveness", "iv"),
    ("fulness", "ful"),
    ("ation", "at"),
    ("ities", "iti"),
    ("ments", ""),
    ("ment", ""),  # codespell:ignore ment
    ("ness", ""),
    ("ions", ""),
    ("ings", ""),
    ("ing", ""),
    ("ied", "i"),
    ("ies", "i"),
    ("ion", ""),
    ("ed", ""),
    ("ly", ""),
    ("es", ""),
    ("s", ""),
)
_KEPT_S = ("ss", "us", "is")
_MIN_STEM = 3
_NO_WORD = re.compile(r"[^a-z0-9]+")
_SPACED = str.maketrans({chr(c): " " for c in range(128) if not chr(c).isalnum()})
# Scripts without spaces between words: looked up by pairs of characters.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)
_WORD = re.compile(r"[^\W_]+")
_LONGEST_NAME = 33
_SPEAKER = re.compile(r"\s*([^\W\d_][\w.' -]{0,30}):\s")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in order; not stemmed.

    Runs of Chinese, Japanese, Thai and the like, which has no spaces, give each pair
    of neighbouring characters.

    Args:
        text: Any text.
    """
    text = text.lower()
    if text.isascii():
        return text.translate(_SPACED).split()
    found = []
    for word in _WORD.findall(text):
        if _UNSPACED.search(word):
            found += _pairs(word)
        else:
            found.append(word)
    return found


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return what forms of an English word have in common; others lose little.

    Args:
        word: A word in lower case.
    """
    word = _IRREGULAR.get(word, word)
    if not word.isascii() or word[0].isdigit():
        return word
    if len(word) > _MIN_STEM and not word.endswith(_KEPT_S):
        for ending, kept in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
                word = word[: -len(ending)] + kept
                break
    if len(word) > _MIN_STEM and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    if len(word) > _MIN_STEM and word[-1] == "e":
        word = word[:-1]
    if len(word) >= _MIN_STEM and word[-1] == "y":
        word = word[:-1] + "i"
    return word


def speaker_of(text: str) -> str | None:
    """Return who speaks, if a text begins as a line of a transcript: `Ann: Hello!`.

    Args:
        text: The text of a message.
    """
    if ":" not in text[:_LONGEST_NAME]:
        return None
    found = _SPEAKER.match(text)
    return found[1].lower() if found else None


def _pairs(run: str) -> list[str]:
    found: list[str] = []
    last = 0
    for match in _UNSPACED.finditer(run):
        if match.start() > last:
            found.append(run[last : match.start()])
        chars = match[0]
        found += [chars[i : i + 2] for i in range(max(1, len(chars) - 1))]
        last = match.end()
    if last < len(run):
        found.append(run[last:])
    return found

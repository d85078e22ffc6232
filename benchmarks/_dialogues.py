"""Long dialogues of two friends with questions whose evidence is known.

Episodes (`dialogues/episodes.txt`) are written by hand; a seed decides who tells which
one, with which names and figures, in which order, and what small talk lies between.
Both friends tell the same kinds of stories, so a question must find the right one.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

FOLDER = Path(__file__).parent / "dialogues"
NAMES = (("Ann", "Ruth"), ("Caleb", "Jolene"), ("Mira", "Tess"), ("Hugo", "Priscilla"))
_SLOT = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, and the places of the messages that answer it."""

    kind: str
    text: str
    evidence: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation and what may be asked about it."""

    speakers: tuple[str, str]
    lines: list[tuple[str, str]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def messages(self, style: str = "prefix") -> list[BaseMessage]:
        """Return the dialogue as messages; speakers in the text, as names or not."""
        made: list[BaseMessage] = []
        for who, said in self.lines:
            kind = HumanMessage if who == self.speakers[0] else AIMessage
            text = f"{who}: {said}" if style == "prefix" else said
            made.append(kind(text, name=who if style == "name" else None))
        return made


@dataclass(frozen=True, slots=True)
class _Episode:
    lines: list[tuple[str, str]]
    questions: list[tuple[str, str, list[int]]]
    slots: dict[str, list[str]]


def dialogue(seed: int) -> Dialogue:
    """Return a dialogue of some 500 messages; the same for the same seed."""
    rng = random.Random(seed)
    pair = NAMES[seed % len(NAMES)]
    made = Dialogue(pair)
    told = [(e, turn) for e in _episodes("episodes.txt") for turn in (0, 1)]
    rng.shuffle(told)
    asides = _episodes("smalltalk.txt")
    taken: dict[str, list[str]] = {}
    for episode, turn in told:
        while rng.random() < 0.5:
            _tell(made, rng.choice(asides), rng.choice((0, 1)), {})
        slots = {}
        for name, values in episode.slots.items():
            free = [v for v in values if v not in taken.setdefault(name, [])] or values
            slots[name] = rng.choice(free)
            taken[name].append(slots[name])
        _tell(made, episode, turn, slots)
    return made


def _tell(made: Dialogue, episode: _Episode, turn: int, slots: dict[str, str]) -> None:
    people = {"A": made.speakers[turn], "B": made.speakers[1 - turn]}
    values = {**slots, **people}
    start = len(made.lines)
    for who, said in episode.lines:
        made.lines.append((people[who], _SLOT.sub(lambda m: values[m[1]], said)))
    for kind, asked, evidence in episode.questions:
        text = _SLOT.sub(lambda m: values[m[1]], asked)
        places = tuple(start + place for place in evidence)
        made.questions.append(Question(kind=kind, text=text, evidence=places))


def _episodes(name: str) -> list[_Episode]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [
        _episode(block) for block in re.split(r"^==.*$", text, flags=re.MULTILINE)[1:]
    ]


def _episode(block: str) -> _Episode:
    episode = _Episode([], [], {})
    for line in filter(None, block.strip().splitlines()):
        mark, _, rest = line.partition(" ")
        if mark == "?":
            kind, asked, places = (part.strip() for part in rest.split("|"))
            episode.questions.append((kind, asked, [int(p) for p in places.split()]))
        elif mark == "@":
            slot, _, values = rest.partition("=")
            episode.slots[slot] = values.split(",")
        else:
            episode.lines.append((mark.rstrip(":"), rest))
    return episode

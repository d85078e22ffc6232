"""How much each message says about a question: BM25 that knows it reads a dialogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_llmops.memory.window.words import STOP_WORDS, stem, words

if TYPE_CHECKING:
    import numpy.typing as npt

    from langchain_llmops.memory.window.lexicon import Lexicon

    Scores = npt.NDArray[np.float32]

__all__ = ["Ranking", "blend", "episodes", "lexical", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The weights of ranking; the defaults were found on dialogues of many kinds.

    Attributes:
        saturation: BM25's k1: how soon a word said again adds nothing.
        length: BM25's b: how much a long message must say more.
        near: What a word counts that was said 1, 2, 3 … messages earlier.
        ahead: What a word counts that is said 1, 2, 3 … messages later.
        kindred: What a word counts that begins alike: `music`, `musician`.
        episode: How much the surrounding episode's score adds to a message's.
        episode_reach: Messages to each side that make an episode.
        other_speaker: What a message counts when the question names the other speaker.
        cue: What a date counts for "when", a number for "how many".
        question: What a message counts that itself asks.
        semantic: The share of the embeddings' score in a hybrid.
        recency: What the newest message gains over the oldest, as a share.
        brevity: How much long messages are passed over: 0 not at all, 1 per token.
    """

    saturation: float = 1.2
    length: float = 0.4
    near: tuple[float, ...] = (0.5, 0.35, 0.25, 0.18, 0.12, 0.08)
    ahead: tuple[float, ...] = (0.2, 0.1)
    kindred: float = 0.4
    episode: float = 0.4
    episode_reach: int = 8
    other_speaker: float = 0.5
    cue: float = 0.15
    question: float = 0.8
    semantic: float = 0.5
    recency: float = 0.05
    brevity: float = 0.2


_CUES = (
    (
        frozenset({"when", "date", "month", "year", "day", "recently"}),
        """yesterday today tonight tomorrow last next ago week weekend month year
        monday tuesday wednesday thursday friday saturday sunday january february
        march april may june july august september october november december
        summer winter spring fall autumn since recently morning evening night""",
    ),
    (
        frozenset({"many", "much", "old", "long", "number", "often", "far"}),
        """one two three four five six seven eight nine ten dozen twice few couple
        several hundred thousand year month week day hour minute""",
    ),
)
_CUE_STEMS = [(asks, {stem(w) for w in told.split()}) for asks, told in _CUES]


def lexical(
    lexicon: Lexicon, query: str, ranking: Ranking, muted: frozenset[str] = frozenset()
) -> Scores:
    """Score messages by the words of a question, said there or close by.

    A word counts as if the message had said it a little when a neighbour says it, and
    saturates together with the message's own: so two words of the question said by
    two neighbours weigh more than one said twice.

    Args:
        lexicon: The words of the messages.
        query: The question.
        ranking: The weights.
        muted: Words to pass over: the names of the speakers.
    """
    asked = words(query)
    told = [w for w in asked if w not in STOP_WORDS and w not in muted]
    terms = dict.fromkeys(map(stem, told or asked), 1.0)
    scoring = _Scoring(lexicon, ranking)
    for term in terms:
        scoring.add(
            {term: 1.0, **dict.fromkeys(lexicon.kindred(term), ranking.kindred)}
        )
    scores = scoring.scores
    for cues, answers in _CUE_STEMS:
        if not cues.isdisjoint(asked):
            said = np.ones(len(lexicon), np.float32)
            said[lexicon.places(answers)] += np.float32(ranking.cue)
            scores *= said
    return scores


class _Scoring:
    """Adds up the scores of one question's words."""

    def __init__(self, lexicon: Lexicon, ranking: Ranking) -> None:
        near, ahead = ranking.near, ranking.ahead
        self._reach = reach = max(len(near), len(ahead))
        self._offsets = np.arange(-len(ahead), len(near) + 1) + reach
        self._shares = np.array([*reversed(ahead), 1.0, *near], np.float32)
        self._lexicon = lexicon
        self._saturation = np.float32(ranking.saturation)
        size = len(lexicon) + 2 * reach
        self._said = np.zeros(size, np.float32)
        self._sum = np.zeros(size, np.float32)
        self._half = np.ones(size, np.float32)
        norm = 1 - ranking.length + ranking.length * lexicon.lengths
        self._half[reach : reach + len(lexicon)] = ranking.saturation * norm

    @property
    def scores(self) -> Scores:
        return self._sum[self._reach : self._reach + len(self._lexicon)]

    def add(self, stems: dict[str, float]) -> None:
        """Add the score of a word that is said in any of these ways."""
        said, touched, having = self._said, [], 0
        for known, weight in stems.items():
            places, times = self._lexicon.occurrences(known)
            if not len(places):
                continue
            having += len(places)
            heard = (times * np.float32(weight))[:, None] * self._shares
            around = (places[:, None] + self._offsets).ravel()
            np.add.at(said, around, heard.ravel().astype(np.float32))
            touched.append(around)
        if not touched:
            return
        where = np.concatenate(touched)
        rare = np.log1p(max(0.0, len(self._lexicon) - having + 0.5) / (having + 0.5))
        heard = said[where]
        gain = heard * (self._saturation + 1) / (heard + self._half[where])
        # Read, then written: a place that is named twice gains once.
        self._sum[where] = self._sum[where] + np.float32(rare) * gain
        said[where] = 0


def spread(scores: Scores, ranking: Ranking) -> Scores:
    """Return the same neighbour smoothing for scores that are not made of words."""
    total: Scores = scores.copy()
    for i, share in enumerate(ranking.near, start=1):
        total[i:] += np.float32(share) * scores[:-i]
    for i, share in enumerate(ranking.ahead, start=1):
        total[:-i] += np.float32(share) * scores[i:]
    return total


def episodes(scores: Scores, ranking: Ranking) -> Scores:
    """Add to each message what the messages around it score on average."""
    reach = ranking.episode_reach
    if not ranking.episode:
        return scores
    sums = np.concatenate(([0.0], np.cumsum(scores, dtype=np.float64)))
    at = np.arange(len(scores))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(scores))
    mean = (sums[high] - sums[low]) / (high - low)
    total: Scores = scores + np.float32(ranking.episode) * mean.astype(np.float32)
    return total


def blend(lexical_scores: Scores, cosines: Scores, ranking: Ranking) -> Scores:
    """Return one score from two that are measured differently."""
    share = np.float32(ranking.semantic)
    return (1 - share) * _level(lexical_scores) + share * _level(cosines)


def _level(scores: Scores) -> Scores:
    """Measure scores from their mean, in units of what the best one has above it."""
    if not len(scores):
        return scores
    above: Scores = scores - scores.mean()
    above /= np.float32(max(float(above.max()), 1e-9))
    return above

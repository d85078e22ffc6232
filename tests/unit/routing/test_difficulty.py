from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import (
    DifficultyEstimator,
    DifficultyGauge,
    TextDifficulty,
)
from langchain_llmops.routing.text_features import FEATURES, text_features

TEXT = st.text(max_size=300)


@given(TEXT)
def test_every_text_has_its_features_and_a_score(text):
    features = text_features(text)
    assert len(features) == len(FEATURES)
    assert all(value >= 0 for value in features)
    assert 0 <= TextDifficulty().scores([text])[0] <= 1


def test_features_say_what_they_are_called():
    seen = dict(
        zip(FEATURES, text_features("Not 2 or 3? No!\nÉ=mc^2 x x"), strict=True)
    )
    assert seen["negations"] == pytest.approx(1.0986, abs=1e-3)  # not, no
    assert seen["numbers"] == pytest.approx(1.3863, abs=1e-3)  # 2, 3, 2
    assert seen["lines"] == pytest.approx(1.0986, abs=1e-3)
    assert seen["symbol_share"] == pytest.approx(2 / 26)
    assert seen["foreign_share"] == pytest.approx(1 / 26)
    assert seen["different_share"] == pytest.approx(7 / 8)


@pytest.mark.parametrize(
    ("easier", "harder", "weights"),
    [
        ("Hi", "Hi, and tell me in detail how that came about" * 3, {}),
        ("one and two", "1 and 2 and", {"length": 0, "symbols": 0}),
        ("a plus b is c", "a + b == [c]", {"length": 0, "numbers": 0}),
    ],
)
def test_each_weight_counts(easier, harder, weights):
    low, high = TextDifficulty(**weights).scores([easier, harder])
    assert low < high


def test_weights_must_make_a_mean():
    for weights in ({"length": -1}, {"length": 0, "numbers": 0, "symbols": 0}):
        with pytest.raises(ConfigurationError, match="the weights are"):
            TextDifficulty(**weights)


class Moody:
    def __init__(self, *moods):
        self.moods = list(moods)

    def scores(self, prompts):
        mood = self.moods.pop(0)
        if isinstance(mood, Exception):
            raise mood
        return [mood for _ in prompts]

    async def ascores(self, prompts):
        return self.scores(prompts)


async def test_a_gauge_goes_on_when_its_estimator_fails(caplog):
    moods = [0.5, OSError("gone"), ValueError("bad"), 1]
    with caplog.at_level(logging.WARNING):
        gauge = DifficultyGauge(Moody(*moods))
        assert [gauge.read("x") for _ in range(4)] == [0.5, None, None, 1.0]
        assert gauge.errors == 2
        gauge = DifficultyGauge(Moody(*moods))
        assert [await gauge.aread("x") for _ in range(4)] == [0.5, None, None, 1.0]
    assert len(caplog.records) == 2  # one for each gauge
    assert "gone" in caplog.text


async def test_the_estimate_from_text_is_the_same_in_both_ways():
    estimator = TextDifficulty()
    assert isinstance(estimator, DifficultyEstimator)
    assert await estimator.ascores(["Hi 12"]) == estimator.scores(["Hi 12"])

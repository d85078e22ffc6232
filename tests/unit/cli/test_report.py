"""The report: one page that needs nothing else, whatever users asked."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cli.demo.charts import (
    Line,
    distribution_chart,
    outcome_bars,
    running_total_chart,
)
from langchain_llmops.cli.demo.report import page

EVIL = "</table><script>alert('x')</script> & <b>\"bold\"</b>"


class Tags(HTMLParser):
    """Collects tags and says whether they are balanced."""

    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def html(question, turn, arm, comparison):
    rows = [
        question("a", text=EVIL, kind="ask", topics=frozenset({"t"})),
        question("b", text="long " * 100, kind="repeat", of="a", meaning="a"),
        question("c", kind="follow_up"),
    ]
    turns = [
        turn(rows[0], answer=EVIL, retrieved=("u",)),
        turn(rows[1], hit="semantic", similarity=0.987),
        turn(rows[2], error=f"Error: {EVIL}", ttft_s=None),
    ]
    return page(
        comparison(
            questions=rows, before=arm("before", turns), after=arm("after", turns)
        ),
        ["model = f(x) < y"],
        ["cache = g(x) < z"],
    )


def test_the_page_is_balanced_and_nothing_of_it_is_elsewhere(html):
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert "http" not in html
    for tag, attributes in tags.seen:
        assert tag not in {"link", "img", "iframe", "base", "object"}
        assert not {"src", "href", "srcset", "xlink:href"} & attributes.keys()
    assert "@import" not in html
    assert "url(" not in html


def test_what_users_wrote_stays_text(html):
    assert html.count("<script>") == 1
    assert "alert(&#x27;x&#x27;)" in html
    assert "model = f(x) &lt; y" in html
    assert "cache = g(x) &lt; z" in html


def test_what_shadow_mode_showed_stands_before_the_code(html):
    told = html.index("Shadow mode, the first 2 questions")
    assert told < html.index("No near pair came up") < html.index("model = f(x)")


def test_each_question_has_a_row_that_filters_can_find(html):
    tags = re.findall(r'<tr data-tags="([^"]*)"', html)
    assert tags == [
        "all kind-ask missed",
        "all kind-repeat cached",
        "all kind-follow_up failed",
    ]
    assert 'data-tag="missed"' in html
    assert "semantic 0.987" in html
    assert html.count("<details>") == 1


def test_a_false_hit_is_shown_with_the_question_it_belongs_to(
    question, turn, arm, comparison
):
    rows = [question("a"), question("b", kind="look_alike", of="a")]
    prompt = {"prompt": (("system", "c"), ("human", "?"))}
    turns = [turn(rows[0], **prompt), turn(rows[1], hit="semantic", **prompt)]
    html = page(comparison(questions=rows, after=arm("after", turns)), [], [])
    assert 'data-tags="all kind-look_alike cached false"' in html
    assert "false, of a" in html
    assert 'data-tag="false"' in html
    assert '<div class="now no">1</div>' in html


def test_a_bill_that_nobody_knows_is_not_drawn(html, arm, billed, comparison):
    assert "What the log cost so far" not in html
    priced = arm(counted=billed(1, Decimal("0.1")))
    assert "What the log cost so far" in page(comparison(before=priced), [], [])


def test_the_page_is_dark_where_the_reader_wants_it(html):
    assert "prefers-color-scheme: dark" in html


numbers = st.lists(st.floats(0, 1e4), max_size=30)


@given(numbers, numbers)
def test_charts_of_any_numbers_are_drawn_inside_their_box(before, after):
    lines = [Line(name="before", values=before), Line(name="after", values=after)]
    for svg in (
        distribution_chart(lines, title="t"),
        running_total_chart(lines, title="t"),
    ):
        root = ET.fromstring(svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        for line in root.iter("polyline"):
            for point in (line.get("points") or "").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_a_distribution_ends_at_all_answers():
    svg = distribution_chart([Line(name="before", values=[0.1, 1.0])], title="t")
    points = ET.fromstring(svg).find("polyline").get("points").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3  # none, half, all


def test_bars_are_as_long_as_their_counts():
    svg = outcome_bars(
        {"ask": {"provider": 3, "exact": 1}, "repeat": {"exact": 2}}, title="t"
    )
    widths = [float(bar.get("width")) for bar in ET.fromstring(svg).iter("rect")]
    gap = 1.5
    assert (widths[0] + gap) / (widths[1] + gap) == pytest.approx(3, rel=0.01)
    assert (widths[2] + gap) / (widths[1] + gap) == pytest.approx(2, rel=0.01)

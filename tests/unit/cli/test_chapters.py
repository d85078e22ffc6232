"""What comes after the comparison: what is asked, what counts, and what is said."""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal

import pytest
from langchain_core.documents import Document
from rich.console import Console

from langchain_llmops.cli.demo import chapters
from langchain_llmops.cli.demo.chapter import Chapter, Stage, right_answers, sample
from langchain_llmops.cli.demo.chapters import run_chapters
from langchain_llmops.cli.demo.knowledge_chapter import find_edit
from langchain_llmops.cli.demo.memory_chapter import conversation, memory_chapter
from langchain_llmops.cli.demo.report import page
from langchain_llmops.cli.demo.results import Figure
from langchain_llmops.cli.demo.screen import Screen
from langchain_llmops.cli.demo.settings import Settings
from langchain_llmops.errors import ConfigurationError

KNOWN = frozenset({"t"})


@pytest.fixture
def settings():
    return Settings(
        model="gpt-4o-mini",
        embedding_model="text-embedding-3-small",
        real=False,
        base_url=None,
        max_usd=Decimal(1),
        docs=None,
        questions=None,
        limit=None,
        concurrency=1,
        seed=0,
        report=None,
        cache=None,
        ledger=None,
    )


@pytest.fixture
def stage(settings, tmp_path):
    """Return a stage on which nothing can be asked."""
    return Stage(
        settings=settings,
        questions=(),
        chunks=(),
        documents=tmp_path,
        folder=tmp_path,
        ledger=None,
        runner=None,
    )


@pytest.fixture
def chapter():
    return Chapter(
        key="routing",
        title="Routing <b>",
        columns=("one & all", "router"),
        figures=(
            Figure(
                key="usd", label="USD", unit="usd", before=Decimal(2), after=Decimal(1)
            ),
        ),
        note="Two models, of which one is <cheap>.",
    )


def test_a_sample_is_spread_over_the_log(question):
    log = [question(f"q{n}", topics=KNOWN) for n in range(100)]
    assert [one.id for one in sample(log, 4)] == ["q0", "q25", "q50", "q75"]
    assert sample(log[:3], 10) == log[:3]


def test_a_sample_needs_no_earlier_turn_and_asks_nothing_twice(question):
    log = [
        question("a", session="s", topics=KNOWN),
        question("b", session="s", topics=KNOWN),
        question("c", meaning="a", topics=KNOWN),
        question("b2", meaning="b", topics=KNOWN),
        question("d"),
        question("e", topics=KNOWN),
    ]
    assert [one.id for one in sample(log, 9)] == ["a", "e"]


def test_a_log_without_labels_is_sampled_too(question):
    log = [question("a"), question("b")]
    assert sample(log, 9) == log


def test_right_is_what_arrived_and_was_made_from_a_right_document(question, turn):
    known = question(topics=KNOWN)
    turns = [
        turn(known, retrieved=("t", "u")),
        turn(known, retrieved=("u",)),
        turn(known, retrieved=("t",), error="gone"),
        turn(known, retrieved=("t",), answer="The context does not say anything."),
        turn(question(), retrieved=("t",)),
    ]
    assert right_answers(turns) == 1
    assert right_answers(turns[-1:]) is None


def test_the_sessions_with_a_follow_up_become_one_conversation(question):
    log = [
        question("a", session="s"),
        question("b", session="t"),
        question("c", session="u"),
        question("d", session="t", kind="follow_up"),
        question("e", session="s", kind="follow_up"),
    ]
    told = conversation(log)
    assert [one.id for one in told] == ["a", "e", "b", "d"]
    assert len({one.session for one in told}) == 1


def test_a_log_without_follow_ups_has_no_memory_chapter(stage, question):
    told = memory_chapter(replace(stage, questions=[question()]))
    assert told.skipped
    assert "no follow-ups" in told.note


SENTENCE = "Tea is steeped for exactly three minutes."


def test_an_edit_changes_the_one_sentence_that_an_answer_quotes(turn):
    documents = [
        Document("Mugs are in the cupboard.", id="a"),
        Document(
            "Tea. Tea is steeped\n  for exactly three minutes. Drink.",
            id="b",
            metadata={"topic": "tea"},
        ),
    ]
    edit = find_edit([turn(answer=f"{SENTENCE} Drink.")], documents)
    assert edit.before == SENTENCE
    assert edit.after not in SENTENCE
    assert edit.before not in edit.after
    assert edit.document.page_content == f"Tea. {edit.after} Drink."
    assert edit.document.metadata == {"topic": "tea"}
    assert edit.applied(documents) == [documents[0], edit.document]


@pytest.mark.parametrize(
    ("answer", "error", "texts"),
    [
        (SENTENCE, None, [SENTENCE, f"So. {SENTENCE}"]),
        (SENTENCE, None, [f"{SENTENCE} {SENTENCE}"]),
        (SENTENCE, "cut", [SENTENCE]),
        ("Yes.", None, ["Yes."]),
        (SENTENCE, None, ["Tea is hot."]),
    ],
    ids=["two documents", "twice", "not arrived", "short", "nowhere"],
)
def test_nothing_is_edited_where_it_would_prove_nothing(turn, answer, error, texts):
    documents = [Document(text, id=text) for text in texts]
    assert find_edit([turn(answer=answer, error=error)], documents) is None


@pytest.mark.parametrize("change", [{"real": True}, {"base_url": "http://there"}])
def test_where_calls_may_cost_money_chapters_are_skipped_and_say_so(
    stage, settings, change
):
    told = run_chapters(replace(stage, settings=replace(settings, **change)))
    assert [one.key for one in told] == ["routing", "memory", "knowledge"]
    assert all(one.skipped for one in told)
    assert all(one.note.startswith("Skipped: its calls may cost") for one in told)


def test_a_chapter_that_fails_says_so_and_the_next_one_runs(
    stage, chapter, monkeypatch
):
    def fails(_):
        raise ConfigurationError("no such 'thing'")

    listed = (("a", "A", fails), ("routing", "Routing", lambda _: chapter))
    monkeypatch.setattr(chapters, "_CHAPTERS", listed)
    failed, ran = run_chapters(stage)
    assert failed.skipped
    assert failed.title == "A"
    assert failed.note == "Did not come to its end: no such 'thing'"
    assert ran is chapter


def test_the_page_shows_figures_of_a_chapter_and_text_stays_text(comparison, chapter):
    left_out = Chapter.left_out("memory", "Memory", "Skipped: so.")
    html = page(comparison(chapters=(chapter, left_out)), [], [])
    assert "<h2>Routing &lt;b&gt;</h2>" in html
    assert "<th>one &amp; all</th><th>router</th>" in html
    assert "<td>$2.0000</td><td>$1.0000</td>" in html
    assert "one is &lt;cheap&gt;" in html
    assert html.endswith("</html>\n")
    shown = html[html.index("<h2>Memory</h2>") :]
    assert "<p>Skipped: so.</p><h2" in shown.replace("\n", "")


def test_the_screen_shows_figures_and_notes_of_chapters(comparison, chapter):
    out = io.StringIO()
    screen = Screen(Console(file=out, width=80))
    left_out = Chapter.left_out("memory", "Memory", "Skipped: [so].")
    screen.closing(comparison(chapters=(chapter, left_out)), [], [])
    said = out.getvalue()
    assert "Routing <b>\n" in said
    assert "one & all" in said
    assert "−50 %" in said  # noqa: RUF001 - a minus sign
    assert said.endswith("\nMemory\nSkipped: [so].\n")

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.caching.semantic.guard_text import read_question, stem
from langchain_llmops.caching.semantic.guard_words import antonyms, units
from langchain_llmops.caching.semantic.guards import (
    DEFAULT_GUARDS,
    conflict,
    numbers_differ,
)

DIFFERENT = {
    "numbers": [
        ("How do I open port 80?", "How do I open port 443?"),
        ("What changed in Python 3.1?", "What changed in Python 3.10?"),
        ("Who won World War I?", "Who won World War II?"),
        ("Who was the first president?", "Who was the second president?"),
        ("Is 1,000 a square?", "Is 10,000 a square?"),
        ("Is an iPhone 6 waterproof?", "Is an iPhone 6s waterproof?"),
        ("Does the shop open at 8 am?", "Does the shop open at 8 pm?"),
        ("List the best films", "List the 5 best films"),
        ("What is 2 + 2?", "What is 2 + 2 + 2?"),
        ("٣ كتب", "٤ كتب"),
        ("What type is 10 ** 2?", "What type is 10 ** -2?"),
        ("What is the sign of -7 % 3?", "What is the sign of 7 % -3?"),
        ("Is it below \u22125 outside?", "Is it below 5 outside?"),
    ],
    "units": [
        ("How hot is it in celsius?", "How hot is it in fahrenheit?"),
        ("How far is 5 km on foot?", "How far is 5 miles on foot?"),
        ("How much is 20 € in dollars?", "How much is $20 in €?"),
        ("Is 30 C too hot?", "Is 30 F too hot?"),
        ("Salary per month in Rome?", "Salary per year in Rome?"),
        ("A 6 foot man in metres", "A 6 metre man in feet"),
    ],
    "negation": [
        ("Why does my test pass?", "Why doesn't my test pass?"),
        ("Deploy with a lock file?", "Deploy with no lock file?"),
        ("Which dishes have nuts?", "Which dishes have no nuts?"),
        ("How do I pay tax?", "How do I avoid to pay tax?"),
        ("Which snacks are vegetarian?", "Which snacks are non-vegetarian?"),
    ],
    "opposites": [
        ("How do I enable logging?", "How do I disable logging?"),
        ("How do I encrypt a disk?", "How do I decrypt a disk?"),
        ("Should I buy bonds now?", "Should I sell bonds now?"),
        ("When was it bought?", "When was it sold?"),
        ("What is the largest planet?", "What is the smallest planet?"),
        ("Is it legal to fish here?", "Is it illegal to fish here?"),
        ("How do I mount a drive?", "How do I unmount a drive?"),
        ("Is the bank open on Monday?", "Is the bank open on Sunday?"),
        ("Sort a column ascending", "Sort a column descending"),
        ("Export the data as CSV", "Export the data as JSON"),
    ],
    "code": [
        ("What does `is` compare?", "What does `==` compare?"),
        ("When does __new__ run?", "When does __init__ run?"),
        ("What does nonlocal do?", "What does global do?"),
        ("What is the type of user_id?", "What is the type of user_name?"),
        ("Why does getUser fail?", "Why does getOrder fail?"),
        ("What does grep -r do?", "What does grep -v do?"),
        ("How do I learn C++?", "How do I learn C#?"),
        ("What does print() return?", "What does input() return?"),
        ("How do I open os.path?", "How do I open sys.path?"),
        ("What is @cache for?", "What is @final for?"),
    ],
    "roles": [
        ("Convert a list to a tuple", "Convert a tuple to a list"),
        ("Fly from New York to Boston", "Fly from Boston to New York"),
        ("Is Go faster than Rust?", "Is Rust faster than Go?"),
        ("Does Bob owe Alice money?", "Does Alice owe Bob money?"),
        ("Who did Brutus kill?", "Who killed Brutus?"),
        ("Does the dog chase the cat?", "Is the dog chased by the cat?"),
        ("How many grams in a kilogram?", "How many kilograms in a gram?"),
    ],
}
ALIKE = [
    ("How do I sort a list in Python?", "In Python, how do I sort a list?"),
    ("What's 2 + 2?", "What is two plus two?"),
    ("Is 1,000 a lot?", "Is 1000 a lot?"),
    ("Lose 5 kg in one month", "Lose 5kg in a month"),
    ("A laptop for 30k rupees", "A laptop under 30,000 rupees"),
    ("Refund after 30 days?", "Refund after thirty days?"),
    ("Open at 8:00 am?", "Open at 8am?"),
    ("Why does it not start?", "Why doesn't it start?"),
    ("Why can't I log in?", "Why am I unable to log in?"),
    ("Is it free or not?", "Is it free?"),
    ("What is `==`?", "What does == mean?"),
    ("Is == the same as is?", "is and ==: the same?"),
    ("Connect to WiFi", "Connect to Wi-Fi"),
    ("What is a list, and what is a tuple?", "How do lists and tuples differ?"),
    ("Which is better, cats or dogs?", "Are dogs or cats better?"),
    ("How does Rust compare to Go?", "How does Go compare to Rust?"),
    ("Was Hamlet written by Shakespeare?", "Did Shakespeare write Hamlet?"),
    ("Does a dog chase cats?", "Are cats chased by a dog?"),
    ("How far is the moon from here?", "How far from here is the moon?"),
    ("How do I get into Harvard?", "How do I get to Harvard?"),
    ("What do girls like?", "What does a girl like?"),
    ("", ""),
]
texts = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "how",
                "do",
                "i",
                "not",
                "convert",
                "3",
                "$",
                "5",
                "km",
                "to",
                "miles",
                "by",
                "is",
                "==",
                "__new__",
                "x_y",
                "aB",
                "can't",
                "1,000.50",
                "II",
                "million",
                "°F",
                "`a b`",
                "-r",
                "٣",
                "1:00",
                "s",
                "m",
                "1",
                "9" * 300,
            ]
        ),
        max_size=12,
    ).map(" ".join),
)


@pytest.mark.parametrize(
    ("kind", "a", "b"),
    [(kind, a, b) for kind, pairs in DIFFERENT.items() for a, b in pairs],
)
def test_questions_with_different_answers_are_kept_apart(kind, a, b):
    assert str(conflict(a, b)).partition(":")[0].split()[0] == kind
    assert conflict(b, a) is not None


@pytest.mark.parametrize(("a", "b"), ALIKE)
def test_paraphrases_pass(a, b):
    assert conflict(a, b) is None
    assert conflict(b, a) is None


@given(texts)
def test_a_question_never_conflicts_with_itself(text):
    assert conflict(text, text) is None


@given(texts, texts)
def test_any_two_texts_are_compared_alike_in_both_orders(a, b):
    assert (conflict(a, b) is None) == (conflict(b, a) is None)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_numbers_are_equal_however_their_thousands_are_written(one, other):
    question, grouped = f"Is {one} prime?", f"Is {other:,} prime?"
    assert (conflict(question, grouped) is None) == (one == other)


def test_the_reason_names_what_differs():
    assert conflict("Is 3 < 4?", "Is 3 < 5?") == "numbers: 4 / 5"
    assert conflict("turn it on", "turn it off") == "opposites: on / off"


def test_a_caller_may_choose_the_guards():
    a, b = "turn it on", "turn it off"
    assert conflict(a, b, [numbers_differ]) is None
    assert conflict(a, b, DEFAULT_GUARDS) is not None
    assert conflict(a, b, []) is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("two hundred", ("200",)),
        ("2.5 million", ("2500000",)),
        ("3.0", ("3",)),
        ("3.10", ("3.10",)),
        ("1.2.3", ("1.2.3",)),
        ("007", ("7",)),
        ("10,20", ("10", "20")),
        ("10:34", ("10:34",)),
        ("the second one", ("2",)),
        ("python3", ("3",)),
    ],
)
def test_a_number_has_one_spelling(text, numbers):
    assert read_question(text).numbers == numbers


def test_words_are_taken_apart_and_reduced_to_stems():
    question = read_question("Why can\u2019t I be running the tests?")
    assert question.words[:4] == ("why", "can", "not", "i")
    assert question.content == ("not", "run", "test")
    for word in ("runs", "running"):
        assert stem(word) == "run"
    assert stem("studies") == stem("study")
    assert stem("status") == "status"


def test_opposites_hold_in_both_directions_and_in_their_forms():
    opposite = antonyms()
    assert "selling" in opposite["bought"]
    assert "bought" in opposite["selling"]
    assert all(word in opposite[other] for word in opposite for other in opposite[word])
    assert all(word not in opposites for word, opposites in opposite.items())


def test_units_know_their_dimension():
    assert units()["km"] == units()["kilometres"] == ("length", "kilometer")
    assert units()["€"] == units()["euros"]

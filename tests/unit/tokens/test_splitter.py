"""TokenTextSplitter: limits, losslessness, borders, overlap, places, meaning."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_llmops import TokenCounter, TokenTextSplitter
from langchain_llmops.errors import ConfigurationError

COUNTER = TokenCounter("gpt-4o")
PIECES = st.sampled_from(
    [
        " ", "  ", "\n", "\n\n", "\r\n", "\t", ". ", ", ", "the", " tea", "Dr. ", "'s",
        "it's", "x" * 40, "12345", "'''", "```\n", "\n# A\n", "- b\n", "| a | b |\n",
        "绿茶泡两分钟。", "緑茶は、二分間。", "กรีนที", "зелёный чай ", "चाय।", "é",
        "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "e\u0301\u0301", "한국어", "<|endoftext|>", "\u00a0", "/",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(PIECES, max_size=60).map("".join),
    st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=40).map("".join),
)
MARKDOWN = """# Tea

Green tea steeps for two minutes. Black tea takes four.

```python
def steep(tea):

    return tea
```

| tea | minutes |
| --- | --- |
| green | 2 |
| black | 4 |
"""


def clusters(text):
    """Return the borders between what readers see as characters."""
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, limit=st.integers(1, 60))
def test_chunks_are_the_text_and_in_the_limit(text, limit):
    # A character has at most four tokens; a limit below refuses those that do not fit.
    with nullcontext() if limit >= 4 else suppress(ConfigurationError):
        chunks = TokenTextSplitter(limit).split_text(text)
        check(text, chunks, limit)


def check(text, chunks, limit):
    assert "".join(chunks) == text
    assert all(0 < COUNTER.count(chunk) <= limit for chunk in chunks)


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, limit=st.integers(24, 60))
def test_characters_that_fit_are_not_cut(text, limit):
    borders = clusters(text)
    whole = [match[0] for match in regex.finditer(r"\X", text)]
    if all(COUNTER.count(each) <= limit for each in whole):
        spans = TokenTextSplitter(limit).split_spans(text)
        assert {end for _, end in spans} <= borders


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, limit=st.integers(8, 60), data=st.data())
def test_overlap_repeats_the_end_of_the_chunk_before(text, limit, data):
    overlap = data.draw(st.integers(0, limit - 1))
    spans = TokenTextSplitter(limit, overlap).split_spans(text)
    assert all(COUNTER.count(text[start:end]) <= limit for start, end in spans)
    done = 0
    for start, end in spans:
        assert start <= done < end  # nothing is left out, and each brings something new
        assert COUNTER.count(text[start:done]) <= overlap
        done = end
    assert done == len(text)


@pytest.mark.parametrize("model", ["gpt-4", "gpt2", "claude-sonnet-4-5", "mine"])
@settings(max_examples=40, deadline=None)
@given(text=TEXTS, limit=st.integers(40, 90))
def test_every_counter_has_its_limit_kept(model, text, limit):
    counter = TokenCounter(model)
    chunks = TokenTextSplitter(limit, counter=counter).split_text(text)
    assert "".join(chunks) == text
    assert all(counter.count(chunk) <= limit for chunk in chunks)


def test_few_more_chunks_than_the_fewest_that_can_be():
    text = "".join(
        f"Tea number {n} steeps for {n % 7} minutes, or {n} seconds.\n" * (n % 5)
        for n in range(2000)
    )
    fewest = -(-COUNTER.count(text) // 128)
    chunks = TokenTextSplitter(128).split_text(text)
    assert len(chunks) <= fewest * 1.02 + 1
    assert sum(chunk.endswith("\n") for chunk in chunks) > 0.9 * len(chunks)


def test_what_the_fewest_chunks_leave_free_is_spent_on_good_borders():
    first, second = "Green tea is good. " * 30, "# Coffee\n" + "Coffee is black. " * 30
    text = first + "\n" + second
    limit = COUNTER.count(second) + 40
    assert TokenTextSplitter(limit, slack=0).split_text(text) == [first + "\n", second]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One two three. Four five six seven.", 7, "One two three. "),
        (
            "I saw Dr. Watson there. He was ill and tired.",
            9,
            "I saw Dr. Watson there. ",
        ),
        ("绿茶泡两分钟。红茶泡四分钟，再加牛奶。", 11, "绿茶泡两分钟。"),  # noqa: RUF001 - Chinese
        ("- one item of it\n- another item\n", 8, "- one item of it\n"),
        ("a line of text\nanother line is here", 7, "a line of text\n"),
    ],
)
def test_chunks_end_where_a_reader_would_pause(text, limit, expected):
    assert TokenTextSplitter(limit, slack=0.5).split_text(text)[0] == expected


def test_code_and_tables_stay_whole_where_they_fit():
    chunks = TokenTextSplitter(35, slack=0.5).split_text(MARKDOWN)
    assert "".join(chunks) == MARKDOWN
    assert sum("```" in chunk for chunk in chunks) == 1
    assert sum("| green" in chunk or "| ---" in chunk for chunk in chunks) == 1


def test_start_index_is_the_place_in_the_text():
    text = "The same words. " * 200
    splitter = TokenTextSplitter(40, 10, add_start_index=True)
    documents = splitter.create_documents([text], [{"source": "a"}])
    assert len(documents) > 10
    starts = [document.metadata["start_index"] for document in documents]
    assert starts == sorted(set(starts))
    for document in documents:
        start = document.metadata["start_index"]
        assert text[start:].startswith(document.page_content)
        assert document.metadata["source"] == "a"


def test_metadata_is_copied_for_each_chunk():
    metadata = {"tags": ["a"]}
    document = Document(page_content="word " * 100, metadata=metadata)
    first, second, *_ = TokenTextSplitter(20).split_documents([document])
    first.metadata["tags"].append("b")
    assert second.metadata == metadata == {"tags": ["a"]}


async def test_asynchronous_results_are_the_same():
    text = "Green tea steeps for two minutes. " * 50
    splitter = TokenTextSplitter(40, 10, add_start_index=True)
    assert await splitter.asplit_text(text) == splitter.split_text(text)
    documents = [Document(page_content=text)]
    found = await splitter.atransform_documents(documents)
    assert found == splitter.transform_documents(documents)


class ByWord(Embeddings):
    """Sentences about tea are alike, and so are those about cats."""

    def embed_query(self, text):
        return [1.0, 0.1] if "tea" in text else [0.1, 1.0]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    async def aembed_documents(self, texts):
        return self.embed_documents(texts)


async def test_embeddings_put_borders_where_the_subject_changes():
    tea, cats = "This tea is green. " * 12, "A cat sleeps all day. " * 10
    splitter = TokenTextSplitter(90, embeddings=ByWord())
    assert splitter.split_text(tea + cats) == [tea, cats]
    assert await splitter.asplit_text(tea + cats) == [tea, cats]
    assert splitter.split_text("") == []


def test_pathological_texts_are_split():
    accents = "e" + "\u0301" * 500
    for text in (
        "a" * 20_000,
        " " * 20_000,
        "\n" * 5_000,
        accents * 3,
        "🇩🇪" * 500,
        "half \ud83d a pair",
        "\x00" * 100,
    ):
        chunks = TokenTextSplitter(16).split_text(text)
        assert "".join(chunks) == text
        assert max(COUNTER.count(chunk) for chunk in chunks) <= 16


def test_a_character_larger_than_a_chunk_is_refused_with_both_numbers():
    with pytest.raises(ConfigurationError, match=r"'ꙮ' has \d tokens, more than the 1"):
        TokenTextSplitter(1).split_text("ꙮ")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"chunk_size": 5, "chunk_overlap": 5}, "chunk_overlap=5"),
        ({"chunk_overlap": -1}, "chunk_overlap=-1"),
        ({"slack": 1}, "slack=1"),
    ],
)
def test_bad_arguments_are_named(arguments, match):
    with pytest.raises(ConfigurationError, match=match):
        TokenTextSplitter(**arguments)

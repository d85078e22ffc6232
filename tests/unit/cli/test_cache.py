"""`llmops cache`: what a file of prompts and a cache file hold."""

from __future__ import annotations

from contextlib import closing

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops.caching import CacheRequest, Entry, SQLiteTier, TieredCache
from langchain_llmops.cli.cache import file_stats, parse_prompts
from langchain_llmops.errors import ConfigurationError

USAGE = {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000}


def test_prompts_are_texts_or_objects():
    lines = ["What is x?", "", '{"question": "What is y?", "id": 7}', "  padded  "]
    assert parse_prompts(lines) == ["What is x?", "What is y?", "padded"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no prompt"),
        (["ok", '{"query": 1}'], "line 2"),
        (["{broken"], "line 1"),
        (['{"question": " "}'], "line 1"),
    ],
)
def test_a_file_that_is_no_list_of_prompts_is_refused(lines, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_prompts(lines)


def test_a_file_is_summed_up(tmp_path):
    path = tmp_path / "cache.db"
    with closing(SQLiteTier(path)) as tier:
        cache = TieredCache([tier], clock=lambda: 1_000.0)
        for key, tags, namespace in (
            ("a", ("kb", "v1"), '"acme"'),
            ("b", ("kb",), None),
            ("c", (), None),
        ):
            cache.put(
                CacheRequest(
                    key=key,
                    partition="",
                    question=None,
                    model="gpt-4o-mini",
                    tags=tags,
                    namespace=namespace,
                ),
                [ChatGeneration(message=AIMessage("four", usage_metadata=USAGE))],
            )
        tier.set("d", Entry(b"garbage", None), 0)
    stats = file_stats(path, now=1_060.0)
    assert (stats.answers, stats.unreadable, stats.oldest_s) == (3, 1, 60.0)
    assert stats.usd == pytest.approx(0.45)
    assert stats.size_bytes > 300
    assert stats.tags == {"kb": 2, "v1": 1}
    assert stats.scopes == {'"acme"': 1}


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(ConfigurationError, match="no cache file"):
        file_stats(tmp_path / "cache.db", now=0)
    assert not list(tmp_path.iterdir())

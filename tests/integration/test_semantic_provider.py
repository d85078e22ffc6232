"""`SemanticCache` with a real client, real embeddings over HTTP, and real processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops import (
    CacheLayer,
    SemanticCache,
    SQLiteTier,
    TieredCache,
    with_layers,
)
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.testing import LocalProvider

SYSTEM = ("system", "Context: Rome is the capital of Italy and has three airports.")
ASKED = "What is the capital city of Italy?"
ALIKE = "what is the capital city of Italy"
OTHER = "Which river runs through the old town of Vienna?"


def clients(provider):
    common = {"api_key": "test", "base_url": provider.base_url, "max_retries": 0}
    # check_embedding_ctx_length would download tiktoken's ranks to count with.
    embeddings = OpenAIEmbeddings(check_embedding_ctx_length=False, **common)
    return ChatOpenAI(model="gpt-4o-mini", temperature=0, **common), embeddings


@pytest.fixture
def runner():
    """A loop for the whole test: a client's connections belong to one loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def layered(provider, runner):
    model, embeddings = clients(provider)
    cache = SemanticCache(embeddings, threshold=0.85)
    yield with_layers(model, CacheLayer(cache)), cache
    runner.run(model.root_async_client.close())
    runner.run(embeddings.async_client._client.close())


def chats(provider):
    return [
        row for row in provider.invoice if row.endpoint.endswith("/chat/completions")
    ]


def test_a_paraphrase_costs_an_embedding_instead_of_an_answer(layered, provider):
    model, cache = layered
    first = model.invoke([SYSTEM, ("human", ASKED)])
    second = model.invoke([SYSTEM, ("human", ALIKE)])
    assert second.content == first.content
    mark = second.response_metadata["cache"]
    assert (mark["kind"], mark["hit_id"] != "") == ("semantic", True)
    assert mark["saved_tokens"] == first.usage_metadata["total_tokens"]
    assert len(chats(provider)) == 1
    assert cache.stats().hits == 1


def test_streams_and_other_questions_and_contexts(layered, provider, runner):
    model, _ = layered

    async def ask(context, question):
        chunks = [c async for c in model.astream([context, ("human", question)])]
        return "".join(chunk.text for chunk in chunks)

    async def main():
        answer = await ask(SYSTEM, ASKED)
        assert await ask(SYSTEM, ALIKE) == answer
        await ask(SYSTEM, OTHER)
        await ask(("system", "Context: Turin was the capital once."), ALIKE)

    runner.run(main())
    assert len(chats(provider)) == 3


def test_a_provider_without_embeddings_still_answers():
    with LocalProvider() as gone:
        _, embeddings = clients(gone)
    cache = SemanticCache(embeddings, threshold=0.85)
    with LocalProvider() as provider:
        model = with_layers(clients(provider)[0], CacheLayer(cache))
        messages = [SYSTEM, ("human", ASKED)]
        answer = model.invoke(messages).content
        hit = model.invoke(messages)
    assert hit.content == answer
    assert hit.response_metadata["cache"]["kind"] == "exact"
    assert cache.stats().embedding_errors >= 1


OTHER_PROCESS = """
    import sys
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration
    from langchain_openai import OpenAIEmbeddings
    from langchain_llmops import SemanticCache, SQLiteTier, TieredCache
    from langchain_llmops.caching.base import CacheRequest

    path, base_url = sys.argv[1:]
    embeddings = OpenAIEmbeddings(
        api_key="test", base_url=base_url, check_embedding_ctx_length=False
    )
    cache = SemanticCache(embeddings, tier=TieredCache([SQLiteTier(path)]))
    request = CacheRequest(
        key="k", partition="p", question={asked!r}, model="gpt-4o-mini"
    )
    cache.put(request, [ChatGeneration(message=AIMessage("Rome"))])
    cache.close()
"""


def test_what_another_process_learnt_is_served_here(provider, tmp_path):
    path = tmp_path / "cache.db"
    _, embeddings = clients(provider)
    now = [0.0]
    cache = SemanticCache(
        embeddings,
        threshold=0.85,
        tier=TieredCache([SQLiteTier(path)]),
        clock=lambda: now[0],
    )
    code = textwrap.dedent(OTHER_PROCESS).format(asked=ASKED)
    subprocess.run([sys.executable, "-c", code, path, provider.base_url], check=True)
    now[0] += 2
    with closing(cache):
        hit = cache.get(
            CacheRequest(key="mine", partition="p", question=ALIKE, model=None)
        )
    assert hit is not None
    assert (hit.generations[0].text, hit.mark["tier"]) == ("Rome", "sqlite")


OTHER_CALIBRATES = """
    import sys
    from langchain_openai import OpenAIEmbeddings
    from langchain_llmops import SemanticCache

    path, base_url = sys.argv[1:]
    embeddings = OpenAIEmbeddings(
        api_key="test", base_url=base_url, check_embedding_ctx_length=False
    )
    things = "apples bridges candles donkeys engines forests guitars hammers".split()
    asked = [f"Where can one buy {thing}?" for thing in things]
    pairs = [(one, one.lower(), True) for one in asked]
    pairs += [(one, other, one == other) for one in asked for other in asked]
    cache = SemanticCache(embeddings, max_false_hit_rate=0.2, path=path)
    assert not cache.calibrate(pairs).abstains
    cache.close()
"""


def test_what_another_process_calibrated_is_served_by_here(provider, tmp_path):
    path = tmp_path / "questions.db"
    _, embeddings = clients(provider)
    now = [0.0]
    cache = SemanticCache(
        embeddings, max_false_hit_rate=0.2, path=path, clock=lambda: now[0]
    )
    request = CacheRequest(key="mine", partition="p", question=ALIKE, model=None)
    cache.put(
        CacheRequest(key="k", partition="p", question=ASKED, model=None),
        [ChatGeneration(message=AIMessage("Rome"))],
    )
    assert cache.get(request) is None
    code = textwrap.dedent(OTHER_CALIBRATES)
    subprocess.run([sys.executable, "-c", code, path, provider.base_url], check=True)
    now[0] += 2
    with closing(cache):
        assert cache.get(request).generations[0].text == "Rome"
    with closing(SemanticCache(embeddings, max_false_hit_rate=0.2, path=path)) as later:
        assert later.same(ASKED, ALIKE)
        assert not later.same(ASKED, OTHER)

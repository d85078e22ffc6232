"""Long texts and cut answers through a real client: requests, invoice, going on."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.stores import InMemoryByteStore
from langchain_openai import ChatOpenAI
from openai import InternalServerError

from langchain_llmops import (
    CostCallbackHandler,
    LongTextRunnable,
    TokenCounter,
    TokenTextSplitter,
    TokenTruncator,
    WindowAllocator,
    continue_truncated,
)
from langchain_llmops.testing import LocalProvider
from langchain_llmops.testing.faults import ServerError

TEXT = " ".join(f"Sentence number {n} of the report is here." for n in range(120))
STORY = " ".join(f"On day {n} the ship sailed {n * 7} miles." for n in range(60))


def narrator(messages):
    """Tell the story; asked to go on, repeat the last words and then go on."""
    if len(messages) == 1:
        return STORY
    told = messages[-2]["content"]
    place = STORY.index(told[:40]) + len(told)
    start = STORY.rfind(" ", 0, max(0, place - 30)) + 1
    return STORY[start:]


@pytest.fixture
def teller():
    with LocalProvider(answer=narrator) as provider:
        yield provider


def chat(provider, **kwargs):
    return ChatOpenAI(
        model="gpt-4o-mini",
        base_url=provider.base_url,
        api_key="local",
        max_retries=0,
        **kwargs,
    )


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_cut_answer_is_completed_and_the_ledger_equals_the_invoice(teller, way):
    costs = CostCallbackHandler()
    model = continue_truncated(
        chat(teller, max_tokens=200, stream_usage=True), max_rounds=20
    )
    config = {"callbacks": [costs]}
    if way == "invoke":
        answer = await asyncio.to_thread(model.invoke, "Tell it", config)
    elif way == "ainvoke":
        answer = await model.ainvoke("Tell it", config)
    elif way == "stream":
        first, *others = await asyncio.to_thread(list, model.stream("Tell it", config))
        answer = sum(others, first)
    else:
        first, *others = [chunk async for chunk in model.astream("Tell it", config)]
        answer = sum(others, first)
    assert answer.text == STORY
    assert answer.response_metadata["finish_reason"] == "stop"
    billed = teller.invoice
    assert len(billed) > 2
    assert answer.usage_metadata["input_tokens"] == sum(r.input_tokens for r in billed)
    assert answer.usage_metadata["output_tokens"] == sum(
        r.output_tokens for r in billed
    )
    assert costs.report().usd == sum(row.usd for row in billed)


async def test_a_failed_run_pays_for_no_segment_twice(provider):
    prompt = ChatPromptTemplate.from_template("Context: {text}\n\nQuestion: Which one?")
    chain = LongTextRunnable(
        prompt | chat(provider) | StrOutputParser(),
        TokenTextSplitter(200),
        merge="list",
        max_concurrency=1,
        store=InMemoryByteStore(),
    )
    segments = len(TokenTextSplitter(200).split_text(TEXT))
    provider.inject(ServerError(nth=[3]))
    with pytest.raises(InternalServerError):
        await asyncio.to_thread(chain.invoke, TEXT)
    answers = await chain.ainvoke(TEXT)
    assert len(answers) == segments
    assert len(provider.invoice) == segments


def test_what_fits_by_our_count_fits_for_the_provider(provider):
    truncator = TokenTruncator(300)
    chain = truncator | chat(provider)
    answer = chain.invoke([SystemMessage("Be brief."), HumanMessage(TEXT)])
    assert answer.usage_metadata["input_tokens"] <= 300
    assert provider.invoice[-1].input_tokens <= 300
    assert provider.invoice[-1].input_tokens >= 290


def test_a_planned_request_is_within_the_window(provider):
    allocator = WindowAllocator(chat(provider), window=1000)
    system, question = SystemMessage("Be brief."), HumanMessage("Which one?")
    plan = allocator.allocate(system=system, question=[question], history=0)
    context = TokenTruncator(plan.context, marker="").invoke(TEXT * 3)
    model = chat(provider, max_tokens=plan.answer)
    model.invoke([system, HumanMessage(f"{context}\n\n{question.text}")])
    row = provider.invoice[-1]
    assert row.input_tokens + plan.answer <= 1000
    assert TokenCounter().count(context) > 0.9 * plan.context

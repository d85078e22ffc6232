"""The ledger against the provider's invoice, through the real ChatOpenAI."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from langchain_llmops import CacheLayer, TieredCache, with_layers
from langchain_llmops.cost import CostAnalyzer, CostCallbackHandler, UsageLedger

TO_THE_NANO = Decimal("1e-9")


def chat(provider, **fields):
    return ChatOpenAI(
        model="gpt-4o-mini",
        base_url=provider.base_url,
        api_key="none",
        max_retries=0,
        **fields,
    )


def config(costs, feature, user="ada"):
    about = {"tenant": "acme", "user": user, "feature": feature}
    return {"callbacks": [costs], "metadata": about}


def test_rows_add_up_to_the_invoice_in_each_mode(provider, tmp_path):
    with UsageLedger(tmp_path / "l.db") as ledger:
        costs = CostCallbackHandler(ledger)
        chain = ChatPromptTemplate.from_template("Say {what}") | chat(provider)
        streamed = ChatPromptTemplate.from_template("Say {what}") | chat(
            provider, stream_usage=True
        )
        chain.invoke({"what": "one"}, config(costs, "invoke"))
        chain.batch([{"what": "two"}, {"what": "three"}], config(costs, "batch"))
        list(streamed.stream({"what": "four"}, config(costs, "stream", "bob")))
        asyncio.run(chain.ainvoke({"what": "five"}, config(costs, "ainvoke", "bob")))
        analyzer = CostAnalyzer(ledger)
        by_feature = analyzer.analyze(by=("feature",))
        by_user = analyzer.analyze(by=("user",))
    assert abs(by_feature.total.usd - provider.invoiced_usd) < TO_THE_NANO
    assert by_feature.total.calls == len(provider.invoice) == 5
    assert {key: each.calls for key, each in by_feature.groups.items()} == {
        ("invoke",): 1,
        ("batch",): 2,
        ("stream",): 1,
        ("ainvoke",): 1,
    }
    assert {key: each.calls for key, each in by_user.groups.items()} == {
        ("ada",): 3,
        ("bob",): 2,
    }
    assert by_feature.total.estimated == 0


def test_a_hit_is_saved_money_and_no_call(provider, tmp_path):
    with UsageLedger(tmp_path / "l.db") as ledger:
        costs = CostCallbackHandler(ledger)
        model = with_layers(chat(provider), CacheLayer(TieredCache()))
        for _ in range(3):
            model.invoke("Say one", config(costs, "cached"))
        total = CostAnalyzer(ledger).analyze(by=()).total
    assert (total.calls, total.cache_hits) == (len(provider.invoice), 2)
    assert abs(total.saved_usd - 2 * provider.invoiced_usd) < TO_THE_NANO
    assert total.usd_per_answer == total.usd / 3


def test_a_stream_that_is_left_is_a_row_about_as_dear_as_the_invoice(
    provider, tmp_path
):
    with UsageLedger(tmp_path / "l.db") as ledger:
        costs = CostCallbackHandler(ledger)
        stream = chat(provider).stream("Say one two three", config(costs, "left"))
        for _ in range(3):
            next(stream)
        stream.close()
        total = CostAnalyzer(ledger).analyze(by=()).total
    assert (total.calls, total.aborted, total.estimated) == (1, 1, 1)
    assert total.wasted_usd == total.usd > 0

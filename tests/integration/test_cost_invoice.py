"""The report against the provider's invoice, through the real ChatOpenAI."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_llmops import CacheLayer, TieredCache, with_layers
from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.testing import LocalProvider, ProviderSettings

if TYPE_CHECKING:
    from langchain_llmops.cost import CostReport

TO_THE_NANO = Decimal("1e-9")
PROMPT = "Context: The sky is blue and the grass is green.\n\nQuestion: Which is blue?"
QUIET = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


class Colour(BaseModel):
    """A colour and what has it."""

    colour: str
    thing: str


@tool
def weather(city: str) -> str:
    """Say what the weather is in a city."""
    return f"It rains in {city}."


def chat(provider: LocalProvider, **options: Any) -> ChatOpenAI:
    options = {"model": "gpt-4o-mini", "stream_usage": True, **options}
    return ChatOpenAI(base_url=provider.base_url, api_key="-", max_retries=0, **options)


@pytest.fixture
def costs() -> CostCallbackHandler:
    return CostCallbackHandler()


def assert_equal(report: CostReport, provider: LocalProvider) -> None:
    """Every figure of the report is the invoice's, and none is an estimate."""
    rows = provider.invoice
    assert report.calls == len(rows)
    assert report.input_tokens == sum(row.input_tokens for row in rows)
    assert report.output_tokens == sum(row.output_tokens for row in rows)
    assert abs(report.usd - provider.invoiced_usd) <= TO_THE_NANO
    assert (report.estimated, report.unsettled, report.unpriced) == (0, 0, 0)
    assert report.calls > 0


@QUIET
# langchain-openai on counts that the SDK leaves out, where it adds up two prompts.
@pytest.mark.filterwarnings("ignore:Unexpected type for token usage")
@pytest.mark.parametrize(
    "call",
    [
        lambda model, config: model.invoke(PROMPT, config),
        lambda model, config: list(model.stream(PROMPT, config)),
        lambda model, config: model.batch([PROMPT, "Hi", "Ho"], config),
        lambda model, config: model.bind(n=2).invoke(PROMPT, config),
        lambda model, config: list(model.bind(n=2).stream(PROMPT, config)),
        lambda model, config: model.generate(
            [[HumanMessage(PROMPT)], [HumanMessage("Hi")]], **config
        ),
        lambda model, config: model.bind_tools([weather]).invoke(
            "What is the weather in Paris?", config
        ),
        lambda model, config: model.with_structured_output(Colour).invoke(
            PROMPT, config
        ),
        lambda model, config: list(model.stream_events(PROMPT, config, version="v3")),
    ],
    ids=[
        "invoke",
        "stream",
        "batch",
        "n=2",
        "n=2 streamed",
        "generate",
        "tools",
        "structured output",
        "v3 events",
    ],
)
def test_sync_calls_equal_the_invoice(call, provider, costs):
    call(chat(provider), {"callbacks": [costs]})
    assert_equal(costs.report(), provider)


async def drain(events):
    async for _ in events:
        pass


@pytest.mark.parametrize(
    "call",
    [
        lambda model, config: model.ainvoke(PROMPT, config),
        lambda model, config: drain(model.astream(PROMPT, config)),
        lambda model, config: model.abatch([PROMPT, "Hi", "Ho"], config),
        lambda model, config: drain(model.astream_events(PROMPT, config, version="v2")),
    ],
    ids=["ainvoke", "astream", "abatch", "v2 events"],
)
async def test_async_calls_equal_the_invoice(call, provider, costs):
    await call(chat(provider), {"callbacks": [costs]})
    assert_equal(await costs.areport(), provider)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-nano", "o3", "gpt-5-mini"])
def test_every_model_costs_what_its_invoice_says(model, costs):
    settings = ProviderSettings(reasoning_tokens=64)
    with LocalProvider(settings=settings) as provider:
        chat(provider, model=model).invoke(PROMPT, {"callbacks": [costs]})
        assert_equal(costs.report(), provider)


@pytest.mark.parametrize("tier", ["flex", "priority"])
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_tiers_cost_what_the_invoice_says(mode, tier, provider, costs):
    model = chat(provider, model="gpt-5-mini", service_tier=tier)
    config = {"callbacks": [costs]}
    model.invoke(PROMPT, config) if mode == "invoke" else list(
        model.stream(PROMPT, config)
    )
    assert provider.invoice[0].service_tier == tier
    assert_equal(costs.report(), provider)


def test_cached_input_costs_what_the_invoice_says(costs):
    long = "The grass is green. " * 400 + PROMPT
    with LocalProvider(settings=ProviderSettings(prompt_caching=True)) as provider:
        for _ in range(2):
            chat(provider).invoke(long, {"callbacks": [costs]})
        assert provider.invoice[1].cached_input_tokens > 1_000
        assert_equal(costs.report(), provider)


def test_an_agents_tool_loop_equals_the_invoice(provider, costs):
    agent = create_agent(chat(provider, callbacks=[costs]), [weather])
    question = {"messages": [("user", "What is the weather in Paris?")]}
    agent.invoke(question, {"callbacks": [costs], "metadata": {"feature": "agent"}})
    report = costs.report()
    assert len(provider.invoice) == 2
    assert_equal(report, provider)
    assert report.by_feature["agent"].usd == report.usd


def test_a_chain_reports_by_feature_and_model(provider, costs):
    prompt = ChatPromptTemplate.from_messages([("human", "{text}")])
    for feature, model in (("a", "gpt-4o"), ("b", "gpt-4o"), ("b", "gpt-4o-mini")):
        chain = prompt | chat(provider, model=model) | StrOutputParser()
        config = {"callbacks": [costs], "metadata": {"feature": feature}}
        chain.invoke({"text": PROMPT}, config)
    report = costs.report()
    assert_equal(report, provider)
    for model in ("gpt-4o", "gpt-4o-mini"):
        rows = [row for row in provider.invoice if row.model == model]
        assert report.by_model[model].calls == len(rows)
        assert report.by_model[model].usd == sum(row.usd for row in rows)
    parts = costs.report(by=("feature", "model"))
    assert set(parts) == {("a", "gpt-4o"), ("b", "gpt-4o"), ("b", "gpt-4o-mini")}


def test_a_hit_of_langchains_cache_is_saved_and_not_billed(provider, costs):
    model = chat(provider, cache=InMemoryCache())
    for _ in range(3):
        model.invoke(PROMPT, {"callbacks": [costs]})
    report = costs.report()
    assert_equal(report, provider)
    assert report.cache_hits == 2
    assert report.saved_usd == 2 * provider.invoice[0].usd


def test_the_same_prompt_twice_in_one_generate_is_billed_once(provider, costs):
    model = chat(provider, cache=InMemoryCache())
    model.generate([[HumanMessage(PROMPT)]] * 2, callbacks=[costs])
    report = costs.report()
    assert_equal(report, provider)
    assert report.cache_hits == 1


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_hit_of_our_layer_is_saved_and_not_billed(mode, provider, costs):
    model = with_layers(chat(provider), CacheLayer(TieredCache()))
    config = {"callbacks": [costs], "metadata": {"feature": "faq"}}
    for _ in range(3):
        model.invoke(PROMPT, config) if mode == "invoke" else list(
            model.stream(PROMPT, config)
        )
    report = costs.report()
    assert_equal(report, provider)
    assert report.cache_hits == 2
    assert report.saved_usd == 2 * provider.invoice[0].usd
    assert report.by_feature["faq"].cache_hits == 2


async def test_an_async_hit_of_our_layer_is_saved_and_not_billed(provider, costs):
    model = with_layers(chat(provider), CacheLayer(TieredCache()))
    for _ in range(2):
        await drain(model.astream(PROMPT, {"callbacks": [costs]}))
    report = await costs.areport()
    assert_equal(report, provider)
    assert report.cache_hits == 1

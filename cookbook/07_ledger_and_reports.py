# %% [markdown]
# # A ledger: who spent what, and what will the month cost?
#
# A service answers for two tenants. Each call becomes a row; from the rows come
# breakdowns, waste, savings and a forecast. A local provider plays OpenAI and keeps the
# invoice that the ledger is checked against: no key and no network are needed.

# %%
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    CacheLayer,
    CostAnalyzer,
    CostCallbackHandler,
    TieredCache,
    UsageLedger,
    with_layers,
)
from langchain_llmops.cli.report import run_report
from langchain_llmops.cost import Charge
from langchain_llmops.pricing.money import motes
from langchain_llmops.testing import LocalProvider

folder = Path(tempfile.mkdtemp())
ledger = UsageLedger(folder / "llmops.db", durability="journal")
costs = CostCallbackHandler(ledger)

# %% [markdown]
# ## Calls
#
# The chain is any chain. The metadata of a call say who it is for.

# %%
prompt = ChatPromptTemplate.from_template(
    "Context: Green tea is steeped for two minutes.\n\nQuestion: {question}"
)
questions = ["How long is it steeped?", "What is steeped?", "How long is it steeped?"]

with LocalProvider() as provider:
    model = with_layers(
        ChatOpenAI(
            model="gpt-4o-mini",
            base_url=provider.base_url,
            api_key="local",
            max_retries=0,
        ),
        CacheLayer(TieredCache()),
    )
    chain = prompt | model
    for tenant in ("acme", "globex"):
        for question in questions:
            about = {"tenant": tenant, "feature": "faq", "user": f"{tenant}-1"}
            config = {"callbacks": [costs], "metadata": about}
            chain.invoke({"question": question}, config)
    # A reader who leaves: what came until then is billed, and wasted.
    stream = chain.stream(
        {"question": "Is tea steeped at all?"},
        {"callbacks": [costs], "metadata": {"tenant": "acme", "feature": "chat"}},
    )
    next(stream)
    stream.close()
    invoice = provider.invoiced_usd

# %% [markdown]
# ## Breakdowns

# %%
analyzer = CostAnalyzer(ledger)
analysis = analyzer.analyze(by=("tenant", "feature"))
{
    key: (f"{figures.calls} calls", f"{figures.cache_hits} hits", figures.usd)
    for key, figures in analysis.groups.items()
}

# %%
total = analysis.total
{
    "invoice": invoice,
    "ledger": total.usd,
    "estimated": total.estimated,
    "wasted": total.wasted_usd,
    "saved": total.saved_usd,
    "per answer": total.usd_per_answer,
}

# %% [markdown]
# ## A month of history
#
# Rows can come from elsewhere: here four weeks that never were, quiet at weekends.

# %%
now = datetime.now(UTC)
for days in range(1, 29):
    day = now - timedelta(days=days)
    for _ in range(40 + days * 7 % 11 if day.weekday() < 5 else 5):
        ledger.record(
            Charge(
                run_id=uuid.uuid4(),
                model="gpt-4o",
                feature="history",
                tenant="acme",
                basis="reported",
                cost=motes("0.05"),
                started_at=day.timestamp(),
            )
        )

outlook = analyzer.analyze("weekly", by=("feature",), where={"tenant": "acme"})
{f"{start:%d %b}": figures.usd for start, figures in outlook.series.items()}

# %%
outlook.trend, outlook.forecast

# %% [markdown]
# ## From the shell
#
# What `llmops report --by tenant,feature --since 4w` prints:

# %%
ledger.close()
run_report(
    ledger=str(folder / "llmops.db"),
    by="tenant,feature",
    since="4w",
    until=None,
    timeframe="daily",
    format_="table",
)

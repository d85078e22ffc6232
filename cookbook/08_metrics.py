# %% [markdown]
# # Metrics of a chain, per tenant
#
# A chain with a cache answers questions of several tenants. One handler records what
# the provider did, what the cache saved and what all of it cost, under the names of
# OpenTelemetry's GenAI conventions. A second look counts embeddings, and a third the
# costs of code that passes no `config` on.
#
# Without `OPENAI_API_KEY` a local provider answers. With a key the same notebook calls
# OpenAI, for less than a cent.

# %%
import os

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from langchain_llmops import (
    CacheLayer,
    CostCallbackHandler,
    MetricsCallbackHandler,
    TieredCache,
    TrackedEmbeddings,
    track_costs,
    with_layers,
)
from langchain_llmops.testing import LocalProvider

provider = None if os.environ.get("OPENAI_API_KEY") else LocalProvider().start()
openai = {"base_url": provider.base_url, "api_key": "local"} if provider else {}

# %% [markdown]
# ## Attach the handler
#
# A reader in memory stands for the exporter. In a service it would be
# `PrometheusMetricReader()` or `PeriodicExportingMetricReader(OTLPMetricExporter())`.

# %%
reader = InMemoryMetricReader()
meters = MeterProvider([reader])
metrics = MetricsCallbackHandler(meters.get_meter("cookbook"))

model = with_layers(
    ChatOpenAI(model="gpt-4o-mini", stream_usage=True, **openai),
    CacheLayer(TieredCache()),
)
questions = {
    "acme": ["What is tea?", "What is coffee?", "What is tea?"],
    "globex": ["What is cocoa?", "What is cocoa?"],
}
for tenant, asked in questions.items():
    config = {"callbacks": [metrics], "metadata": {"tenant": tenant, "feature": "faq"}}
    for question in asked:
        for _ in model.stream(question, config):
            pass

# %% [markdown]
# ## What was recorded


# %%
def show(*names):
    (resource,) = reader.get_metrics_data().resource_metrics
    for metric in resource.scope_metrics[0].metrics:
        for point in metric.data.data_points if metric.name in names else ():
            tenant = point.attributes["llmops.tenant"]
            value = getattr(point, "value", None) or f"{point.count} records"
            print(f"{metric.name:46} {tenant:8} {value} {metric.unit}")


show(
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.inference.usage.input_tokens",
    "llmops.cache.hits",
    "llmops.client.cost",
)

# %% [markdown]
# Five questions, three of them paid for: hits are in `llmops.cache.hits` and nowhere
# else. The cost is what the provider would invoice.

# %%
if provider:
    print("invoice:", provider.invoiced_usd)

# %% [markdown]
# ## Embeddings
#
# They have no callbacks, so they are wrapped. The handler may be one for metrics or one
# for costs.

# %%
costs = CostCallbackHandler()
embeddings = TrackedEmbeddings(
    OpenAIEmbeddings(
        model="text-embedding-3-small", check_embedding_ctx_length=False, **openai
    ),
    costs,
    metadata={"feature": "ingest"},
)
embeddings.embed_documents(["Tea is steeped.", "Coffee is brewed."])
report = costs.report()
print(report.calls, "request,", report.input_tokens, "tokens,", report.usd, "USD")

# %% [markdown]
# ## Code that passes no config on
#
# `track_costs` counts every model that is called inside a block.

# %%
with track_costs() as block:
    model.invoke("What is water?")
    model.invoke("What is water?")

report = block.report()
print(report.calls, "call,", report.cache_hits, "hit,", report.usd, "USD")

# %%
meters.shutdown()
if provider:
    provider.stop()

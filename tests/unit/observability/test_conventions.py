"""Names, units, buckets and keys are those of OpenTelemetry's GenAI conventions.

The tables below were copied by hand from open-telemetry/semantic-conventions-genai,
docs/gen-ai/gen-ai-metrics.md and gen-ai-token-metrics.md (November 2026).
"""

from __future__ import annotations

import pytest

from langchain_llmops import MetricsCallbackHandler
from langchain_llmops.cost.embedding import EmbeddingCall
from langchain_llmops.observability.conventions import CATALOG, provider_value

SECONDS = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
TOKENS = (
    *(1, 4, 16, 64, 256, 1024, 4096, 16384),
    *(65536, 262144, 1048576, 4194304, 16777216, 67108864),
)
OF_CALL = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"}
OF_CALL |= {"gen_ai.response.model"}
OF_USAGE = OF_CALL | {"gen_ai.token.modality"}
USAGE = "gen_ai.client.inference.usage"
SPEC = {
    "gen_ai.client.token.usage": (
        "Histogram",
        "{token}",
        TOKENS,
        OF_CALL | {"gen_ai.token.type"},
    ),
    "gen_ai.client.operation.duration": ("Histogram", "s", SECONDS, OF_CALL),
    "gen_ai.client.operation.time_to_first_chunk": ("Histogram", "s", SECONDS, OF_CALL),
    "gen_ai.client.operation.time_per_output_chunk": (
        "Histogram",
        "s",
        SECONDS,
        OF_CALL,
    ),
    f"{USAGE}.input_tokens": ("Sum", "{token}", None, OF_USAGE),
    f"{USAGE}.output_tokens": ("Sum", "{token}", None, OF_USAGE),
    f"{USAGE}.cache_read.input_tokens": ("Sum", "{token}", None, OF_USAGE),
    f"{USAGE}.cache_write.input_tokens": ("Sum", "{token}", None, OF_USAGE),
    f"{USAGE}.reasoning.output_tokens": ("Sum", "{token}", None, OF_USAGE),
}
PROVIDERS = {
    "anthropic": "anthropic",
    "amazon_bedrock": "aws.bedrock",
    "azure_ai": "azure.ai.inference",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "groq": "groq",
    "ibm": "ibm.watsonx.ai",
    "mistralai": "mistral_ai",
    "openai": "openai",
    "perplexity": "perplexity",
    "xai": "x_ai",
    "a-gateway-of-ours": "a-gateway-of-ours",
    None: "unknown",
}


@pytest.fixture
def called(scripted, metrics, handler):
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    usage["input_token_details"] = {"cache_read": 20, "cache_creation": 10, "audio": 5}
    usage["output_token_details"] = {"reasoning": 4, "audio": 2}
    metadata = {"tenant": "acme", "feature": "chat"}
    config = {"callbacks": [handler], "metadata": metadata}
    list(scripted(usage=usage).stream("hi", config))
    return metrics


@pytest.mark.parametrize("name", SPEC)
def test_instruments_are_those_of_the_conventions(name, called):
    kind, unit, buckets, keys = SPEC[name]
    metric = called.metric(name)
    assert (type(metric.data).__name__, metric.unit) == (kind, unit)
    assert CATALOG[name].unit == unit
    for point in called.points(name):
        assert tuple(getattr(point, "explicit_bounds", ())) == (buckets or ())
        ours = {key for key in point.attributes if key.startswith("llmops.")}
        assert set(point.attributes) - ours == keys
        assert point.attributes["llmops.tenant"] == "acme"
        assert point.attributes["llmops.feature"] == "chat"
        assert point.attributes["gen_ai.operation.name"] == "chat"


def test_what_the_conventions_do_not_name_is_ours():
    assert {n for n in CATALOG if n.startswith("gen_ai.")} == set(SPEC)
    assert all(n.startswith("llmops.") for n in CATALOG if n not in SPEC)


def test_tokens_are_told_apart_by_kind_and_modality(called):
    tokens = "gen_ai.client.token.usage"
    by_type = {p.attributes["gen_ai.token.type"]: p.sum for p in called.points(tokens)}
    assert by_type == {"input": 100, "output": 10}
    for name, audio, rest in (("input_tokens", 5, 95), ("output_tokens", 2, 8)):
        by_modality = {
            p.attributes["gen_ai.token.modality"]: p.value
            for p in called.points(f"{USAGE}.{name}")
        }
        assert by_modality == {"audio": audio, "unknown": rest}
    assert called.total(f"{USAGE}.cache_read.input_tokens") == 20
    assert called.total(f"{USAGE}.cache_write.input_tokens") == 10
    assert called.total(f"{USAGE}.reasoning.output_tokens") == 4


def test_counters_never_fall(called):
    for name in CATALOG:
        if CATALOG[name].kind == "counter" and name in called.all():
            assert called.metric(name).data.is_monotonic


def test_embeddings_are_an_operation_of_their_own(metrics, handler):
    call = EmbeddingCall(
        basis="reported",
        tokens=7,
        model="fake-1",
        requested="fake-1",
        provider="openai",
        duration_s=0.25,
    )
    handler.book_embedding(call)
    (tokens,) = metrics.points("gen_ai.client.token.usage")
    assert tokens.attributes["gen_ai.operation.name"] == "embeddings"
    assert (tokens.attributes["gen_ai.provider.name"], tokens.sum) == ("openai", 7)
    assert f"{USAGE}.output_tokens" not in metrics.all()


@pytest.mark.parametrize("said", PROVIDERS)
def test_providers_go_by_their_well_known_names(said):
    assert provider_value(said) == PROVIDERS[said]


def test_without_an_sdk_nothing_is_recorded_and_nothing_breaks(scripted, prices):
    handler = MetricsCallbackHandler(prices=prices)
    assert scripted().invoke("hi", {"callbacks": [handler]}).text

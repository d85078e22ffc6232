"""OpenTelemetry's words for calls of models, and ours beside them.

Names, units, buckets and keys are those of `semantic-conventions-genai` (status:
Development). They are written out here because the constants of the Python package are
deprecated, and a name that changes under a dashboard is worse than an old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from langchain_llmops.model_names import provider_id

__all__ = [
    "BASIS",
    "BUDGET_SCOPE",
    "CACHE_KIND",
    "CATALOG",
    "ERROR_TYPE",
    "MODALITY",
    "OPERATION",
    "PROVIDER",
    "REQUEST_MODEL",
    "RESPONSE_MODEL",
    "TOKEN_TYPE",
    "UNKNOWN",
    "Metric",
    "provider_value",
]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 # no password
MODALITY: Final = "gen_ai.token.modality"
ERROR_TYPE: Final = "error.type"

BASIS: Final = "llmops.basis"
"""Where tokens and amounts come from, if not from the provider: `cost.charge.Basis`."""
CACHE_KIND: Final = "llmops.cache.kind"
BUDGET_SCOPE: Final = "llmops.budget.scope"

UNKNOWN: Final = "unknown"

_SECONDS: Final = tuple(0.01 * 2**step for step in range(14))
_TOKENS: Final = tuple(4**step for step in range(14))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """An instrument.

    Attributes:
        name: Its name.
        kind: Its kind.
        unit: What it counts, in UCUM's spelling.
        description: What it says, in one sentence.
        buckets: Bounds of a histogram's buckets.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge", "observable"]
    unit: str
    description: str
    buckets: tuple[float, ...] = ()


CATALOG: Final = {
    metric.name: metric
    for metric in (
        Metric(
            name="gen_ai.client.token.usage",
            kind="histogram",
            unit="{token}",
            description="Number of input and output tokens used.",
            buckets=_TOKENS,
        ),
        Metric(
            name="gen_ai.client.operation.duration",
            kind="histogram",
            unit="s",
            description="GenAI operation duration.",
            buckets=_SECONDS,
        ),
        Metric(
            name="gen_ai.client.operation.time_to_first_chunk",
            kind="histogram",
            unit="s",
            description="Time from the request to the first chunk of its answer.",
            buckets=_SECONDS,
        ),
        Metric(
            name="gen_ai.client.operation.time_per_output_chunk",
            kind="histogram",
            unit="s",
            description="Time from each chunk of an answer to the next.",
            buckets=_SECONDS,
        ),
        Metric(
            name="gen_ai.client.inference.usage.input_tokens",
            kind="counter",
            unit="{token}",
            description="Input tokens used, cached ones included.",
        ),
        Metric(
            name="gen_ai.client.inference.usage.output_tokens",
            kind="counter",
            unit="{token}",
            description="Output tokens used, reasoning included.",
        ),
        Metric(
            name="gen_ai.client.inference.usage.cache_read.input_tokens",
            kind="counter",
            unit="{token}",
            description="Input tokens read from the provider's cache.",
        ),
        Metric(
            name="gen_ai.client.inference.usage.cache_write.input_tokens",
            kind="counter",
            unit="{token}",
            description="Input tokens written to the provider's cache.",
        ),
        Metric(
            name="gen_ai.client.inference.usage.reasoning.output_tokens",
            kind="counter",
            unit="{token}",
            description="Output tokens used for reasoning.",
        ),
        Metric(
            name="llmops.client.cost",
            kind="counter",
            unit="USD",
            description="What calls cost at list prices.",
        ),
        Metric(
            name="llmops.client.unpriced",
            kind="counter",
            unit="{call}",
            description="Calls whose model has no known price.",
        ),
        Metric(
            name="llmops.client.unsettled",
            kind="counter",
            unit="{call}",
            description="Calls that went out and whose use was never heard of.",
        ),
        Metric(
            name="llmops.client.under_way",
            kind="observable",
            unit="{call}",
            description="Calls that began and have not ended, or not audibly.",
        ),
        Metric(
            name="llmops.client.retries",
            kind="counter",
            unit="{retry}",
            description="Attempts after a failed one.",
        ),
        Metric(
            name="llmops.client.failovers",
            kind="counter",
            unit="{failover}",
            description="Calls handed to another model after one failed.",
        ),
        Metric(
            name="llmops.cache.hits",
            kind="counter",
            unit="{hit}",
            description="Answers that came out of a cache.",
        ),
        Metric(
            name="llmops.cache.saved",
            kind="counter",
            unit="USD",
            description="What these answers would have cost.",
        ),
        Metric(
            name="llmops.budget.use",
            kind="gauge",
            unit="1",
            description="Share of a budget that is used or reserved.",
        ),
        Metric(
            name="llmops.queue.wait",
            kind="histogram",
            unit="s",
            description="Time that calls waited for a slot.",
            buckets=_SECONDS,
        ),
    )
}
"""Every instrument, by its name."""

# LangChain's and genai-prices' names of providers, where the conventions differ.
_PROVIDERS: Final = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gen_ai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "x-ai": "x_ai",
}


def provider_value(provider: str | None) -> str:
    """Return the conventions' name of a provider.

    Args:
        provider: LangChain's name (`ls_provider`), or none.

    Returns:
        The well-known value; LangChain's name where there is none; else `unknown`.
    """
    if not provider:
        return UNKNOWN
    name = provider.strip().lower()
    if name == "azure_ai":
        return "azure.ai.inference"
    known = provider_id(name)
    return _PROVIDERS.get(name) or _PROVIDERS.get(known, known)

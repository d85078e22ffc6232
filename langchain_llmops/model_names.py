"""Model names as people, gateways and clouds write them, taken apart.

One model has many spellings: `gpt-4o`, `openai/gpt-4o`, `openai:gpt-4o`,
`models/gemini-2.5-pro`, `us.anthropic.claude-sonnet-4-5-20250929-v1:0`,
`ft:gpt-4o-mini-2024-07-18:acme::id`. Prices, encodings and reports need the parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["SELF_HOSTED", "ModelName", "embedding_identity", "parse", "provider_id"]

SELF_HOSTED = frozenset(
    {
        "huggingface-pipeline",
        "llama-cpp",
        "lm-studio",
        "mlx",
        "ollama",
        "vllm",
    }
)
"""Providers that run on the user's own machines: no list price applies to them."""

_EMBEDDING_NAMES = (
    "model",
    "model_name",
    "model_id",
    "repo_id",
    "deployment",
    "dimensions",
)
"""How integrations call the field that says which embedding model it is."""

# Canonical ids are genai-prices' own; on the left what LangChain (`ls_provider`,
# `model_provider`, `init_chat_model`), LiteLLM and clouds say.
_ALIASES = {
    "anthropic-bedrock": "aws",
    "anthropic-mantle": "aws",
    "amazon": "aws",
    "amazon-bedrock": "aws",
    "azure-ai": "azure",
    "azure-openai": "azure",
    "bedrock": "aws",
    "bedrock-converse": "aws",
    "bedrock-mantle-anthropic": "aws",
    "bedrock-mantle-openai": "aws",
    "cohere-chat": "cohere",
    "fireworks-ai": "fireworks",
    "gemini": "google",
    "google-anthropic-vertex": "google",
    "google-genai": "google",
    "google-vertexai": "google",
    "llamacpp": "llama-cpp",
    "lmstudio": "lm-studio",
    "mistralai": "mistral",
    "ollama-chat": "ollama",
    "openai-codex": "openai",
    "openai-mantle": "aws",
    "text-completion-openai": "openai",
    "together-ai": "together",
    "togetherai": "together",
    "vertex-ai": "google",
    "vertexai": "google",
    "hosted-vllm": "vllm",
    "voyage": "voyageai",
    "xai": "x-ai",
}
_CANONICAL = frozenset(
    {
        "anthropic",
        "aws",
        "azure",
        "baseten",
        "cerebras",
        "cloudflare",
        "cohere",
        "databricks",
        "deepseek",
        "fireworks",
        "google",
        "groq",
        "huggingface",
        "mistral",
        "moonshotai",
        "novita",
        "nvidia",
        "openai",
        "openrouter",
        "perplexity",
        "together",
        "voyageai",
        "x-ai",
        "zai",
    }
)
_PREFIXES = {name: name for name in _CANONICAL | SELF_HOSTED} | _ALIASES
# As owners of weights these are not providers: "mistralai/Mixtral-8x7B" may run
# anywhere. Before a colon (`init_chat_model`) they are.
_OWNERS = frozenset({"mistralai"})

_REGIONS = "us|eu|ap|apac|au|ca|global|in|jp|sa|uk|us-gov"
_VENDORS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|"
    "nvidia|openai|qwen|stability|twelvelabs|writer|zai"
)
_BEDROCK = re.compile(
    rf"(?:(?P<region>{_REGIONS})\.)?"
    rf"(?P<model>(?:{_VENDORS})\.(?P<base>[^/]+?)(?:-v?\d+:\d+(?::[\w.-]+)?)?)"
)
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:(?P<region>[\w-]*):\d*:[\w-]+/(?P<rest>.+)")
_VERTEX = re.compile(
    r"(?:projects/[^/]+/locations/(?P<region>[^/]+)/)?"
    r"publishers/(?P<owner>[^/]+)/models/(?P<rest>.+)"
)
_AREA = re.compile(rf"(?P<region>{_REGIONS}|[a-z]{{2}}(?:-[a-z]+)+-\d)/(?P<rest>.+)")
_FINE_TUNED = re.compile(r"ft:(?P<base>[^:]+)(?::.*)?|(?P<azure_base>[^/]+)\.ft-.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """The parts of a model's name; everything is lower case.

    Attributes:
        provider: Who serves it, as `provider_id` spells it; `None` if the name does
            not say.
        model: The name as that provider's API takes it, without provider and region:
            `ft:gpt-4o-mini-2024-07-18:acme::id`,
            `anthropic.claude-sonnet-4-5-20250929-v1:0`. Dates stay.
        base: The published model beneath it: `gpt-4o-mini-2024-07-18`,
            `claude-sonnet-4-5-20250929`. Most often equal to `model`.
        region: Where a cloud runs it (`us`, `eu`, `global`, `us-east-1`), which may
            change its price; `None` if the name does not say.
        fine_tuned: Whether it is somebody's fine-tune of `base`.
    """

    provider: str | None = None
    model: str
    base: str
    region: str | None = None
    fine_tuned: bool = False


@lru_cache(maxsize=4096)
def parse(name: str) -> ModelName:
    """Take a model's name apart; any string is a name, and none raises.

    Args:
        name: The name as configured or as the provider reported it.

    Returns:
        Its parts; a name of no known form comes back as its own `model` and `base`.
    """
    rest = name.strip().lower()
    provider, rest = _split_provider(rest)
    region: str | None = None
    if arn := _ARN.fullmatch(rest):
        provider, region, rest = "aws", arn["region"] or None, arn["rest"]
    elif vertex := _VERTEX.fullmatch(rest):
        provider, region, rest = "google", vertex["region"], vertex["rest"]
    elif provider in {"aws", "azure"} and (area := _AREA.fullmatch(rest)):
        region, rest = area["region"], area["rest"]
    if provider in {None, "google"}:
        rest, is_gemini = _without(rest, "models/")
        provider = "google" if is_gemini else provider
    if provider in {None, "anthropic", "aws"} and (bedrock := _BEDROCK.fullmatch(rest)):
        return ModelName(
            provider="aws",
            model=bedrock["model"],
            base=bedrock["base"],
            region=bedrock["region"] or region,
        )
    if rest.startswith("accounts/fireworks/"):
        provider = "fireworks"
    tuned = _FINE_TUNED.fullmatch(rest)
    base = (tuned["base"] or tuned["azure_base"]) if tuned else rest
    if tuned and provider is None:
        provider = "openai" if tuned["base"] else "azure"
    return ModelName(
        provider=provider,
        model=rest,
        base=base,
        region=region,
        fine_tuned=tuned is not None,
    )


def provider_id(name: str) -> str:
    """Return the one spelling of a provider's name.

    Args:
        name: What LangChain, LiteLLM or a cloud calls it: `azure_openai`,
            `google_genai`, `amazon_bedrock`, `xai`.

    Returns:
        genai-prices' id where the provider is known (`azure`, `google`, `aws`,
        `x-ai`), else the name in lower case.
    """
    lower = name.strip().lower()
    return _PREFIXES.get(lower.replace("_", "-"), lower)


def _split_provider(name: str) -> tuple[str | None, str]:
    """Split `openai/gpt-4o` and `openai:gpt-4o`; leave `gpt-oss:20b` alone."""
    match = re.match(r"([^/:]+)([/:])(?=.)", name)
    if match is None or (match[2] == "/" and match[1] in _OWNERS):
        return None, name
    provider = _PREFIXES.get(match[1].replace("_", "-"))
    return (provider, name[match.end() :]) if provider else (None, name)


def _without(name: str, prefix: str) -> tuple[str, bool]:
    rest = name.removeprefix(prefix)
    return (rest, True) if rest and rest != name else (name, False)


def embedding_identity(embeddings: object) -> str:
    """Return what tells an embedding model's vectors from those of another.

    Its class and its names, and those of the models that it wraps.
    """
    kind = type(embeddings)
    settings = [
        f"{name}={value}"
        for name in _EMBEDDING_NAMES
        if isinstance(value := getattr(embeddings, name, None), str | int)
    ]
    inside = [
        f"({embedding_identity(value)})"
        for value in getattr(embeddings, "__dict__", {}).values()
        if hasattr(value, "embed_query")
    ]
    return " ".join([f"{kind.__module__}.{kind.__qualname__}", *settings, *inside])

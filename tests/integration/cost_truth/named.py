"""Other providers, tiers, modalities and prices.

What does not run on loopback (Bedrock, Gemini) is a model that says what that
provider's integration says; its price is the list price, written down by hand.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
from cost_truth.bench import PROMPT, scenario
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import AzureChatOpenAI

from langchain_llmops.pricing import Prices, UsdPerMillion

if TYPE_CHECKING:
    from cost_truth.bench import Bench


class Elsewhere(BaseChatModel):
    """Says what an integration says: who it is, what answered, what was used."""

    provider: str
    model: str
    usage: dict[str, Any]
    tier: str | None = None

    @property
    def _llm_type(self) -> str:
        return "elsewhere"

    def _get_ls_params(self, *_: Any, **__: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.model}

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        said = {"model_name": self.model, "model_provider": self.provider}
        if self.tier:
            said["service_tier"] = self.tier
        message = AIMessage("Yes", usage_metadata=self.usage, response_metadata=said)
        return ChatResult(generations=[ChatGeneration(message=message)])


def usage(input_tokens: int, output_tokens: int, **details: Any) -> dict[str, Any]:
    total = input_tokens + output_tokens
    counts = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    return {**counts, "total_tokens": total, **details}


class AtAzure(httpx.HTTPTransport):
    """Leads an Azure deployment's address to the local provider's."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(path="/v1/chat/completions", query=None)
        return super().handle_request(request)


@scenario("Azure deployment")
def azure(bench: Bench) -> None:
    with httpx.Client(transport=AtAzure()) as client:
        AzureChatOpenAI(
            azure_deployment="gpt-4o",
            model="gpt-4o",
            azure_endpoint=bench.provider.base_url.removesuffix("/v1"),
            api_version="2025-01-01-preview",
            api_key="-",
            max_retries=0,
            http_client=client,
        ).invoke(PROMPT, bench.config)


@scenario("Bedrock, regional (+10 %)")
def bedrock(bench: Bench) -> None:
    Elsewhere(
        provider="amazon_bedrock",
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        usage=usage(1_000, 100),
    ).invoke(PROMPT, bench.config)
    bench.bill(1_000, 100, "0.00495")  # 3.30 and 16.50 a million


@scenario("Gemini, thinking")
def gemini(bench: Bench) -> None:
    Elsewhere(
        provider="google_genai",
        model="models/gemini-2.5-flash",
        usage=usage(1_000, 300, output_token_details={"reasoning": 250}),
    ).invoke(PROMPT, bench.config)
    bench.bill(1_000, 300, "0.00105")  # 0.30 and 2.50 a million


@scenario("batch tier")
def batch_tier(bench: Bench) -> None:
    Elsewhere(
        provider="openai",
        model="gpt-4o",
        usage=usage(1_000, 100),
        tier="batch",
    ).invoke(PROMPT, bench.config)
    bench.bill(1_000, 100, "0.00175")  # half of 2.50 and 10 a million


@scenario("audio in and out")
def audio(bench: Bench) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        said = {
            "prompt_tokens": 1_000,
            "completion_tokens": 100,
            "total_tokens": 1_100,
            "prompt_tokens_details": {"audio_tokens": 600, "cached_tokens": 0},
            "completion_tokens_details": {"audio_tokens": 80, "reasoning_tokens": 0},
        }
        message = {"role": "assistant", "content": "Yes"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        model = json.loads(request.content)["model"]
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1}
        body = {**head, "model": model, "choices": [choice], "usage": said}
        return httpx.Response(200, json=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        bench.chat(model="gpt-audio", http_client=client).invoke(PROMPT, bench.config)
    # 400 text at 2.50, 600 audio at 32; 20 text at 10, 80 audio at 64 a million
    bench.bill(1_000, 100, "0.02552")


@scenario("unknown model", unpriced=1)
def unknown(bench: Bench) -> None:
    bench.chat(model="in-house-1").invoke(PROMPT, bench.config)
    bench.usd_of = lambda _: Decimal()  # nobody has told us its price


OWN = UsdPerMillion(input="2.20", output="8.80")


@scenario("prices of one's own", prices=lambda: Prices({"gpt-4o": OWN}))
def own_prices(bench: Bench) -> None:
    bench.chat(model="gpt-4o").invoke(PROMPT, bench.config)
    bench.usd_of = lambda row: (
        Decimal("2.20") * row.input_tokens + Decimal("8.80") * row.output_tokens
    ).scaleb(-6)


IN_MAY_2025 = datetime(2025, 5, 1, tzinfo=UTC).timestamp()


@scenario(
    "prices of the day: o3 before June 2025",
    prices=lambda: Prices(clock=lambda: IN_MAY_2025),
)
def old_prices(bench: Bench) -> None:
    bench.chat(model="o3").invoke(PROMPT, bench.config)
    bench.usd_of = lambda row: Decimal(
        10 * row.input_tokens + 40 * row.output_tokens
    ).scaleb(-6)


def kept(ttl: str) -> list[Any]:
    control = {"type": "ephemeral", "ttl": ttl}
    text = {"type": "text", "text": "The grass is green. " * 400}
    return [SystemMessage([{**text, "cache_control": control}]), HumanMessage(PROMPT)]


@scenario("Claude")
def claude(bench: Bench) -> None:
    bench.claude().invoke(PROMPT, bench.config)


@scenario("Claude, streamed")
def claude_streamed(bench: Bench) -> None:
    list(bench.claude().stream(PROMPT, bench.config))


@scenario("Claude, cache written for 5 min, then read")
def claude_5m(bench: Bench) -> None:
    for _ in range(2):
        bench.claude().invoke(kept("5m"), bench.config)


@scenario("Claude, cache written for 1 h")
def claude_1h(bench: Bench) -> None:
    bench.claude().invoke(kept("1h"), bench.config)


@scenario("Claude, cache written for 1 h, then read, streamed")
def claude_1h_streamed(bench: Bench) -> None:
    for _ in range(2):
        list(bench.claude().stream(kept("1h"), bench.config))

"""The rows of tests/integration/test_cost_truth_table.py beside two other trackers.

Run it as `python benchmarks/cost_truth_table.py`; it writes its section of
docs/benchmarks.md and exits with 1 if a row of ours is wrong.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from _harness import machine, publish, table
from langchain_core.callbacks import UsageMetadataCallbackHandler

from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.pricing.prices import default_prices

sys.path.append(str(Path(__file__).parent.parent / "tests" / "integration"))

from cost_truth import broken, named, plain
from cost_truth.bench import SCENARIOS, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # archived upstream, and says so on import
    from langchain_community.callbacks import OpenAICallbackHandler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cost_truth.bench import Bill, Scenario

CHAPTERS = {
    plain.__name__: "Calls that end well",
    broken.__name__: "Calls that end early, fail or are seen twice",
    named.__name__: "Other providers, tiers, modalities and prices",
}
TO_THE_NANO = Decimal("1e-9")
TENTH = Decimal("0.1")
TEXT = """## Cost: the truth table

What trackers report of calls through the real `ChatOpenAI`, `AzureChatOpenAI` and
`ChatAnthropic`, beside what servers on loopback billed for them: tokens in / out, USD.
✓: equal, dollars to 1e-9. ≈: within a tenth, and flagged as an estimate. ?: nobody can
know what was billed, and the report says so (`unsettled`; or `unpriced`, with the right
tokens). ✗: something else, which is shown. Bedrock, Gemini, audio and the batch tier
are replies as those providers' integrations report them, at list prices. The scenarios
are in `tests/integration/cost_truth`.

Core's handler counts tokens and knows no prices: it is given ours, by model name.
Neither of the other two has a way to see embeddings.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a tracker reports, and what it says of that by itself."""

    input_tokens: int
    output_tokens: int
    usd: Decimal
    estimated: int = 0
    unsettled: int = 0
    unpriced: int = 0


def ours(row: Scenario) -> tuple[Seen, list[Bill]]:
    costs = CostCallbackHandler(prices=row.prices() if row.prices else None)
    bills = run(row, costs)
    report = costs.report()
    seen = {name: getattr(report, name) for name in Seen.__dataclass_fields__}
    return Seen(**seen), bills


def core(row: Scenario) -> tuple[Seen, list[Bill]]:
    handler = UsageMetadataCallbackHandler()
    bills = run(row, handler)
    prices = row.prices() if row.prices else default_prices()
    usages = handler.usage_metadata
    costs = [prices.price(model, usage) for model, usage in usages.items()]
    seen = Seen(
        input_tokens=sum(usage["input_tokens"] for usage in usages.values()),
        output_tokens=sum(usage["output_tokens"] for usage in usages.values()),
        usd=sum(filter(None, costs), Decimal()),
        unpriced=costs.count(None),
    )
    return seen, bills


def community(row: Scenario) -> tuple[Seen, list[Bill]]:
    handler = OpenAICallbackHandler()
    bills = run(row, handler)
    seen = Seen(
        input_tokens=handler.prompt_tokens,
        output_tokens=handler.completion_tokens,
        usd=Decimal(str(handler.total_cost)),
    )
    return seen, bills


TRACKERS = {
    "`CostCallbackHandler`": ours,
    "core's `UsageMetadataCallbackHandler`": core,
    "community's `OpenAICallbackHandler`": community,
}


def billed(bills: Sequence[Bill]) -> Seen:
    return Seen(
        input_tokens=sum(bill.input_tokens for bill in bills),
        output_tokens=sum(bill.output_tokens for bill in bills),
        usd=sum((bill.usd for bill in bills), Decimal()),
    )


def mark(row: Scenario, seen: Seen, truth: Seen) -> str:
    """Judge what a tracker reports by what was billed."""
    figures = ("input_tokens", "output_tokens", "usd")
    pairs = [(Decimal(getattr(seen, f)), Decimal(getattr(truth, f))) for f in figures]
    exact = all(abs(a - b) <= TO_THE_NANO for a, b in pairs)
    near = all(abs(a - b) <= TENTH * b for a, b in pairs)
    flagged = (seen.estimated, seen.unsettled, seen.unpriced) == (
        row.estimated,
        row.unsettled,
        row.unpriced,
    )
    if flagged and (row.unsettled or (row.unpriced and exact)):
        return "?"
    if flagged and row.estimated and near:
        return "≈"
    return "✓" if exact and not row.unpriced else shown(seen)


def shown(seen: Seen) -> str:
    return f"✗ {figures(seen)}"


def figures(seen: Seen) -> str:
    return f"{seen.input_tokens:,} / {seen.output_tokens:,}, {seen.usd:.6f}"


def main() -> int:
    warnings.simplefilter("ignore")  # beta notices, and counts that the SDK leaves out
    sections, totals = [TEXT], {name: Counter[str]() for name in TRACKERS}
    for module, title in CHAPTERS.items():
        lines = []
        for row in (one for one in SCENARIOS if one.act.__module__ == module):
            results = {name: track(row) for name, track in TRACKERS.items()}
            marks = {
                name: mark(row, seen, billed(bills))
                for name, (seen, bills) in results.items()
            }
            for name, judged in marks.items():
                totals[name][judged[0]] += 1
            _, bills = next(iter(results.values()))
            lines.append([row.name, figures(billed(bills)), *marks.values()])
        head = ["calls", "billed", *TRACKERS]
        sections += [f"### {title}\n", table(head, lines), ""]
    scores = [
        [name, *(total[sign] for sign in "✓≈?✗")] for name, total in totals.items()
    ]
    sections[1:1] = [table(["tracker", "✓", "≈", "?", "✗"], scores), ""]
    packages = ("langchain-core", "langchain-openai", "langchain-anthropic")
    sections.append(f"{machine(*packages, 'langchain-community')}.")
    publish("cost-truth-table", "\n".join(sections))
    return int(totals["`CostCallbackHandler`"]["✗"] > 0)


if __name__ == "__main__":
    sys.exit(main())

"""List prices out of genai-prices: which of its models a name means, and when.

Its own `calc_price` looks a model up, validates its prices and adds `Decimal`s anew on
each call, for some 70 µs. Here that happens once per model, and again only where a
price has a calendar.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from langchain_llmops.model_names import SELF_HOSTED, ModelName, parse, provider_id
from langchain_llmops.pricing.rates import PriceSheet, compile_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo

__all__ = ["Catalog", "Quote", "snapshot_reader"]

# genai-prices knows batch prices under `processing`; asked for a *service tier* of
# that name it answers with the standard price. Anthropic calls its fast mode a speed.
_CONTEXTS = {
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}

# genai-prices tells owners by how a name begins; it misses "text-embedding-3-small" and
# "embed-v4.0".
_OF_BARE_NAMES = ("openai", "cohere")


class Quote:
    """The price sheet of a model whose price changes with the date or the hour."""

    __slots__ = ("_context", "_latest", "_model")

    def __init__(self, model: ModelInfo, context: dict[str, str] | None) -> None:
        self._model = model
        self._context = context
        self._latest: tuple[int | None, PriceSheet | None] = (None, None)

    def sheet(self, second: int) -> PriceSheet | None:
        """Return the sheet in force, or `None` where no token has a price.

        Args:
            second: The time of the call, in seconds since the epoch.
        """
        # One tuple, replaced whole: threads see the old pair or the new one.
        seen, sheet = self._latest
        if seen != second:
            sheet = _compile(self._model, self._context, second)
            self._latest = (second, sheet)
        return sheet


class Catalog:
    """genai-prices' data, asked by any spelling of a model's name."""

    def __init__(self, snapshot: DataSnapshot) -> None:
        self.snapshot = snapshot

    @property
    def updated_at(self) -> datetime | None:
        """When the prices were fetched; `None` for those that came with the package."""
        return self.snapshot.timestamp if self.snapshot.from_auto_update else None

    def find(
        self, model: str, provider: str | None, service_tier: str | None
    ) -> PriceSheet | Quote | None:
        """Return a model's price sheet, or `None` if its price is not known.

        Args:
            model: Its name, in any spelling that `model_names.parse` knows.
            provider: Who served it, in any spelling; `None` if only the name tells.
            service_tier: As for `pricing.price`.

        Returns:
            The sheet; a `Quote` where it depends on the time.
        """
        for served_by, ref in self._readings(model, provider):
            try:
                owner, found = self.snapshot.find_provider_model(
                    ref, None, served_by, None
                )
            except LookupError:
                continue
            # A model that its provider borrows (Azure: OpenAI's) has no tiers there.
            own = any(found is listed for listed in owner.models)
            context = _context(service_tier) if own else None
            if _has_calendar(found, context):
                return Quote(found, context)
            return _compile(found, context, 0)
        return None

    def _readings(
        self, model: str, provider: str | None
    ) -> Iterator[tuple[str | None, str]]:
        """Yield what a name may mean, the best-founded reading first."""
        name = parse(model)
        given = provider_id(provider) if provider else None
        if (given or name.provider) in SELF_HOSTED:
            return
        if name.provider == "aws" and name.model != name.base:
            # Bedrock ids say it themselves, whatever class made the call.
            yield from _bedrock(name)
            return
        if given:
            yield given, model.strip()
            yield given, name.model
        if name.provider:
            yield name.provider, name.model
        elif not given or not self._knows(given):
            yield None, name.model
            for owner in _OF_BARE_NAMES:
                yield owner, name.model

    def _knows(self, provider: str) -> bool:
        try:
            self.snapshot.find_provider(None, provider, None)
        except LookupError:
            return False
        return True


def snapshot_reader() -> Callable[[], DataSnapshot]:
    """Return what returns the prices that genai-prices holds: its own, or fetched."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 # takes 0.5 s

    return get_snapshot


def _bedrock(name: ModelName) -> Iterator[tuple[str, str]]:
    # An inference profile's region is part of the id ("us."); an AWS region is not.
    if name.region and not name.region[-1].isdigit():
        yield "aws", f"{name.region}.{name.model}"
    yield "aws", name.model


def _compile(
    model: ModelInfo, context: dict[str, str] | None, second: int
) -> PriceSheet | None:
    moment = datetime.fromtimestamp(second, UTC)
    return compile_sheet(vars(model.get_prices(moment, context)))


def _context(service_tier: str | None) -> dict[str, str] | None:
    if not service_tier:
        return None
    tier = service_tier.strip().lower()
    return _CONTEXTS.get(tier, {"service_tier": tier})


def _has_calendar(model: ModelInfo, context: dict[str, str] | None) -> bool:
    if isinstance(model.prices, list):
        return True
    variants = model.price_variants if context else None
    return any(variant.constraint is not None for variant in variants or ())

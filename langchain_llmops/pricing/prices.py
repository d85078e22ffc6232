"""The price of a call: names resolved once per model, then one dot product."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.model_names import parse, provider_id
from langchain_llmops.pricing.catalog import Catalog, Quote, snapshot_reader
from langchain_llmops.pricing.money import dollars
from langchain_llmops.pricing.rates import PriceSheet, UsdPerMillion
from langchain_llmops.pricing.usage import Usage, tier_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

__all__ = ["Prices", "default_prices", "price"]


class _Listed(NamedTuple):
    """What follows from one catalog."""

    catalog: Catalog
    find: Callable[[tuple[str, ...], str | None, str | None], PriceSheet | Quote | None]
    version: str


class Prices:
    """What models cost: list prices, and your own where you have others.

    Making one loads genai-prices: up to half a second, once per process, so that a
    service does it at its start and not in its event loop. Afterwards a price costs
    one or two microseconds (the first of a model about a millisecond) and no I/O. Safe
    across threads and event loops.

    Prices that `genai_prices.UpdatePrices` has fetched are used from the next call on:
    start that in a service which outlives price changes, and nothing else need change.

    Args:
        overrides: Model name, in any spelling that `model_names.parse` knows, to your
            own prices. `azure/gpt-4o` holds for that provider only, `gpt-4o` for all.
            An override holds at all times and in all service tiers.
        clock: Seconds since the epoch; some prices change with the date or the hour.

    Raises:
        ConfigurationError: An override is not a `UsdPerMillion`.

    Example:
        ```python
        from langchain_llmops.pricing import Prices, UsdPerMillion

        prices = Prices({"my-deployment": UsdPerMillion(input="2.20", output="8.80")})
        usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
        assert str(prices.price("azure/my-deployment", usage)) == "0.00308"
        ```
    """

    def __init__(
        self,
        overrides: Mapping[str, UsdPerMillion] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._overrides = _sheets(overrides or {})
        self._clock = clock
        self._snapshot = snapshot_reader()
        self._listed = self._list(Catalog(self._snapshot()))

    def price(
        self,
        model: str,
        usage_metadata: Mapping[str, Any] | Usage,
        *,
        provider: str | None = None,
        at: datetime | None = None,
        service_tier: str | None = None,
    ) -> Decimal | None:
        """Return the price of one call in USD, or `None` if it is not known.

        Args and exactness are those of `pricing.price`.
        """
        if isinstance(usage_metadata, Usage):
            usage = usage_metadata
        else:
            usage = Usage.from_metadata(usage_metadata)
            service_tier = service_tier or tier_of(usage_metadata)
        sheet = self._now().find((model,), provider, service_tier)
        if isinstance(sheet, Quote):
            sheet = sheet.sheet(self._second(at))
        cost = None if sheet is None else sheet.cost(usage)
        return None if cost is None else dollars(cost)

    @property
    def version(self) -> str:
        """Where the prices come from, for ledgers: two that differ, differ here.

        `genai-prices 0.2.3`; with the time of an update, if there was one, and a hash
        of your own prices, if there are any.
        """
        return self._now().version

    def sheet(
        self,
        names: tuple[str, ...],
        provider: str | None = None,
        service_tier: str | None = None,
        at: datetime | None = None,
    ) -> PriceSheet | None:
        """Return the price sheet in force for a model, or `None` if it has no price.

        Args:
            names: The names that the model goes by, the most telling first. Overrides
                are looked for under each of them before list prices are.
            provider: As for `pricing.price`.
            service_tier: As for `pricing.price`.
            at: As for `pricing.price`.
        """
        found = self._now().find(names, provider, service_tier)
        return found.sheet(self._second(at)) if isinstance(found, Quote) else found

    def _now(self) -> _Listed:
        snapshot = self._snapshot()
        if snapshot is not self._listed.catalog.snapshot:
            # Replaced whole: threads see the old prices or the new ones.
            self._listed = self._list(Catalog(snapshot))
        return self._listed

    def _list(self, catalog: Catalog) -> _Listed:
        return _Listed(
            catalog=catalog,
            find=lru_cache(maxsize=4096)(partial(self._find_in, catalog)),
            version=_version(catalog, self._overrides),
        )

    def _second(self, at: datetime | None) -> int:
        if at is None:
            return int(self._clock())
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())

    def _find_in(
        self,
        catalog: Catalog,
        names: tuple[str, ...],
        provider: str | None,
        service_tier: str | None,
    ) -> PriceSheet | Quote | None:
        given = provider_id(provider) if provider else None
        parsed = [parse(name) for name in names]
        for name in parsed:
            for served_by in (given, name.provider, None):
                if own := self._overrides.get((served_by, name.model)):
                    return own
        quotes = (catalog.find(name, provider, service_tier) for name in names)
        return next((quote for quote in quotes if quote is not None), None)


@cache
def default_prices() -> Prices:
    """Return the list prices without overrides; loads them on the first call."""
    return Prices()


def price(
    model: str,
    usage_metadata: Mapping[str, Any] | Usage,
    *,
    provider: str | None = None,
    at: datetime | None = None,
    service_tier: str | None = None,
) -> Decimal | None:
    """Return the list price of one call in USD.

    The amount is exact: no float, no rounding. The first call of a process loads the
    prices (up to half a second); later ones take one or two microseconds.

    Args:
        model: The model's name in any spelling: `gpt-4o`, `openai/gpt-4o`,
            `models/gemini-2.5-pro`, `us.anthropic.claude-…-v1:0`.
        usage_metadata: The `usage_metadata` of an `AIMessage`, or a `Usage`. It is
            read as `Usage.from_metadata` says, which never raises: a provider's odd
            numbers are no reason for an error.
        provider: Who served the call (`azure`, `amazon_bedrock`, …) where the name
            does not say; prices differ.
        at: When the call was made, for past prices; without a zone it is UTC. By
            default now.
        service_tier: `batch`, `flex`, `priority` or `fast`. A model without a price of
            its own for that tier costs the standard price. By default the tier that
            langchain-openai wrote into `usage_metadata`, else standard.

    Returns:
        USD; `None` if no price is known for the model or for a kind of token that was
        used (an embedding model's output, say). Never 0 for want of a price.

    Example:
        ```python
        from langchain_llmops.pricing import price

        usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
        assert str(price("openai/gpt-4o-mini", usage)) == "0.00021"
        assert price("no-such-model", usage) is None
        ```
    """
    return default_prices().price(
        model, usage_metadata, provider=provider, at=at, service_tier=service_tier
    )


def _version(
    catalog: Catalog, overrides: Mapping[tuple[str | None, str], PriceSheet]
) -> str:
    listed = f"genai-prices {metadata.version('genai-prices')}"
    if catalog.updated_at is not None:
        listed += f" of {catalog.updated_at:%Y-%m-%d %H:%M}"
    if not overrides:
        return listed
    own = repr(sorted(overrides.items(), key=repr)).encode()
    return f"{listed} + own {hashlib.sha256(own).hexdigest()[:12]}"


def _sheets(
    overrides: Mapping[str, UsdPerMillion],
) -> dict[tuple[str | None, str], PriceSheet]:
    sheets = {}
    for spelling, own in overrides.items():
        if not isinstance(own, UsdPerMillion):
            raise ConfigurationError(
                f"the price of {spelling!r} is {own!r}: "
                "give UsdPerMillion(input=…, output=…)"
            )
        name = parse(spelling)
        sheets[name.provider, name.model] = own.sheet()
    return sheets

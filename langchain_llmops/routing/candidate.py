"""`Candidate`: a model that a router may choose, and what is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from langchain_core.language_models import BaseChatModel

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import UsdPerMillion
from langchain_llmops.pricing.money import dollars
from langchain_llmops.routing.catalog import (
    ModelCatalog,
    Pricing,
    capability_name,
    default_catalog,
    model_names,
)

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmops.pricing import Usage

__all__ = ["Candidate", "as_candidates"]

_LIMITS: Final = ("max_input_tokens", "max_output_tokens", "rpm", "tpm")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A model to choose from; what is left out comes from its profile and the catalog.

    After construction the attributes hold what counts: a limit that nobody knows is
    `None`, a capability that nobody knows is absent, and a price that nobody knows is
    `None` when asked for. Two candidates are equal if they are the same object. Making
    one without `prices` loads list prices (half a second, once per process); nothing
    else blocks.

    Args:
        model: The chat model.
        tier: Which failover tier it belongs to.
        weight: Its share of the traffic where a policy goes by weight; 0 is a spare.
        max_input_tokens: The longest prompt to send it; at most what its profile says.
        max_output_tokens: The longest answer to expect; likewise.
        capabilities: What it can do: names, or a mapping from names to yes and no, on
            top of its profile. Profiles' names, short ones (`tools`, `images`) and
            names of your own.
        prices: What it costs, in place of the catalog's price.
        rpm: Requests a minute that it is allowed.
        tpm: Tokens a minute that it is allowed.
        region: Where it runs, as your requests call it.
        name: What reports, tables and state call it; by default the model's name, with
            its region if it has one.
        catalog: Where the rest comes from; by default profiles and list prices.

    Raises:
        ConfigurationError: The model is no chat model, a figure is no positive number,
            or a limit contradicts the model's profile.

    Example:
        ```python
        from langchain_llmops import Candidate
        from langchain_openai import ChatOpenAI

        small = Candidate(ChatOpenAI(model="gpt-4o-mini"), capabilities={"legal"})
        print(small.name, small.max_input_tokens, small.can("tools"), small.can("x"))
        #> gpt-4o-mini 128000 True None
        ```
    """

    model: BaseChatModel = field(repr=False)
    _: KW_ONLY
    tier: str = "standard"
    weight: float = 1
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: Mapping[str, bool] | Collection[str] | None = None
    prices: UsdPerMillion | None = None
    rpm: int | None = None
    tpm: int | None = None
    region: str | None = None
    name: str = ""
    catalog: ModelCatalog = field(default_factory=default_catalog, repr=False)
    is_named: bool = field(init=False, repr=False)
    price: Pricing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, BaseChatModel):
            raise ConfigurationError(
                f"{self.model!r} is no chat model: give a BaseChatModel, such as "
                "ChatOpenAI(model=…)"
            )
        self._set("is_named", bool(self.name))
        self._set("name", self.name or _default_name(self.model, self.region))
        self._check_figures()
        profile = self.catalog.profile(self.model)
        for limit in ("max_input_tokens", "max_output_tokens"):
            self._set(limit, self._narrowed(limit, profile.get(limit)))
        flags = {key: flag for key, flag in profile.items() if isinstance(flag, bool)}
        own = _flags(self.capabilities)
        self._check_tools(own)
        self._set("capabilities", flags | own)
        self._set("price", self._pricing())

    def can(self, capability: str) -> bool | None:
        """Return whether it has a capability; `None` if nobody said."""
        flags: Mapping[str, bool] = self.capabilities  # type: ignore[assignment]
        return flags.get(capability_name(capability))

    def fits(self, input_tokens: int, output_tokens: int = 0) -> bool | None:
        """Return whether a prompt and its answer keep its limits; `None`: unknown."""
        asked = (
            (self.max_input_tokens, input_tokens),
            (self.max_output_tokens, output_tokens),
        )
        if any(limit is not None and tokens > limit for limit, tokens in asked):
            return False
        unknown = any(limit is None and tokens for limit, tokens in asked)
        return None if unknown else True

    def cost(self, usage: Usage, *, at: datetime | None = None) -> Decimal | None:
        """Return what a call would cost in USD; `None`: unknown.

        Args:
            usage: The tokens of the call.
            at: When it is made, for prices that change; by default now.
        """
        return self.price(usage, at)

    def _pricing(self) -> Pricing:
        if self.prices is None:
            return self.catalog.pricing(self.model)
        sheet = self.prices.sheet()

        def price(usage: Usage, _: datetime | None) -> Decimal | None:
            cost = sheet.cost(usage)
            return None if cost is None else dollars(cost)

        return price

    def _set(self, attribute: str, value: Any) -> None:
        object.__setattr__(self, attribute, value)

    def _check_figures(self) -> None:
        for limit in _LIMITS:
            value = getattr(self, limit)
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigurationError(
                    f"{limit} of {self.name!r} is {value!r}: give a positive whole "
                    "number, or None for unknown"
                )
        is_number = isinstance(self.weight, int | float)
        if not (is_number and 0 <= self.weight < float("inf")):
            raise ConfigurationError(
                f"weight of {self.name!r} is {self.weight!r}: give 0 or more"
            )
        if self.prices is not None and not isinstance(self.prices, UsdPerMillion):
            raise ConfigurationError(
                f"prices of {self.name!r} are {self.prices!r}: "
                "give UsdPerMillion(input=…, output=…)"
            )

    def _narrowed(self, limit: str, published: int | None) -> int | None:
        own: int | None = getattr(self, limit)
        if own is None or published is None:
            return published if own is None else own
        if own > published:
            known_as = next(iter(model_names(self.model)), self.name)
            raise ConfigurationError(
                f"{limit} of {self.name!r} is {own!r}, but the model's profile says "
                f"{published!r}: lower it, or correct the profile with "
                f"ModelCatalog({{{known_as!r}: {{{limit!r}: {own!r}}}}})"
            )
        return own

    def _check_tools(self, own: Mapping[str, bool]) -> None:
        for part in ("tool_choice", "tool_call_streaming"):
            if own.get(part) and own.get("tool_calling") is False:
                raise ConfigurationError(
                    f"{self.name!r} is said to have {part!r} without 'tool_calling': "
                    "drop one of the two from its capabilities"
                )


def as_candidates(
    models: Iterable[Candidate | BaseChatModel], *, catalog: ModelCatalog | None = None
) -> tuple[Candidate, ...]:
    """Return candidates whose names are unique.

    Args:
        models: Candidates, or chat models to be candidates as they are.
        catalog: For models that are not candidates yet.

    Raises:
        ConfigurationError: There are none, or a name was given twice. Names that were
            not given are numbered instead: `gpt-4o`, `gpt-4o#2`.
    """
    known = default_catalog() if catalog is None else catalog
    found = [
        model if isinstance(model, Candidate) else Candidate(model, catalog=known)
        for model in models
    ]
    if not found:
        raise ConfigurationError("there are no candidates: give at least one model")
    given = Counter(candidate.name for candidate in found if candidate.is_named)
    for name, times in given.items():
        if times > 1:
            raise ConfigurationError(
                f"{times} candidates are named {name!r}: give each a name of its own"
            )
    return tuple(_numbered(found, set(given)))


def _numbered(found: Iterable[Candidate], taken: set[str]) -> Iterable[Candidate]:
    for candidate in found:
        if candidate.is_named:
            yield candidate
            continue
        name, number = candidate.name, 1
        while name in taken:
            number += 1
            name = f"{candidate.name}#{number}"
        taken.add(name)
        yield candidate if number == 1 else replace(candidate, name=name)


def _default_name(model: BaseChatModel, region: str | None) -> str:
    name = next(iter(model_names(model)), type(model).__name__)
    return f"{name}@{region}" if region else name


def _flags(
    capabilities: Mapping[str, bool] | Collection[str] | None,
) -> dict[str, bool]:
    if capabilities is None:
        return {}
    if isinstance(capabilities, str):
        raise ConfigurationError(
            f"capabilities are {capabilities!r}: give a set, {{{capabilities!r}}}"
        )
    if not isinstance(capabilities, Mapping):
        capabilities = dict.fromkeys(capabilities, True)
    return {capability_name(name): bool(flag) for name, flag in capabilities.items()}

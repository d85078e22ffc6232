"""What is known of a model: its limits, its capabilities, its price, or nothing."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_type_hints

from langchain_core.language_models import BaseChatModel, ModelProfile

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.model_names import parse, provider_id
from langchain_llmops.pricing.money import dollars
from langchain_llmops.pricing.prices import Prices, default_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmops.pricing import Usage, UsdPerMillion

__all__ = [
    "ModelCatalog",
    "Pricing",
    "capability_name",
    "default_catalog",
    "model_names",
]

Model: TypeAlias = BaseChatModel | str
Pricing: TypeAlias = "Callable[[Usage, datetime | None], Decimal | None]"

_SHORT: Final = {
    "audio": "audio_inputs",
    "images": "image_inputs",
    "pdf": "pdf_inputs",
    "reasoning": "reasoning_output",
    "tools": "tool_calling",
    "video": "video_inputs",
    "vision": "image_inputs",
}


def capability_name(name: str) -> str:
    """Return a capability as LangChain's profiles spell it: `tools`, `tool_calling`.

    Names that profiles do not know are capabilities of the user's own.
    """
    return _SHORT.get(name, name)


def model_names(model: Model) -> tuple[str, ...]:
    """Return the names that a model goes by, the most telling first; maybe none."""
    if isinstance(model, str):
        return (model,)
    found = [_tracing(model).get("ls_model_name")]
    found += [getattr(model, field, None) for field in ("model_name", "model")]
    return tuple(dict.fromkeys(n for n in found if isinstance(n, str) and n))


class ModelCatalog:
    """Answer whether a model fits, what it can do and what it costs.

    Limits and capabilities are those of `model.profile`, prices those of `pricing`;
    your own come first. An answer may be `None`: *unknown*. It is never a guess, so
    the context window that price lists publish is not taken for an input limit (the
    two differ for a third of OpenAI's models).

    Making one with prices of its own loads genai-prices, as the first question about a
    list price does: up to half a second, once per process. Afterwards it does no I/O;
    safe across threads and event loops.

    Args:
        overrides: Model name, in any spelling that `model_names.parse` knows, to the
            entries of its `ModelProfile` that are to be added or corrected.
            `azure/gpt-4o` holds for that provider only, `gpt-4o` for all.
        prices: Your own prices by model name, or a `Prices`; by default list prices.

    Raises:
        ConfigurationError: An override has an entry that no profile has, or an entry
            of the wrong kind.

    Example:
        ```python
        from langchain_llmops import ModelCatalog

        catalog = ModelCatalog({"my-llama": {"max_input_tokens": 32_000}})
        print(catalog.fits("my-llama", 40_000), catalog.can("my-llama", "tools"))
        #> False None
        ```
    """

    def __init__(
        self,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        prices: Mapping[str, UsdPerMillion] | Prices | None = None,
    ) -> None:
        self._overrides = {
            (name.provider, name.model): _checked(spelling, entries)
            for spelling, entries in (overrides or {}).items()
            for name in (parse(spelling),)
        }
        own = prices if prices is None or isinstance(prices, Prices) else Prices(prices)
        self._prices = own

    def profile(self, model: Model) -> dict[str, Any]:
        """Return what is known of a model, in the terms of LangChain's `ModelProfile`.

        Args:
            model: A chat model; of a mere name only the overrides are known.
        """
        own = getattr(model, "profile", None)
        known = dict(own) if own else {}
        given = _provider(model)
        for name in map(parse, model_names(model)):
            for served_by in (None, name.provider, given):
                known |= self._overrides.get((served_by, name.model), {})
        return known

    def fits(
        self, model: Model, input_tokens: int, output_tokens: int = 0
    ) -> bool | None:
        """Return whether a prompt and its answer are within the model's limits.

        Args:
            model: A chat model or a name.
            input_tokens: Tokens of the prompt.
            output_tokens: Tokens that the answer may take.

        Returns:
            `False` if a known limit is exceeded, `True` if all that matter are known
            and kept, else `None`.
        """
        profile = self.profile(model)
        asked = {"max_input_tokens": input_tokens, "max_output_tokens": output_tokens}
        limits = [(profile.get(key), tokens) for key, tokens in asked.items() if tokens]
        if any(limit is not None and tokens > limit for limit, tokens in limits):
            return False
        return None if any(limit is None for limit, _ in limits) else True

    def can(self, model: Model, capability: str) -> bool | None:
        """Return whether a model has a capability; `None` if nobody said.

        Args:
            model: A chat model or a name.
            capability: A flag of `ModelProfile`, or a short name: `tools`, `images`,
                `audio`, `video`, `pdf`, `reasoning`.
        """
        flag = self.profile(model).get(capability_name(capability))
        return flag if isinstance(flag, bool) else None

    def costs(
        self, model: Model, usage: Usage, *, at: datetime | None = None
    ) -> Decimal | None:
        """Return the price of a call in USD, or `None` if it is not known.

        Args:
            model: A chat model or a name.
            usage: The tokens of the call.
            at: When it is made; by default now.
        """
        return self.pricing(model)(usage, at)

    def pricing(self, model: Model) -> Pricing:
        """Return the function from usage and time to USD, with the name looked up."""
        names, provider = model_names(model), _provider(model)
        prices = default_prices() if self._prices is None else self._prices

        def price(usage: Usage, at: datetime | None) -> Decimal | None:
            sheet = prices.sheet(names, provider, None, at)
            cost = None if sheet is None else sheet.cost(usage)
            return None if cost is None else dollars(cost)

        return price


@cache
def default_catalog() -> ModelCatalog:
    """Return the catalog without overrides, which all candidates share by default."""
    return ModelCatalog()


def _tracing(model: BaseChatModel) -> Mapping[str, Any]:
    # Where every integration says what its model is called and who serves it.
    return model._get_ls_params()  # noqa: SLF001 # type: ignore[return-value]


def _provider(model: Model) -> str | None:
    if isinstance(model, str):
        return None
    name = _tracing(model).get("ls_provider")
    return provider_id(name) if isinstance(name, str) else None


def _checked(model: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return an override with its capabilities spelt as profiles do."""
    if not isinstance(entries, dict):
        raise ConfigurationError(
            f"the override of {model!r} is {entries!r}: give a dict of profile "
            "entries, {'max_input_tokens': 32_000, 'tool_calling': True}"
        )
    kinds = get_type_hints(ModelProfile)
    checked = {}
    for key, value in entries.items():
        entry = capability_name(key)
        kind = kinds.get(entry)
        if kind is None:
            near = difflib.get_close_matches(entry, kinds, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see ModelProfile"
            raise ConfigurationError(
                f"the override of {model!r} has an unknown entry {key!r}: {hint}"
            )
        if kind in {bool, int} and type(value) is not kind:
            raise ConfigurationError(
                f"{key!r} of {model!r} is {value!r}: give a {kind.__name__}"
            )
        if kind is int and value < 1:
            raise ConfigurationError(
                f"{key!r} of {model!r} is {value!r}: give 1 or more"
            )
        checked[entry] = value
    return checked

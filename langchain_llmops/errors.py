"""Every error that langchain_llmops raises on purpose.

```text
LLMOpsError
├── ConfigurationError (ValueError)   an argument or file is wrong: fix it
│   └── MissingExtraError (ImportError)  install the named extra
├── BudgetExceededError               a budget is spent: wait, or use less
├── StorageError                      a database or file cannot be used
└── LocalProviderError                the local provider cannot start or serve
```

Identifiers are shown with `!r`, the cause is chained, and the message ends with the
way out. Errors of a model or a chain are never wrapped: they reach the caller as the
same object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

__all__ = [
    "BudgetExceededError",
    "ConfigurationError",
    "LLMOpsError",
    "LocalProviderError",
    "MissingExtraError",
    "StorageError",
]


class LLMOpsError(Exception):
    """Root of every error that this package raises on purpose."""


class ConfigurationError(LLMOpsError, ValueError):
    """An argument, a file or an environment is wrong; the message says what to do."""


class MissingExtraError(ConfigurationError, ImportError):
    """A feature needs an optional dependency that is not installed.

    Args:
        feature: What the caller asked for.
        extra: Name of the extra that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional dependency: "
            f'pip install "langchain-llmops[{extra}]"'
        )
        self.feature = feature
        self.extra = extra


class BudgetExceededError(LLMOpsError):
    """A call was refused, since its budget does not cover it; nothing was sent.

    Args:
        scope: Whose budget it is, such as `tenant:acme`; `call` for the `max_usd` of a
            single call.
        limit: How much may be used in the window: USD, or whole tokens or calls.
        used: How much of it is used, or held by calls under way.
        requested: How much more was asked for.
        resets_at: When the budget starts anew, in UTC; `None` if never.
        unit: What is counted: `usd`, `tokens` or `calls`.
    """

    def __init__(
        self,
        scope: str,
        limit: Decimal | int,
        used: Decimal | int,
        requested: Decimal | int,
        resets_at: datetime | None,
        *,
        unit: str = "usd",
    ) -> None:
        self.scope = scope
        self.limit = limit
        self.used = used
        self.requested = requested
        self.resets_at = resets_at
        self.unit = unit
        # As in `Exception`, `args` is what a copy or a pickle is made of.
        super().__init__(scope, limit, used, requested, resets_at)

    def __str__(self) -> str:
        unit = "USD" if self.unit == "usd" else self.unit
        way_out = "raise the limit, ask for less, or take a cheaper model"
        if self.resets_at is not None:
            way_out = f"wait until {self.resets_at:%Y-%m-%d %H:%M:%S} UTC, or {way_out}"
        return (
            f"the budget {self.scope!r} does not cover {self.requested} {unit}: "
            f"{self.used} of {self.limit} are used or reserved; {way_out}"
        )


class StorageError(LLMOpsError):
    """A database, file or server that remembers something cannot be used."""


class LocalProviderError(LLMOpsError):
    """The local provider cannot start (a used port, say) or was used wrongly."""

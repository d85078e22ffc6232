"""Every error that langchain_llmops raises on purpose.

```text
LLMOpsError
├── ConfigurationError (ValueError)   an argument or file is wrong: fix it
│   └── MissingExtraError (ImportError)  install the named extra
├── StorageError                      a database or file cannot be used
└── LocalProviderError                the local provider cannot start or serve
```

Identifiers are shown with `!r`, the cause is chained, and the message ends with the
way out. Errors of a model or a chain are never wrapped: they reach the caller as the
same object.
"""

from __future__ import annotations

__all__ = [
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


class StorageError(LLMOpsError):
    """A database, file or server that remembers something cannot be used."""


class LocalProviderError(LLMOpsError):
    """The local provider cannot start (a used port, say) or was used wrongly."""

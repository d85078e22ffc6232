"""From the address of a database to the log in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_llmops.memory.stores.log import Log

__all__ = ["open_log"]


def open_log(url: str, timeout_s: float) -> Log:
    """Return the log at an address; nothing is connected, its driver is imported.

    Raises:
        ConfigurationError: The address is none of a database that keeps conversations.
        MissingExtraError: The driver is not installed.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "memory":
        from langchain_llmops.memory.stores.memory_log import (  # noqa: PLC0415 - as said
            MemoryLog,
        )

        return MemoryLog()
    if scheme in {"sqlite", "postgresql", "postgres"}:
        from langchain_llmops.memory.stores.sql_log import SQLLog  # noqa: PLC0415

        if scheme == "postgres":  # libpq's other name, which SQLAlchemy does not know
            url = f"postgresql:{url.partition(':')[2]}"
        return SQLLog(url, timeout_s=timeout_s)
    if scheme in {"redis", "rediss", "unix"}:
        from langchain_llmops.memory.stores.redis_log import RedisLog  # noqa: PLC0415

        return RedisLog(url, timeout_s=timeout_s)
    raise ConfigurationError(
        f"{scheme!r} keeps no conversations: use memory://, sqlite:///path, "
        "postgresql://… or redis://…"
    )

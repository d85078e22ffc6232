"""The chain run around each choice: opened, carried to the hooks, told what happened.

Core hands no config to the hooks of a chat model. The run manager reaches them, with
layers or without; so it is what carries the config of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    CallbackManager,
    CallbackManagerForChainRun,
)
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.runnables.config import ensure_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig

    ChainRun: TypeAlias = CallbackManagerForChainRun | AsyncCallbackManagerForChainRun

__all__ = ["AsyncRouterRun", "RouterRun", "aopen_run", "open_run"]


class RouterRun(CallbackManagerForChainRun):
    """An open run of a router that knows the config of its call."""

    def __init__(self, run: CallbackManagerForChainRun, config: RunnableConfig) -> None:
        super().__init__(**_fields(run))
        self.config = _child_config(config, self.get_child())

    def announce(self, event: str, data: Mapping[str, Any]) -> None:
        """Send a custom event to the handlers of the run, if there are any."""
        if self.handlers:
            handle_event(
                self.handlers,
                "on_custom_event",
                "ignore_custom_event",
                event,
                dict(data),
                **_where(self),
            )


class AsyncRouterRun(AsyncCallbackManagerForChainRun):
    """An open run of a router on an event loop; see `RouterRun`."""

    def __init__(
        self, run: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> None:
        super().__init__(**_fields(run))
        self.config = _child_config(config, self.get_child())

    async def announce(self, event: str, data: Mapping[str, Any]) -> None:
        """Send a custom event to the handlers of the run, if there are any."""
        if self.handlers:
            await ahandle_event(
                self.handlers,
                "on_custom_event",
                "ignore_custom_event",
                event,
                dict(data),
                **_where(self),
            )


def open_run(
    router: BaseChatModel, prompt: Any, config: RunnableConfig | None
) -> RouterRun:
    """Open the chain run of one call.

    Args:
        router: Whose run it is.
        prompt: What the caller gave, as traces show it.
        config: The config of the call; the ambient one counts too.
    """
    full = ensure_config(config)
    manager = CallbackManager.configure(*_settings(router, full))
    run = manager.on_chain_start(
        None,
        prompt,
        name=full.get("run_name") or router.get_name(),
        run_id=full.get("run_id"),
    )
    return RouterRun(run, full)


async def aopen_run(
    router: BaseChatModel, prompt: Any, config: RunnableConfig | None
) -> AsyncRouterRun:
    """Open the chain run of one call on an event loop; see `open_run`."""
    full = ensure_config(config)
    manager = AsyncCallbackManager.configure(*_settings(router, full))
    run = await manager.on_chain_start(
        None,
        prompt,
        name=full.get("run_name") or router.get_name(),
        run_id=full.get("run_id"),
    )
    return AsyncRouterRun(run, full)


def _settings(router: BaseChatModel, config: RunnableConfig) -> tuple[Any, ...]:
    return (
        config.get("callbacks"),
        router.callbacks,
        router.verbose,
        config.get("tags"),
        router.tags,
        config.get("metadata"),
        router.metadata,
    )


def _child_config(config: RunnableConfig, callbacks: Any) -> RunnableConfig:
    child = config.copy()
    child["callbacks"] = callbacks
    # They name the run that is open, and not those inside.
    child.pop("run_name", None)
    child.pop("run_id", None)
    return child


def _fields(run: ChainRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "handlers": run.handlers,
        "inheritable_handlers": run.inheritable_handlers,
        "parent_run_id": run.parent_run_id,
        "tags": run.tags,
        "inheritable_tags": run.inheritable_tags,
        "metadata": run.metadata,
        "inheritable_metadata": run.inheritable_metadata,
    }


def _where(run: ChainRun) -> dict[str, Any]:
    return {"run_id": run.run_id, "tags": run.tags, "metadata": run.metadata}

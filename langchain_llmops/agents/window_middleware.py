"""WindowMiddleware: an agent's model sees a window, its state keeps every message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from langchain_llmops._lazy import require
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain.agents.middleware import AgentMiddleware
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
    from langchain_core.messages import AnyMessage

    from langchain_llmops.memory import WindowPolicy
else:
    AgentMiddleware = require(
        "langchain.agents.middleware", feature="WindowMiddleware", extra="agents"
    ).AgentMiddleware

__all__ = ["WindowMiddleware"]


class WindowMiddleware(AgentMiddleware[Any, Any, Any]):
    """Shows an agent's model the part of the conversation that fits and matters.

    ```python
    from langchain.agents import create_agent
    from langchain_core.language_models import FakeListChatModel
    from langchain_llmops import WindowPolicy
    from langchain_llmops.agents import WindowMiddleware

    model = FakeListChatModel(responses=["Hello!"])
    agent = create_agent(model, middleware=[WindowMiddleware(WindowPolicy(8_000))])
    agent.invoke({"messages": [("user", "Hi!")]})
    ```

    A view: the state of the agent, and so its checkpoints, keep every message. The
    system prompt and the tools of each call are counted, and come off the budget. Tool
    calls keep their results. Place it last, so that it sees what the others did.

    Args:
        policy: Chooses the window; its budget is for the whole request.
    """

    def __init__(self, policy: WindowPolicy) -> None:
        super().__init__()
        self.policy = policy

    @override
    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        window = self.policy.select(request.messages, max_tokens=self._room(request))
        return handler(request.override(messages=cast("list[AnyMessage]", window)))

    @override
    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        await self.policy.counter.aload()
        window = await self.policy.aselect(
            request.messages, max_tokens=self._room(request)
        )
        shown = request.override(messages=cast("list[AnyMessage]", window))
        return await handler(shown)

    def _room(self, request: ModelRequest[Any]) -> int:
        """Return what the system prompt and the tools leave of the budget."""
        counter, budget = self.policy.counter, self.policy.max_tokens
        head = [request.system_message] if request.system_message else []
        full = counter.measure_messages(head, request.tools)
        bare = counter.measure_messages([])
        taken: int = (full.upper_bound or full.tokens) - (
            bare.upper_bound or bare.tokens
        )
        if taken >= budget:
            raise ConfigurationError(
                f"max_tokens={budget!r} is too small: the system prompt and the tools "
                f"take {taken} tokens; allow more tokens, or give fewer tools"
            )
        return budget - taken

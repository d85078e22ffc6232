"""Learning how long answers turn out from LangChain's callbacks."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmops.tokens.finish import cut_off

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.outputs import LLMResult

    from langchain_llmops.tokens.output_lengths import OutputLengths

__all__ = ["OutputLengthHandler"]

_RUNS = 10_000


class OutputLengthHandler(BaseCallbackHandler):
    """Hands the lengths of finished answers on; remembers runs until they end."""

    run_inline = True

    def __init__(self, lengths: OutputLengths) -> None:
        self._lengths = lengths
        self._features: OrderedDict[UUID, str | None] = OrderedDict()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remember what a run is for."""
        del serialized, messages, kwargs
        self._features[run_id] = (metadata or {}).get("feature")
        while len(self._features) > _RUNS:  # a cancelled run never ends
            self._features.popitem(last=False)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Learn from a finished run."""
        del kwargs
        feature = self._features.pop(run_id, None)
        for generations in response.generations:
            for generation in generations:
                message = getattr(generation, "message", None)
                if isinstance(message, AIMessage) and message.usage_metadata:
                    self._lengths.observe(
                        message.usage_metadata["input_tokens"],
                        message.usage_metadata["output_tokens"],
                        feature=feature,
                        truncated=cut_off(message.response_metadata),
                    )

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Forget a run that failed."""
        del error, kwargs
        self._features.pop(run_id, None)

"""Callback events of models, handed to a `CallTracker`: what our handlers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import BaseCallbackHandler

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_llmops.cost.embedding import EmbeddingCall
    from langchain_llmops.cost.tracker import CallTracker

__all__ = ["CallTrackingHandler"]


class CallTrackingHandler(BaseCallbackHandler):
    """A callback handler that hands the events of models to its tracker, inline.

    Not for use by itself: a subclass sets `_tracker` when it is made.
    """

    run_inline = True
    raise_error = False

    _tracker: CallTracker

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the handler itself: a copied chain reports to the same place."""
        return self

    def book_embedding(self, call: EmbeddingCall) -> None:
        """Book a request for embeddings, which LangChain has no callbacks for.

        Args:
            call: What `TrackedEmbeddings` knows of it.
        """
        self._tracker.embedded(call)

    def on_chat_model_start(  # noqa: D102 # see BaseCallbackHandler, here and below
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        kwargs["serialized"] = serialized
        self._tracker.started(run_id, _only(messages), kwargs, is_chat=True)

    def on_llm_start(  # noqa: D102
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        kwargs["serialized"] = serialized
        self._tracker.started(run_id, _only(prompts), kwargs, is_chat=False)

    def on_llm_new_token(  # noqa: D102
        self,
        token: str | list[Any],
        *,
        chunk: Any = None,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002 # core's signatures
    ) -> None:
        self._tracker.streamed(run_id, token if chunk is None else chunk)

    def on_stream_event(  # noqa: D102
        self,
        event: Any,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._tracker.streamed(run_id, event)

    def on_llm_end(  # noqa: D102
        self,
        response: Any,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._tracker.answered(run_id, response)

    def on_llm_error(  # noqa: D102
        self,
        error: BaseException,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._tracker.failed(run_id, error)


def _only(inputs: Any) -> Any:
    """Return the one input of a run: core starts a run for each."""
    return inputs[0] if isinstance(inputs, list) and inputs else None

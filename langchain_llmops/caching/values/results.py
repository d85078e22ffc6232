"""Between a model's result and the answers that a cache stores and gives."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration, ChatResult

    from langchain_llmops.caching.base import CacheHit
    from langchain_llmops.models.base import ModelCall

__all__ = ["complete_answers", "hit_answers"]


def complete_answers(result: ChatResult) -> list[ChatGeneration]:
    """Return the answers with what the provider said of all of them together.

    Core adds it only after the layers; a hit has nowhere else to take it from.
    """
    return [
        generation.model_copy(
            update={
                "message": generation.message.model_copy(
                    update={
                        "response_metadata": {
                            **(result.llm_output or {}),
                            **generation.message.response_metadata,
                        }
                    }
                )
            }
        )
        for generation in result.generations
    ]


def hit_answers(hit: CacheHit, call: ModelCall) -> list[ChatGeneration]:
    """Return the answers of a hit, structured output revived as the caller's class."""
    generations = cast("list[ChatGeneration]", hit.generations)
    schema = call.kwargs.get("response_format")
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        for generation in generations:
            _revive_parsed(generation.message.additional_kwargs, schema)
    return generations


def _revive_parsed(additional: dict[str, Any], schema: type[BaseModel]) -> None:
    """Put the object back that the client parses structured output into."""
    if isinstance(additional.get("parsed"), dict):
        # What the schema refuses by now, it also refuses from the provider: the
        # caller's parser says so.
        with suppress(ValidationError):
            additional["parsed"] = schema.model_validate(additional["parsed"])

"""What tells one router from another: to caches, two with the same answer alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.routing.base import SelectionPolicy
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.router_replay import Recorded

__all__ = ["identity"]


def identity(
    candidates: Sequence[Candidate],
    policy: SelectionPolicy | None,
    recorded: Sequence[Recorded],
) -> str:
    """Return as JSON who may answer, who chooses, and what they were asked for.

    The same in every process, as far as the models' own identities are.
    """
    parts = {
        # Core's own name for what identifies a model.
        "candidates": [
            [each.name, each.tier, each.model._get_llm_string()]  # noqa: SLF001
            for each in candidates
        ],
        "policy": _stable(policy),
        "recorded": [
            [each.method, *map(_schema, _listed(each.subject)), _plain(each.kwargs)]
            for each in recorded
        ],
    }
    return json.dumps(parts, default=_stable)


def _stable(value: object) -> str:
    """Return a text that does not say where in memory an object lies."""
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def _listed(subject: Any) -> Sequence[Any]:
    return subject if isinstance(subject, list | tuple) else [subject]


def _schema(tool: Any) -> Any:
    try:
        return convert_to_openai_tool(tool)
    except (TypeError, ValueError):
        return _stable(tool)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _schema(v) if isinstance(v, type) else v for key, v in values.items()}

"""Why an answer ended, in the words of the providers that LangChain knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cut_off"]

_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})


def cut_off(response_metadata: Mapping[str, Any]) -> bool:
    """Tell whether an answer ended at a limit of tokens, and not where it should.

    Args:
        response_metadata: Of the message.
    """
    for key in _KEYS:
        if str(response_metadata.get(key, "")).lower() in _CUT:
            return True
    details = response_metadata.get("incomplete_details")  # OpenAI's Responses API
    return isinstance(details, dict) and details.get("reason") in _CUT

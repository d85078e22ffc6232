"""What a call used, as providers bill it: one vector of token counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Usage", "tier_of", "token_count"]

_TIERS = ("", "flex_", "priority_")
_INPUT_PARTS = {
    **{f"{tier}cache_read": 0 for tier in _TIERS},
    **{f"{tier}cache_creation": 1 for tier in _TIERS},
    "ephemeral_5m_input_tokens": 2,
    "ephemeral_1h_input_tokens": 3,
    "audio": 4,
}
_OUTPUT_PARTS = {**{f"{tier}reasoning": 0 for tier in _TIERS}, "audio": 1}
_NO_COUNTS = (0, 0, 0, 0, 0)
_ABSURD = 1e15


class Usage(NamedTuple):
    """Billed tokens of one or more calls.

    A tuple, because a price is the dot product of this vector with a model's rates.
    `input_tokens` and `output_tokens` hold everything; the others are parts of them.
    What `from_metadata` returns is never negative and its parts never exceed their
    whole; sums of such vectors keep that.

    Attributes:
        input_tokens: All input tokens, cached ones included.
        output_tokens: All output tokens, hidden ones included.
        cache_read: Input read from the provider's prompt cache.
        cache_write: Input written to it, for five minutes or longer.
        cache_write_1h: Those of `cache_write` that are kept for an hour.
        input_audio: Input that is audio.
        output_audio: Output that is audio.
        reasoning: Output that the model kept to itself.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    output_audio: int = 0
    reasoning: int = 0

    def __add__(self, other: object) -> Usage:
        """Return the tokens of both."""
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(*(a + b for a, b in zip(self, other, strict=True)))

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Usage:
        """Read LangChain's `usage_metadata`; never raises, whatever it holds.

        Tier prefixes (`priority_cache_read`) and Anthropic's split of cache writes are
        understood. Counts that are negative or no numbers are 0. Where the cached
        parts exceed the input, the integration left them out of it, as Anthropic's
        API does: they are added. The same goes for reasoning and output.

        Args:
            metadata: An `AIMessage.usage_metadata`, or anything like it.
        """
        # Counts are tested in place: this runs for every price.
        whole_in = metadata.get("input_tokens")
        if type(whole_in) is not int or whole_in < 0:
            whole_in = token_count(whole_in)
        whole_out = metadata.get("output_tokens")
        if type(whole_out) is not int or whole_out < 0:
            whole_out = token_count(whole_out)
        parts_in = metadata.get("input_token_details")
        parts_out = metadata.get("output_token_details")
        if not parts_in and not parts_out:
            return cls(whole_in, whole_out)
        read, write, write_5m, write_1h, audio_in = _counts(parts_in, _INPUT_PARTS)
        reasoning, audio_out, _, _, _ = _counts(parts_out, _OUTPUT_PARTS)
        if write_5m or write_1h:
            # langchain-anthropic empties the generic key when it gives the split.
            write = max(write, write_5m + write_1h)
        if read + write > whole_in:
            whole_in += read + write
        if reasoning > whole_out:
            whole_out += reasoning
        if audio_in or audio_out:
            audio_in = min(audio_in, whole_in - read - write)
            audio_out = min(audio_out, whole_out - reasoning)
        counts = (
            whole_in,
            whole_out,
            read,
            write,
            write_1h,
            audio_in,
            audio_out,
            reasoning,
        )
        # What the generated constructor does, without the call of it.
        return tuple.__new__(cls, counts)


def token_count(value: object) -> int:
    """Return a reported count, or 0 for what cannot be one."""
    if type(value) is int:
        return max(0, value)
    if isinstance(value, float) and 0 < value < _ABSURD:
        return round(value)
    return 0


def _counts(parts: object, places: Mapping[str, int]) -> Sequence[int]:
    """Sort the parts that are billed apart into a vector; ignore the rest."""
    if not isinstance(parts, dict):
        return _NO_COUNTS
    counts = [0, 0, 0, 0, 0]
    for part, count in parts.items():
        if count and part in places:
            counts[places[part]] += (
                count if type(count) is int and count > 0 else token_count(count)
            )
    return counts


def tier_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the service tier that langchain-openai noted among the details."""
    parts = metadata.get("input_token_details")
    if parts and isinstance(parts, dict):
        if "priority" in parts:
            return "priority"
        if "flex" in parts:
            return "flex"
    return None

"""Records of the past, checked: a prompt and how well each model answered it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_llmops.errors import ConfigurationError

__all__ = ["MIN_RECORDS", "prompts_and_gains"]

MIN_RECORDS: Final = 20
"""With fewer nothing can be told."""


def prompts_and_gains(
    records: Iterable[Mapping[str, Any]],
) -> tuple[list[str], list[float]]:
    """Return the prompts, and what the strong model added for each.

    Args:
        records: `{"prompt": text, "weak": quality, "strong": quality}`, qualities from
            0 to 1 or right and wrong as booleans; other keys are ignored.

    Raises:
        ConfigurationError: A record is not of this form, there are fewer than 20, or
            the two models are equally good in all.
    """
    prompts, gains = [], []
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise ConfigurationError(
                f"record {number} is {record!r}: give a mapping with 'prompt', 'weak' "
                "and 'strong'"
            )
        prompts.append(_prompt(record, number))
        weak, strong = (_quality(record, number, key) for key in ("weak", "strong"))
        gains.append(strong - weak)
    if len(prompts) < MIN_RECORDS:
        raise ConfigurationError(
            f"{len(prompts)} records are too few to learn from: give {MIN_RECORDS} or "
            "better a few thousand"
        )
    if not any(gains):
        raise ConfigurationError(
            "the weak and the strong model are equally good in all records: there is "
            "nothing to learn, take the cheaper one"
        )
    return prompts, gains


def _prompt(record: Mapping[str, Any], number: int) -> str:
    prompt = record.get("prompt")
    if not isinstance(prompt, str):
        raise ConfigurationError(
            f"record {number} has {prompt!r} as 'prompt': give a text"
        )
    return prompt


def _quality(record: Mapping[str, Any], number: int, key: str) -> float:
    quality = record.get(key)
    if not isinstance(quality, int | float) or not 0 <= quality <= 1:
        raise ConfigurationError(
            f"record {number} has {quality!r} as {key!r}: give a quality from 0 to 1, "
            "or a boolean"
        )
    return float(quality)

"""What an image costs, by the rules that providers publish for its width and height.

OpenAI cuts an image into tiles of 512 pixels or patches of 32, by model; Anthropic
counts its area. An image of unknown size costs the most that any can.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING, Literal, Protocol

from langchain_llmops.tokens.count import TokenCount

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "OPENAI_IMAGES",
    "Area",
    "Detail",
    "ImageRule",
    "Patches",
    "Tiles",
    "openai_image_rule",
]

Detail = Literal["low", "high", "auto", "original"]


class ImageRule(Protocol):
    """Tokens of an image for one model."""

    def measure(self, size: tuple[int, int] | None, detail: str) -> TokenCount:
        """Return the tokens of an image.

        Args:
            size: Width and height in pixels; `None` if unknown.
            detail: As the API takes it; anything but `low` and `original` is `high`,
                as the API bills `auto`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tiles:
    """A base and a price per tile of 512 pixels, after fitting 2048 square and 768.

    Attributes:
        base: Tokens of any image, and all there is at low detail.
        tile: Tokens of each tile.
    """

    base: int
    tile: int

    def measure(self, size: tuple[int, int] | None, detail: str) -> TokenCount:
        """Return the tokens of an image, exact where its size is known."""
        if detail == "low":
            return TokenCount(tokens=self.base, upper_bound=self.base)
        # 2048 x 768 is the largest that fitting leaves: 4 x 2 tiles.
        tiles = _tiles(*size) if size else 8
        tokens = self.base + self.tile * tiles
        return TokenCount(tokens=tokens, exact=size is not None, upper_bound=tokens)


@dataclass(frozen=True, slots=True)
class Patches:
    """A price per patch of 32 pixels, scaled down to a number of patches.

    Attributes:
        factor: Tokens per patch.
        at_most: Tokens per patch that the bound takes: OpenAI's guide and its bills
            disagree for some models. Equal to `factor` where they agree.
        patches: Patches left after scaling, at high detail.
        original: The same at detail `original`.
    """

    factor: float
    at_most: float
    patches: int = 1536
    original: int = 1536

    def measure(self, size: tuple[int, int] | None, detail: str) -> TokenCount:
        """Return the tokens of an image, exact where nothing had to be scaled."""
        limit = self.original if detail == "original" else self.patches
        patches = _patches(*size, limit) if size else limit
        # Scaled images are billed at up to the limit, whatever the guide's rounding.
        whole = size is not None and _whole_patches(*size) <= limit
        return TokenCount(
            tokens=ceil(patches * self.factor),
            exact=whole and self.factor == self.at_most,
            upper_bound=ceil((patches if whole else limit) * self.at_most),
        )


@dataclass(frozen=True, slots=True)
class Area:
    """Width x height / 750 up to a limit, as Anthropic advises: an estimate.

    Attributes:
        limit: Tokens of the largest image.
    """

    limit: int

    def measure(self, size: tuple[int, int] | None, detail: str) -> TokenCount:
        """Return about the tokens of an image; its detail plays no part."""
        del detail
        area = ceil(size[0] * size[1] / 750) if size else self.limit
        tokens = min(self.limit, area)
        return TokenCount(tokens=tokens, exact=False, upper_bound=self.limit)


_4O = Tiles(85, 170)
_O = Tiles(75, 150)
OPENAI_IMAGES: Sequence[tuple[str, ImageRule]] = (
    ("gpt-4o-mini", Tiles(2833, 5667)),
    ("gpt-4o", _4O),
    ("chatgpt-4o", _4O),
    ("gpt-4.1-mini", Patches(1.62, 1.62)),
    ("gpt-4.1-nano", Patches(2.46, 2.46)),
    ("gpt-4.1", _4O),
    ("gpt-4.5", _4O),
    ("gpt-4", _4O),
    ("o4-mini", Patches(1.72, 1.72)),
    ("o1", _O),
    ("o3", _O),
    # The guide says 1.62 and 2.46; the price calculator and bills say 1.2 and 1.5.
    ("gpt-5-mini", Patches(1.2, 1.62)),
    ("gpt-5-nano", Patches(1.5, 2.46)),
    ("gpt-5-", Tiles(70, 140)),
    ("computer-use", Tiles(65, 129)),
)
"""Rules by the start of a model's name; the first that fits holds."""

_NEWER = Patches(1.2, 2.46, patches=2500, original=10_000)


def openai_image_rule(model: str) -> ImageRule:
    """Return the rule for a model of OpenAI's; a later one is bounded generously."""
    for start, rule in OPENAI_IMAGES:
        if f"{model}-".startswith(start):
            return rule
    return _NEWER


def _tiles(width: int, height: int) -> int:
    longest = max(width, height)
    if longest > 2048:  # noqa: PLR2004 - the side that an image is fitted into
        width = max(1, round(width * 2048 / longest))
        height = max(1, round(height * 2048 / longest))
    shortest = min(width, height)
    if shortest > 768:  # noqa: PLR2004 - the short side that an image is scaled to
        width = round(width * 768 / shortest)
        height = round(height * 768 / shortest)
    return ceil(width / 512) * ceil(height / 512)


def _whole_patches(width: int, height: int) -> int:
    return ceil(width / 32) * ceil(height / 32)


def _patches(width: int, height: int, limit: int) -> int:
    if _whole_patches(width, height) <= limit:
        return _whole_patches(width, height)
    scale = sqrt(32 * 32 * limit / (width * height))
    across, down = width * scale / 32, height * scale / 32
    # Shrunk a little more, so that one side becomes a whole number of patches.
    scale = min(floor(side) / side for side in (across, down) if side)
    return max(1, min(limit, ceil(across * scale) * ceil(down * scale)))

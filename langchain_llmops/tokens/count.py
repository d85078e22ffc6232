"""What a count is: tokens, whether they are exact, and what they cannot exceed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOTHING", "TokenCount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """Tokens of a text, a message or a request; counts can be added.

    Attributes:
        tokens: The best figure there is.
        exact: Whether `tokens` is what the provider bills, by its published rules.
        upper_bound: What the true figure does not exceed; equal to `tokens` where
            `exact`. `None` where nothing can be said: an attachment of unknown length
            (a file by its id, a video).
    """

    tokens: int
    exact: bool = True
    upper_bound: int | None

    def __add__(self, other: TokenCount) -> TokenCount:
        if self.upper_bound is None or other.upper_bound is None:
            upper = None
        else:
            upper = self.upper_bound + other.upper_bound
        return TokenCount(
            tokens=self.tokens + other.tokens,
            exact=self.exact and other.exact,
            upper_bound=upper,
        )


NOTHING = TokenCount(tokens=0, upper_bound=0)

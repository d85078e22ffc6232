"""What a provider does to its callers: how slow it is and how it fails.

Pure values. A `Latency` draws the pace of one answer; a `Fault` says what goes wrong
and when. Nothing here reads a clock or a global random source: the draws come from a
generator that the provider seeds per request, so that the same requests meet the same
faults whatever order they arrive in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Mapping

__all__ = [
    "ContentFiltered",
    "Cut",
    "EmptyStream",
    "Endpoint",
    "Fault",
    "Hang",
    "HttpFailure",
    "Latency",
    "MalformedSSE",
    "Pace",
    "RateLimited",
    "ServerError",
    "Situation",
    "SlowTokens",
    "latency_of",
]

Endpoint = Literal["chat", "embeddings"]

# A wait that ends a rounding error early has still ended.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When each token of one answer is written, in seconds after the request."""

    first_token_s: float = 0.0
    tokens_per_s: float | None = None

    def at(self, token: int) -> float:
        """Return when token number `token` (from 0) is due."""
        if self.tokens_per_s is None:
            return self.first_token_s
        return self.first_token_s + token / self.tokens_per_s

    def due(self, elapsed_s: float, total: int) -> int:
        """Return how many of `total` tokens are due after `elapsed_s` seconds."""
        waited = elapsed_s - self.first_token_s
        if waited < -_ROUNDING:
            return 0
        if self.tokens_per_s is None:
            return total
        return min(total, math.floor((waited + _ROUNDING) * self.tokens_per_s) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How fast answers come, as a distribution over requests.

    Args:
        first_token_s: Median seconds until the first token (for embeddings: until
            the answer).
        tokens_per_s: Median tokens per second after that; `None` writes the whole
            answer at once.
        sigma: Spread: both medians are multiplied by a log-normal factor with this
            standard deviation of the logarithm. 0 makes every request alike; 0.5
            makes one in six take 1.6 times as long or longer.

    Raises:
        ConfigurationError: A negative time, a rate that is not positive.
    """

    first_token_s: float = 0.0
    tokens_per_s: float | None = None
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.first_token_s < 0 or self.sigma < 0:
            raise ConfigurationError(f"{self!r}: times and sigma must be 0 or more")
        if self.tokens_per_s is not None and self.tokens_per_s <= 0:
            raise ConfigurationError(
                f"{self!r}: tokens_per_s must be positive, or None for no pacing"
            )

    def draw(self, rng: random.Random) -> Pace:
        """Return the pace of one request."""
        slower = math.exp(rng.gauss(0.0, self.sigma))
        faster = math.exp(rng.gauss(0.0, self.sigma))
        rate = self.tokens_per_s
        return Pace(
            first_token_s=self.first_token_s * slower,
            tokens_per_s=None if rate is None else rate * faster,
        )


def latency_of(latency: Latency | Mapping[str, Latency], model: str) -> Latency:
    """Return a model's latency: of the first name pattern that fits it."""
    if isinstance(latency, Latency):
        return latency
    fitting = (value for name, value in latency.items() if fnmatchcase(model, name))
    return next(fitting, Latency())


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a fault may depend on when a request arrives.

    Args:
        endpoint: Which part of the API is called.
        model: The requested model's name.
        elapsed_s: Seconds since the provider started, by its clock.
        active: Requests being served, this one included.
    """

    endpoint: Endpoint
    model: str
    elapsed_s: float = 0.0
    active: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """When something goes wrong; the subclasses say what.

    All conditions that are given must hold. Of several faults that apply to one
    request the first injected one happens.

    Args:
        probability: Share of the requests it happens to, drawn per request from the
            provider's seed, the request's body and how often that body was sent.
        nth: Only these among the requests that fit `model` and `endpoint`, counted
            from 1 since the fault was injected: `nth=range(1, 4)` is the first three.
        model: Pattern for the model's name (`fnmatch`): `"gpt-4o*"`.
        endpoint: Only this part of the API; `None`: all that are billed.
        between: Only from and until these seconds of the provider's clock
            (`LocalProvider.elapsed_s`): a brown-out window.
        above_active: Only while more than this many requests are being served: a
            provider with that capacity.

    Raises:
        ConfigurationError: A probability outside [0, 1], an empty window.
    """

    probability: float = 1.0
    nth: Collection[int] | None = None
    model: str = "*"
    endpoint: Endpoint | None = None
    between: tuple[float, float] | None = None
    above_active: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigurationError(f"{self!r}: probability must be within [0, 1]")
        if self.between is not None and self.between[0] >= self.between[1]:
            raise ConfigurationError(f"{self!r}: between must be (start, later end)")
        self._check()

    def _check(self) -> None:
        """Validate what a subclass adds."""

    def concerns(self, situation: Situation) -> bool:
        """Whether the request counts for `nth`: endpoint and model fit."""
        if self.endpoint is not None and self.endpoint != situation.endpoint:
            return False
        return fnmatchcase(situation.model, self.model)

    def strikes(self, situation: Situation, *, count: int, draw: float) -> bool:
        """Whether it happens to a request that it concerns.

        Args:
            situation: The request and the provider's state.
            count: Number of the request among those it concerns, from 1.
            draw: A number drawn evenly from [0, 1).
        """
        if self.nth is not None and count not in self.nth:
            return False
        if self.between is not None:
            start, end = self.between
            if not start <= situation.elapsed_s < end:
                return False
        if self.above_active is not None and situation.active <= self.above_active:
            return False
        return draw < self.probability


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFailure(Fault):
    """Refuse with any HTTP error; nothing is billed.

    Args:
        status: HTTP status, 400 or above.
        message: The error's text.
        kind: The body's `type`.
        code: The body's `code`, such as `insufficient_quota`.
        retry_after_s: Sent as `Retry-After` and `retry-after-ms`.
    """

    status: int = 500
    message: str = "The server had an error while processing your request."
    kind: str = "server_error"
    code: str | None = None
    retry_after_s: float | None = None

    def _check(self) -> None:
        if not 400 <= self.status <= 599:  # noqa: PLR2004 - HTTP's error range
            raise ConfigurationError(
                f"status={self.status!r} is not an HTTP error: use 400 to 599"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(HttpFailure):
    """Refuse with 429, like a provider whose rate limit is reached."""

    status: int = 429
    message: str = "Rate limit reached for requests."
    kind: str = "requests"
    code: str | None = "rate_limit_exceeded"
    retry_after_s: float | None = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError(HttpFailure):
    """Refuse with 500 or another 5xx status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AtToken(Fault):
    at_token: int | None = None

    def _check(self) -> None:
        if self.at_token is not None and self.at_token < 0:
            raise ConfigurationError(
                f"at_token={self.at_token!r}: give a count of tokens, or None for "
                "before the headers"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(_AtToken):
    """Close the connection in the middle of the answer.

    Args:
        at_token: After this many tokens, which are billed; `None`: before the
            headers, and nothing is billed.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang(_AtToken):
    """Stop sending, but keep the connection open.

    Args:
        at_token: After this many tokens, which are billed once the client gives up;
            `None`: before the headers, and nothing is billed.
        for_s: Go on after this many seconds; `None`: never.
    """

    for_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedSSE(_AtToken):
    """Send broken JSON: in a stream as the event after `at_token` tokens, then end.

    Args:
        at_token: Good tokens before the broken event; they are billed.
    """

    at_token: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFiltered(_AtToken):
    """End the answer after `at_token` tokens with `finish_reason="content_filter"`."""

    at_token: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyStream(Fault):
    """Answer 200 and send no token; only the input is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowTokens(Fault):
    """Answer correctly, but slowly.

    Args:
        first_token_s: Seconds until the first token.
        tokens_per_s: Tokens per second after that; `None`: all at once.
    """

    first_token_s: float = 0.0
    tokens_per_s: float | None = 1.0

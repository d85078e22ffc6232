"""How long an answer is good: fresh, then stale, then expired; pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Freshness", "Lifetime", "Verdict", "judge"]

Verdict = Literal["fresh", "stale", "expired"]


class Lifetime(NamedTuple):
    """When one answer changes its state, in seconds since the epoch; `None`: never.

    Attributes:
        stale_at: From here on it is still given, while a new one is fetched.
        expires_at: From here on it is given only if the model fails.
        kept_until: From here on no tier has it.
    """

    stale_at: float | None
    expires_at: float | None
    kept_until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The rule by which answers age.

    Attributes:
        ttl_s: Seconds that an answer is given; `None`: until it is evicted.
        soft_ttl_s: Seconds until it is stale; `None`: it is fresh as long as it lives.
        stale_if_error_s: Seconds beyond `ttl_s` that it stands in for a failing model.
        jitter: Share by which the times of one answer vary, all of them alike.
    """

    ttl_s: float | None
    soft_ttl_s: float | None
    stale_if_error_s: float
    jitter: float

    @classmethod
    def of(
        cls,
        *,
        ttl: timedelta | None,
        soft_ttl: timedelta | None,
        stale_if_error: timedelta | None,
        jitter: float,
    ) -> Freshness:
        """Return the rule that a user wrote down.

        Raises:
            ConfigurationError: A time is not positive, the soft one is not the shorter
                one, nothing expires that could stand in, or `jitter` is out of range.
        """
        times = {"ttl": ttl, "soft_ttl": soft_ttl, "stale_if_error": stale_if_error}
        lengths: dict[str, float | None] = {}
        for label, length in times.items():
            lengths[label] = None if length is None else length.total_seconds()
            if length is not None and length.total_seconds() <= 0:
                raise ConfigurationError(
                    f"{label}={length!r} is over at once: give a positive one"
                )
        if ttl is not None and soft_ttl is not None and soft_ttl >= ttl:
            raise ConfigurationError(
                f"soft_ttl={soft_ttl!r} must be shorter than ttl={ttl!r}"
            )
        if stale_if_error is not None and ttl is None:
            raise ConfigurationError(
                f"stale_if_error={stale_if_error!r} needs a ttl: nothing expires"
            )
        if not 0 <= jitter < 1:
            raise ConfigurationError(f"jitter={jitter!r} must be in [0, 1), e.g. 0.1")
        return cls(
            ttl_s=lengths["ttl"],
            soft_ttl_s=lengths["soft_ttl"],
            stale_if_error_s=lengths["stale_if_error"] or 0.0,
            jitter=jitter,
        )

    def lifetime(self, now: float, roll: float) -> Lifetime:
        """Return the times of an answer that is stored now.

        Args:
            now: Seconds since the epoch.
            roll: A number in [0, 1) for the jitter.
        """
        factor = 1 + self.jitter * (2 * roll - 1)
        expires_at = None if self.ttl_s is None else now + self.ttl_s * factor
        return Lifetime(
            stale_at=None
            if self.soft_ttl_s is None
            else now + self.soft_ttl_s * factor,
            expires_at=expires_at,
            kept_until=None
            if expires_at is None
            else expires_at + self.stale_if_error_s,
        )


def judge(
    *,
    now: float,
    stored_at: float,
    stale_at: float | None,
    expires_at: float | None,
    max_age_s: float | None,
) -> Verdict:
    """Return the state of an answer, for a caller who takes none that is older.

    Args:
        now: Seconds since the epoch, as are the next three.
        stored_at: When the provider answered.
        stale_at: When the answer becomes stale; `None`: never.
        expires_at: When it expires; `None`: never.
        max_age_s: Seconds that it may be old for this caller; `None`: any number.
    """
    if expires_at is not None and now >= expires_at:
        return "expired"
    if max_age_s is not None and now - stored_at > max_age_s:
        return "expired"
    return "stale" if stale_at is not None and now >= stale_at else "fresh"

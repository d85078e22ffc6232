"""What a call gets that cannot have its turn in time."""

from __future__ import annotations

from langchain_core.exceptions import ModelRateLimitError

from langchain_llmops.errors import LLMOpsError

__all__ = ["QueueTimeoutError"]


class QueueTimeoutError(LLMOpsError, ModelRateLimitError):
    """A call got no slot in time, or could not have; nothing was sent.

    It is a rate limit to whoever asks: a router goes to another model, and a budget
    charges nothing.

    Args:
        why: What stood in the way.
        waited_s: How long it waited, in seconds: 0 if it was refused at once.
        tenant: On whose behalf it was.
        way_out: What to do about it.
    """

    def __init__(self, why: str, waited_s: float, tenant: str, way_out: str) -> None:
        super().__init__(why, waited_s, tenant, way_out)
        self.why = why
        self.waited_s = waited_s
        self.tenant = tenant
        self.way_out = way_out

    def __str__(self) -> str:
        return (
            f"a call of tenant {self.tenant!r} got no slot, having waited "
            f"{self.waited_s:.3g} s: {self.why}; {self.way_out}"
        )

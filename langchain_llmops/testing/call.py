"""One request with a JSON body, as the endpoints get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_llmops.testing.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from langchain_llmops.testing.desk import Desk, Draw
    from langchain_llmops.testing.exchange import Exchange

__all__ = ["Call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to answer.

    Args:
        desk: The provider's state.
        request: The HTTP request.
        exchange: Where it is written down.
        raw: The body as it came.
        body: The body, parsed.
    """

    desk: Desk
    request: web.Request
    exchange: Exchange
    raw: bytes
    body: Mapping[str, Any]

    def delivery(self, draw: Draw) -> Delivery:
        """Return what sends the answer, at the pace and with the fault drawn."""
        return Delivery(
            request=self.request,
            exchange=self.exchange,
            pace=draw.pace,
            fault=draw.fault,
            sleep=self.desk.sleep,
        )

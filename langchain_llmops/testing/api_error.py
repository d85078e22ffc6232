"""A refusal in the shape that OpenAI clients parse."""

from __future__ import annotations

import json
import math

from aiohttp import web

__all__ = ["ApiError", "bad_request"]


class ApiError(Exception):
    """A request that is answered with an HTTP error instead of a completion.

    Args:
        status: HTTP status code.
        message: What the client's exception will say.
        kind: The body's `type`, such as `invalid_request_error`.
        param: The offending parameter, if one is to blame.
        code: The machine-readable reason, such as `model_not_found`.
        retry_after_s: Seconds after which a retry may succeed; sent as `Retry-After`
            (whole seconds, rounded up) and exactly as `retry-after-ms`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def response(self) -> web.Response:
        """Return the HTTP response: status, JSON body, retry headers."""
        body = {
            "message": str(self),
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_after_s))
            headers["retry-after-ms"] = str(round(self.retry_after_s * 1000))
        return web.Response(
            status=self.status,
            body=json.dumps({"error": body}).encode(),
            content_type="application/json",
            headers=headers,
        )


def bad_request(message: str, param: str, code: str | None = None) -> ApiError:
    """Return the 400 that names the parameter to blame."""
    return ApiError(400, message, param=param, code=code)

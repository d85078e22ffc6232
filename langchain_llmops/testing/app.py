"""The HTTP side: routes, keys, errors, and one exchange per request."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from langchain_llmops.testing.api_error import ApiError
from langchain_llmops.testing.call import Call
from langchain_llmops.testing.chat import serve_chat
from langchain_llmops.testing.embeddings import serve_embeddings
from langchain_llmops.testing.price_list import LISTED, look_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_llmops.testing.desk import Desk
    from langchain_llmops.testing.exchange import Exchange

    Handler = Callable[[web.Request, Exchange], Awaitable[web.StreamResponse]]

__all__ = ["application"]

logger = logging.getLogger(__name__)

_MAX_BODY = 64 * 1024 * 1024
_INTERNAL = 500


def application(desk: Desk) -> web.Application:
    """Return the web application of one provider."""
    app = web.Application(client_max_size=_MAX_BODY)
    served: dict[str, Callable[[Call], Awaitable[web.StreamResponse]]] = {
        "/v1/chat/completions": serve_chat,
        "/v1/embeddings": serve_embeddings,
    }
    for path, serve in served.items():
        app.router.add_post(path, _recorded(desk, _parsed(desk, serve)))
    app.router.add_get("/v1/models", _recorded(desk, _models))
    app.router.add_get("/v1/models/{model}", _recorded(desk, _model))
    # Not OpenAI's: for other processes, and not written down itself.
    app.router.add_get("/invoice", _invoice(desk))
    app.router.add_route("*", "/{rest:.*}", _recorded(desk, _unknown))
    return app


def _recorded(
    desk: Desk, handler: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler whose requests are written down, however they end."""

    async def record(request: web.Request) -> web.StreamResponse:
        retry = request.headers.get("x-stainless-retry-count", "0")
        exchange = desk.books.start(
            request.method, request.path, int(retry) if retry.isdigit() else 0
        )
        with desk.serving():
            try:
                _authorise(desk, request)
                response = await handler(request, exchange)
            except ApiError as error:
                exchange.close("refused", error.status)
                return error.response()
            except (asyncio.CancelledError, ConnectionError):
                exchange.close("aborted", exchange.status)
                raise
            except Exception:
                logger.exception("%s %s failed", request.method, request.path)
                exchange.close("refused", _INTERNAL)
                return _internal_error().response()
            exchange.close("completed", response.status)
            return response

    return record


def _parsed(
    desk: Desk, serve: Callable[[Call], Awaitable[web.StreamResponse]]
) -> Handler:
    """Return a handler that parses a JSON body first."""

    async def handle(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise ApiError(413, f"The body exceeds {_MAX_BODY} bytes.") from None
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise ApiError(
                400, f"We could not parse the JSON body of your request: {error}"
            ) from None
        if not isinstance(body, dict):
            raise ApiError(400, "The JSON body of your request must be an object.")
        exchange.model = str(body.get("model") or "")
        exchange.stream = bool(body.get("stream"))
        if desk.settings.strict and exchange.model and not look_up(exchange.model):
            raise _no_model(exchange.model)
        return await serve(
            Call(desk=desk, request=request, exchange=exchange, raw=raw, body=body)
        )

    return handle


def _authorise(desk: Desk, request: web.Request) -> None:
    key = desk.settings.api_key
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if key is not None and given != key:
        raise ApiError(
            401,
            f"Incorrect API key provided: {given[:3]}***.",
            code="invalid_api_key",
        )


async def _models(request: web.Request, exchange: Exchange) -> web.Response:
    del request, exchange
    return web.json_response({"object": "list", "data": [_card(m) for m in LISTED]})


async def _model(request: web.Request, exchange: Exchange) -> web.Response:
    del exchange
    model = request.match_info["model"]
    if look_up(model) is None:
        raise _no_model(model)
    return web.json_response(_card(model))


async def _unknown(request: web.Request, exchange: Exchange) -> web.Response:
    del exchange
    raise ApiError(404, f"Invalid URL ({request.method} {request.path})")


def _invoice(desk: Desk) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        del request
        rows = [row.as_json() for row in desk.books.invoice]
        return web.json_response({"object": "list", "data": rows})

    return handle


def _card(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "local"}


def _no_model(model: str) -> ApiError:
    return ApiError(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def _internal_error() -> ApiError:
    return ApiError(
        _INTERNAL, "The local provider failed: see its log.", kind="server_error"
    )

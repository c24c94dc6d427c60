"""The app: the trigger route ahead of everything, then the gate of the API, then the framework."""

import asyncio
from functools import cache, lru_cache, partial
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tidings import __version__
from tidings.errors import TidingsError
from tidings.model.webhooks import TRIGGER_PATH
from tidings.outbound import INBOX_PATH
from tidings.web import docs, health, jwks, openapi
from tidings.web.api import (
    activity,
    bots,
    connectors,
    data_sources,
    deliveries,
    events,
    files,
    mappings,
    rows,
    search,
    snapshots,
    syncs,
    trigger_calls,
    usage,
    webhook_checks,
    webhooks,
    workspace,
)
from tidings.web.edge import Edge
from tidings.web.gate import Gate
from tidings.web.inbox_urls import InboxUrls
from tidings.web.pages.gate import SAFE
from tidings.web.pages.render import root_of
from tidings.web.pages.site import create_pages, takes
from tidings.web.problems import problem, problem_of
from tidings.web.sentences import invalid
from tidings.web.services import Services
from tidings.web.trigger_urls import TriggerUrls

NOUNS = (
    workspace,
    usage,
    connectors,
    bots,
    data_sources,
    snapshots,
    files,
    syncs,
    rows,
    search,
    webhooks,
    webhook_checks,
    mappings,
    trigger_calls,
    deliveries,
    events,
    activity,
)

PROGRAMS = {"/docs", "/healthz", "/metrics", "/openapi.json", "/readyz"}  # and whatever is below /api/ and /.well-known/

log = structlog.get_logger("tidings.web")


def create_app(services: Services) -> ASGIApp:
    """The whole web as one ASGI app. The addresses in `X-Forwarded-*` count only when they come from a trusted proxy."""
    trigger = TriggerUrls(services.db, services.secretbox, services.settings.trigger_rate, services.stopping)
    api = Edge(Gate(_framework(), services), services=services, document=partial(openapi_document, services.base_url))
    pages, inboxes = create_pages(services), Edge(InboxUrls(services.db, services.secretbox))
    root = root_of(services)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(TRIGGER_PATH):
            await trigger(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(trigger, receive, send)
        elif scope["type"] == "http" and (takes(path := _below(root, scope["path"])) or _misspelled(path, scope)):
            await pages({**scope, "path": path}, receive, send)
        elif scope["type"] == "http" and path.startswith(INBOX_PATH):
            await inboxes({**scope, "path": path}, receive, send)
        else:
            await api(scope, receive, send)

    whole: Any = app
    if services.settings.trusted_proxies:
        whole = ProxyHeadersMiddleware(whole, trusted_hosts=[str(network) for network in services.settings.trusted_proxies])
    outermost: ASGIApp = whole
    return outermost


def _below(root: str, path: str) -> str:
    """A path without the one that Tidings lives below, which a proxy in front may or may not have taken off."""
    return path.removeprefix(root) or "/" if root and (path == root or path.startswith(f"{root}/")) else path


def _misspelled(path: str, scope: Scope) -> bool:
    """Whether somebody with a browser looks for a page where there is nothing at all: what is said to programs is not for people."""
    ours = path in PROGRAMS or path.startswith(("/api/", "/.well-known/"))
    return not ours and scope["method"] in SAFE and any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


async def _live(trigger: TriggerUrls, receive: Receive, send: Send) -> None:
    """From the server's start to its end, when every request was answered."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await trigger.aclose()
    await send({"type": "lifespan.shutdown.complete"})


@lru_cache(maxsize=8)
def openapi_document(base_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document, without a house behind it."""
    return openapi.document(_framework().routes, base_url)


@cache
def _framework() -> FastAPI:
    """The routes, for every house: what they need of one comes with the request."""
    app = FastAPI(title="Tidings", version=__version__, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for router in (health.router, docs.router, *(noun.router for noun in NOUNS), jwks.router):
        app.include_router(router)
    app.add_exception_handler(TidingsError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidingsError)
    answer = problem_of(request.scope, error)
    if answer.status_code >= 500:
        log.error("request failed", reason=str(error), code=error.code, request_id=request.state.request_id)
    return answer


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_of(request.scope, invalid(error.errors()))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem(request.scope, 404, "There is nothing at this address. GET /docs lists what there is.", "not_found")
    if error.status_code == 405:
        allowed = openapi.methods_at(await asyncio.to_thread(request.state.document), request.scope["path"])
        detail = f"{request.method} can't be used here; {', '.join(allowed)} can."
        return problem(request.scope, 405, detail, "method_not_allowed", headers={"Allow": ", ".join(allowed)})
    return problem(request.scope, error.status_code, f"{error.detail}.".replace("..", "."), "bad_request", headers=error.headers)


async def _on_fault(request: Request, error: Exception) -> Response:
    request_id = request.state.request_id
    log.error("request failed with a fault of ours", request_id=request_id, exc_info=error)
    return problem(request.scope, 500, f"Something went wrong that should not. Search the log for {request_id}, and tell whoever runs Tidings.", "internal")

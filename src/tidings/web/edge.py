"""The outermost layer: an id for each request, headers that every answer carries, the access log (route templates, never paths: paths hold secrets)."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings import metrics
from tidings.model.ids import new_id

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

CLIENT_GONE = 499  # as nginx says it: nobody was left to answer to

log = structlog.get_logger("tidings.web")


class Edge:
    """Passes everything on to `app`, with the id of the request and what is `carried` in `scope["state"]`: `request.state.services`, for one."""

    def __init__(self, app: ASGIApp, **carried: object) -> None:
        self._app = app
        self._carried = carried

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id()
        scope["state"] = {**scope.get("state", {}), **self._carried, "request_id": request_id}
        status = 0
        begun = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in _HEADERS if name not in there]
                message = {**message, "headers": [*headers, (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, answer)
            status = status or CLIENT_GONE
        finally:
            route = template_of(scope)
            metrics.requests.labels(route, str(status or 500)).inc()
            log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status or 500,
                ms=round((time.perf_counter() - begun) * 1000, 1),
                client=scope["client"][0] if scope.get("client") else None,
                request_id=request_id,
            )


def template_of(scope: Scope) -> str:
    """The template of the route that took a request, `-` where none did."""
    template: str = getattr(scope.get("route"), "path", "-")
    return template

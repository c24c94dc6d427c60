"""All pages as one app, apart from the API's: its answers are pages, its callers sessions."""

from collections.abc import Iterator, Mapping
from functools import cache
from urllib.parse import quote, urlencode, urlsplit

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Router
from starlette.types import ASGIApp

from tidings.connectors import registry
from tidings.errors import Forbidden, Invalid, NotFound, TidingsError
from tidings.web import static_files
from tidings.web.edge import Edge
from tidings.web.live import Streams
from tidings.web.pages import (
    account,
    activity,
    bots,
    calling,
    data_sources,
    deliveries,
    door,
    elsewhere,
    figures,
    inbox,
    invited,
    keys,
    members,
    new_source,
    rows,
    search,
    settings,
    snapshots,
    source_choice,
    source_settings,
    syncs,
    uploads,
    usage,
    webhook,
    webhook_mapping,
    webhooks,
)
from tidings.web.pages.gate import SAFE, PagesGate
from tidings.web.pages.render import environment, render, root_of
from tidings.web.problems import status_of
from tidings.web.services import Services

ROUTERS = (
    door.router,
    elsewhere.router,
    bots.router,
    new_source.router,
    data_sources.router,
    syncs.router,
    rows.router,
    snapshots.router,
    source_settings.router,
    uploads.router,
    source_choice.router,
    webhooks.router,
    webhook.router,
    webhook_mapping.router,
    deliveries.router,
    search.router,
    usage.router,
    inbox.router,
    invited.router,
    settings.router,
    members.router,
    keys.router,
    activity.router,
    figures.router,
    account.router,
)
_NO_PLACE = "There is no such place in this list. Open the list again, and go on from its beginning."
_NOTHING = "There is nothing at this address. It may have been deleted, or the address is misspelled."
_SIGNED_OUT = "You are not signed in any more, so nothing was done. Sign in, and send it once more."
_OURS = ("/app", "/invite", "/login", "/logout", "/setup", static_files.PATH)

SECRET_FIELDS = {"password", "present", "new", "secret"}  # what is typed there is not put into a page to be sent again; see `_tells_secrets`

log = structlog.get_logger("tidings.web")


def takes(path: str) -> bool:
    """Whether an address is a page's."""
    return path == "/" or any(path == ours or path.startswith(f"{ours}/") for ours in _OURS)


def create_pages(services: Services) -> ASGIApp:
    """The pages of a house."""
    templates = environment(root_of(services), services.settings.oidc_name if services.settings.oidc_issuer else None)
    # files are for everybody: whoever asks for one is not looked up
    routes = Router([static_files.ROUTE], default=PagesGate(_framework(), services), redirect_slashes=False)
    return Edge(routes, services=services, templates=templates, streams=Streams(), provider=elsewhere.provider_of(services))


@cache
def _framework() -> FastAPI:
    """The routes, for every house: what they need of one comes with the request."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, dependencies=[Depends(calling.admitted)])
    for route in _routes():
        if route.methods and "GET" in route.methods and not route.path.endswith("/live"):
            route.methods.add("HEAD")  # RFC 9110, section 9.1; who watches over a site asks so
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(calling.SignInFirst, _sign_in_first)
    app.add_exception_handler(TidingsError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_http)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)
    return app


def _routes() -> Iterator[APIRoute]:
    return (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))


async def _sign_in_first(request: Request, _: Exception) -> Response:
    """To `/login`, and from there back to the page that was asked for."""
    root = root_of(request.state.services)
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?{urlencode({'next': asked}, quote_via=quote)}" if request.method in SAFE and not request.url.path.endswith("/live") else ""
    return RedirectResponse(f"{root}/login{back}", 303)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidingsError)
    status = status_of(error)
    if status >= 500:
        log.error("page failed", reason=str(error), code=error.code, request_id=request.state.request_id)
    if isinstance(error, NotFound) and "/api/" in str(error):
        return _page(request, status, _NOTHING)  # the sentence is for callers of the API
    if isinstance(error, Invalid) and any(problem.field == "cursor" for problem in error.errors):
        return _page(request, status, _NO_PLACE)
    if isinstance(error, Forbidden) and request.state.visitor is None and request.url.path.startswith("/app/"):
        return _page(request, status, _SIGNED_OUT, title="Signed out", sign_in=_came_from(request))
    sentence = " ".join(problem.message for problem in error.errors) if isinstance(error, Invalid) else str(error)
    form = request.state.form
    if status == 503 and form:
        return _page(request, status, sentence, again=None if _tells_secrets(form) else form, typed=True)
    return _page(request, status, sentence)


def _tells_secrets(form: Mapping[str, str]) -> bool:
    """Whether somebody typed a password, a webhook's secret, the value of a header or the credential of a data source."""
    credentials = {f"config.{name}" for connector in registry.kinds() for name in connector.secret_fields}
    return any(text and (name in SECRET_FIELDS | credentials or name.startswith("header-value-")) for name, text in form.items())


async def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    page = _page(request, status, _NOTHING if status in {404, 405} else "This can't be done.")
    if status == 405:
        here = (route.methods or () for route in _routes() if route.matches(request.scope)[0] is not Match.NONE)
        page.headers["Allow"] = ", ".join(sorted(set().union(*here)))
    return page


async def _on_fault(request: Request, error: Exception) -> Response:
    request_id = request.state.request_id
    log.error("page failed with a fault of ours", request_id=request_id, exc_info=error)
    return _page(request, 500, f"Something went wrong that should not. Search the log for {request_id}, or tell whoever runs Tidings.")


def _came_from(request: Request) -> str:
    """The page that a form was sent from, nothing where the browser's word for it makes no sense; `/login` takes none but ours."""
    try:
        return urlsplit(request.headers.get("referer", "")).path.removeprefix(root_of(request.state.services))
    except ValueError:
        return ""


def _page(
    request: Request,
    status: int,
    sentence: str,
    *,
    title: str = "",
    again: Mapping[str, str] | None = None,
    typed: bool = False,
    sign_in: str | None = None,
) -> Response:
    """A page that says what went wrong; with `again`, what was `typed` can be sent once more; with `sign_in`, one signs in and goes on there."""
    titles = {
        403: "Not allowed",
        404: "Not found",
        405: "Not found",
        409: "Not now",
        413: "Too large",
        429: "Wait a little",
        500: "A fault of ours",
        503: "Not at this moment",
    }
    title = title or titles.get(status, "This did not work")
    return render(request, "error.html", status, title=title, sentence=sentence, again=again, typed=typed, sign_in=sign_in)

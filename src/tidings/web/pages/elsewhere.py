"""Signing in at the provider of OpenID Connect that the settings name."""

import json
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from tidings.clock import SECOND
from tidings.errors import Forbidden, Invalid, NotFound, TidingsError, Unavailable
from tidings.model.oidc import LASTS, Attempt
from tidings.web import sessions
from tidings.web.pages.calling import House
from tidings.web.pages.door import ours, signed_in, whence
from tidings.web.pages.forms import Form
from tidings.web.pages.render import render
from tidings.web.pages.words import capital
from tidings.web.problems import status_of
from tidings.web.services import Services
from tidings.workspaces.admission import admit

if TYPE_CHECKING:
    from tidings.workspaces.oidc import Provider

router = APIRouter()

CALLBACK = "/login/oidc/callback"
ATTEMPT = "tidings_oidc"
_PLACE = ("cookies", ATTEMPT, "attempt")  # what the seal is bound to


@router.get("/login/oidc")
async def leave(request: Request, house: House) -> Response:
    """Leads to the provider."""
    path = ours(request.query_params.get("next", ""))
    try:
        url, attempt = await _provider(request).begin(path)
    except Unavailable as error:
        return _refused(request, error, path)
    answer = RedirectResponse(url, 303)
    sessions.keep(answer, request, house, ATTEMPT, house.secretbox.seal(attempt.packed(), *_PLACE), seconds=LASTS // SECOND)
    return answer


@router.get(CALLBACK)
async def come_back(request: Request, house: House) -> Response:
    """Whom the provider vouches for is signed in. What the browser kept is used up, however it ends."""
    path = ""
    try:
        attempt = _kept(request, house)
        path = attempt.path
        person = await _provider(request).finish(attempt, request.query_params)
        answer = await signed_in(request, house, await admit(house.db, house.settings, person, **whence(request)), path)
    except (Forbidden, Unavailable, Invalid) as error:
        answer = _refused(request, error, path)
    sessions.drop(answer, request, house, ATTEMPT)
    return answer


def provider_of(services: Services) -> "Provider | None":
    """The provider of a house, where the settings name one."""
    if not services.settings.oidc_issuer:
        return None
    from tidings.workspaces.oidc import Provider  # noqa: PLC0415 - its libraries take 0.2 s to load, and few need them

    return Provider(services.settings, services.outbound, services.base_url + CALLBACK)


def _provider(request: Request) -> "Provider":
    provider: Provider | None = request.state.provider
    if provider is None:
        raise NotFound("There is nothing at this address: people sign in with passwords here.")
    return provider


def _kept(request: Request, house: Services) -> Attempt:
    """What this browser keeps of an attempt. Forbidden."""
    try:
        return Attempt.unpacked(house.secretbox.open(sessions.kept(request, house, ATTEMPT) or "", *_PLACE))
    except (TidingsError, json.JSONDecodeError):
        raise Forbidden("This sign-in is over, or was begun in another browser. Sign in again.") from None


def _refused(request: Request, error: TidingsError, path: str) -> Response:
    sentence = " ".join(one.message for one in error.errors) if isinstance(error, Invalid) else str(error)
    return render(request, "login.html", status_of(error), form=Form({"next": ours(path)}, {"elsewhere": capital(sentence)}))

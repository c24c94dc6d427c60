"""Where the link of an invitation leads: to join a workspace."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidings.errors import FieldError, Invalid, TooMany
from tidings.web import sessions
from tidings.web.pages.calling import House
from tidings.web.pages.door import HOME, whence
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import go, render
from tidings.web.services import Services
from tidings.workspaces import invitations

router = APIRouter()


@router.get("/invite/{token}")
async def ask(request: Request, token: str, house: House) -> Response:
    """Shows who is invited to what, and asks for what it takes to join."""
    return await _page(request, token, house, 200, Form())


@router.post("/invite/{token}")
async def join(request: Request, token: str, house: House) -> Response:
    """Joins the workspace, and goes on there."""
    form, visitor = sent(request), request.state.visitor
    if visitor is not None:
        joined = await invitations.join(house.db, visitor, token)
        return go(request, HOME, said=f"You belong to {joined.workspace} now.")
    try:
        session = await invitations.join_with_password(house.db, token, form["password"], **whence(request))
    except Invalid as error:
        return await _page(request, token, house, 422, form.refused(error))
    except TooMany as error:
        return await _page(request, token, house, 429, form.refused(Invalid(FieldError("password", str(error)))))
    answer = go(request, HOME)
    sessions.keep_session(answer, request, house, session)
    return answer


async def _page(request: Request, token: str, house: Services, status: int, form: Form) -> Response:
    offer = await invitations.look(house.db, token)
    return render(request, "invited.html", status, offer=offer, address=request.url.path, form=form)

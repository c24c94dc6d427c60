"""One's own account: the password, and where one is signed in."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidings.errors import FieldError, Invalid, TooMany
from tidings.model.workspaces import Visitor
from tidings.web import sessions
from tidings.web.pages.calling import House, Member, id_in_path
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import go, render
from tidings.web.services import Services
from tidings.workspaces import sign_in

router = APIRouter()

ACCOUNT = "/app/account"


@router.get(ACCOUNT)
async def account(request: Request, visitor: Member, house: House) -> Response:
    """The password, and every session."""
    return await _page(request, visitor, house, 200, Form())


@router.post(f"{ACCOUNT}/password")
async def change_password(request: Request, visitor: Member, house: House) -> Response:
    """Another password; the sessions elsewhere end."""
    form = sent(request)
    try:
        token = await sign_in.change_password(house.db, visitor, form["present"], form["new"])
    except Invalid as error:
        return await _page(request, visitor, house, 422, form.refused(error))
    except TooMany as error:
        return await _page(request, visitor, house, 429, form.refused(Invalid(FieldError("present", str(error)))))
    answer = go(request, ACCOUNT, said="The password was changed. You are signed out everywhere else.")
    sessions.keep_session(answer, request, house, token)
    return answer


@router.post(f"{ACCOUNT}/sessions/end-others")
async def end_others(request: Request, visitor: Member, house: House) -> Response:
    """Signs out everywhere else."""
    await sign_in.sign_out_elsewhere(house.db, visitor)
    return go(request, ACCOUNT, said="You are signed out everywhere else.")


@router.post(f"{ACCOUNT}/sessions/{{session_id}}/end")
async def end(request: Request, session_id: str, visitor: Member, house: House) -> Response:
    """Signs out in one other place."""
    await sign_in.sign_out(house.db, visitor, id_in_path(session_id))
    return go(request, ACCOUNT, said="That session has ended.")


async def _page(request: Request, visitor: Visitor, house: Services, status: int, form: Form) -> Response:
    there = await sign_in.sessions_of(house.db, visitor)
    return render(request, "account.html", status, sessions=there, has_password=await sign_in.has_password(house.db, visitor), form=form)

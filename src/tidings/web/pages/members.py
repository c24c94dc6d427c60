"""Who belongs to the workspace, and who is invited to it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings import clock
from tidings.errors import Conflict, Invalid
from tidings.model.workspaces import Visitor
from tidings.store import invitations as stored_invitations
from tidings.store import members as stored
from tidings.web.pages.calling import House, Owner, id_in_path
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import go, render
from tidings.web.pages.settings import SETTINGS, tabs_of
from tidings.web.services import Services
from tidings.workspaces import invitations, members

router = APIRouter()

MEMBERS = f"{SETTINGS}/members"
SHOWN = 50  # members on one page


@router.get(MEMBERS)
async def everybody(request: Request, visitor: Owner, house: House, cursor: Annotated[str | None, Query()] = None) -> Response:
    """Members and open invitations."""
    return await _page(request, visitor, house, 200, Form({"role": "member"}), cursor=cursor)


@router.post(f"{MEMBERS}/invite")
async def invite(request: Request, visitor: Owner, house: House) -> Response:
    """Makes an invitation; its link stands on the page, this once."""
    form = sent(request)
    try:
        invitation, path = await invitations.invite(house.db, visitor.workspace_id, form["email"], form["role"], visitor.email)
    except Invalid as error:
        return await _page(request, visitor, house, 422, form.refused(error))
    return await _page(request, visitor, house, 200, Form({"role": "member"}), made=(invitation.email, house.base_url + path))


@router.post(f"{MEMBERS}/invitations/{{invitation_id}}/revoke")
async def revoke(request: Request, invitation_id: str, visitor: Owner, house: House) -> Response:
    """Makes the link of an invitation worthless."""
    email = await invitations.revoke(house.db, visitor, id_in_path(invitation_id))
    return go(request, MEMBERS, said=f"The invitation of {email} was revoked.")


@router.post(f"{MEMBERS}/{{user_id}}/role")
async def change_role(request: Request, user_id: str, visitor: Owner, house: House) -> Response:
    """Makes a member an owner, or an owner a member."""
    try:
        changed = await members.change_role(house.db, visitor.workspace_id, id_in_path(user_id), sent(request)["role"], visitor.email)
    except Conflict as error:
        return go(request, MEMBERS, said=str(error), kind="bad")
    here = MEMBERS if changed.user_id != visitor.user_id or changed.role == "owner" else SETTINGS
    return go(request, here, said=f"{changed.email} is {'an owner' if changed.role == 'owner' else 'a member'} now.")


@router.get(f"{MEMBERS}/{{user_id}}/remove")
async def ask_to_remove(request: Request, user_id: str, visitor: Owner, house: House) -> Response:
    """Asks before somebody is taken out of the workspace."""
    member = await house.db.read(stored.get, visitor.workspace_id, id_in_path(user_id))
    return render(request, "settings/member_remove.html", member=member)


@router.post(f"{MEMBERS}/{{user_id}}/remove")
async def remove(request: Request, user_id: str, visitor: Owner, house: House) -> Response:
    """Takes somebody out of the workspace."""
    try:
        gone = await members.remove(house.db, visitor.workspace_id, id_in_path(user_id), visitor.email)
    except Conflict as error:
        return go(request, MEMBERS, said=str(error), kind="bad")
    if gone.user_id == visitor.user_id:
        return go(request, "/", said=f"You have left {visitor.workspace}.")
    return go(request, MEMBERS, said=f"{gone.email} belongs to this workspace no more.")


async def _page(
    request: Request, visitor: Visitor, house: Services, status: int, form: Form, *, cursor: str | None = None, made: tuple[str, str] | None = None
) -> Response:
    page = await house.db.read(stored.page, visitor.workspace_id, limit=SHOWN, cursor=cursor)
    invited = await house.db.read(stored_invitations.all_of, visitor.workspace_id, limit=invitations.MOST_OPEN)
    alone = len(await house.db.read(stored.owners, visitor.workspace_id, limit=2)) == 1
    shown = {"page": page, "cursor": cursor, "invited": invited, "made": made, "now": clock.now(), "lasts": invitations.LASTS, "alone": alone}
    return render(request, "settings/members.html", status, tabs=tabs_of(visitor), form=form, **shown)

"""The API keys of the workspace."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings.errors import Invalid
from tidings.model.workspaces import MEMBER_ROLES, Visitor
from tidings.store import api_keys
from tidings.web.pages.calling import House, Owner, id_in_path
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import go, render
from tidings.web.pages.settings import SETTINGS, tabs_of
from tidings.web.services import Services
from tidings.workspaces import keys

router = APIRouter()

KEYS = f"{SETTINGS}/keys"
SHOWN = 50  # keys on one page


@router.get(KEYS)
async def all_of_them(request: Request, visitor: Owner, house: House, cursor: Annotated[str | None, Query()] = None) -> Response:
    """The keys, revoked ones too."""
    return await _page(request, visitor, house, 200, Form({"role": "member"}), cursor=cursor)


@router.post(KEYS)
async def create(request: Request, visitor: Owner, house: House) -> Response:
    """Makes a key, which stands on the page, this once."""
    form = sent(request)
    try:
        made, key = await keys.create_in_browser(house.db, visitor, form["name"], form["role"])
    except Invalid as error:
        return await _page(request, visitor, house, 422, form.refused(error))
    return await _page(request, visitor, house, 200, Form({"role": "member"}), made=(made.name, key))


@router.get(f"{KEYS}/{{key_id}}/revoke")
async def ask_to_revoke(request: Request, key_id: str, visitor: Owner, house: House) -> Response:
    """Asks before a key is revoked."""
    return render(request, "settings/key_revoke.html", key=await house.db.read(api_keys.get, visitor.workspace_id, id_in_path(key_id)))


@router.post(f"{KEYS}/{{key_id}}/revoke")
async def revoke(request: Request, key_id: str, visitor: Owner, house: House) -> Response:
    """Makes a key worthless."""
    name = await keys.revoke_in_browser(house.db, visitor, id_in_path(key_id))
    return go(request, KEYS, said=f"The key {name} is worthless from now on.")


async def _page(
    request: Request, visitor: Visitor, house: Services, status: int, form: Form, *, cursor: str | None = None, made: tuple[str, str] | None = None
) -> Response:
    page = await house.db.read(api_keys.page, visitor.workspace_id, limit=SHOWN, cursor=cursor)
    api = f"{house.base_url}/api/v1"
    return render(request, "settings/keys.html", status, tabs=tabs_of(visitor), page=page, cursor=cursor, form=form, made=made, api=api, ours=MEMBER_ROLES)

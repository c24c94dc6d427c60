"""The settings of a workspace: its name, how people sign in; and which workspace one looks at."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidings.errors import Invalid
from tidings.model.workspaces import Visitor
from tidings.store import members
from tidings.web.pages.calling import House, Member, Owner
from tidings.web.pages.forms import Form, merged, sent
from tidings.web.pages.render import go, render
from tidings.web.services import Services
from tidings.workspaces import plans, sign_in

router = APIRouter()

SETTINGS = "/app/settings"
TABS = (("workspace", "Workspace"), ("members", "Members"), ("keys", "API keys"), ("sign-in", "Sign-in"))
OF_MEMBERS = (TABS[0], TABS[3])  # what members see of them
OWNERS_NAMED = 10


@router.get(SETTINGS)
async def first_tab(request: Request, visitor: Member) -> Response:  # noqa: ARG001 - whoever has not signed in is led to /login
    """The first of the settings."""
    return go(request, f"{SETTINGS}/workspace")


@router.get(f"{SETTINGS}/workspace")
async def workspace(request: Request, visitor: Member, house: House) -> Response:
    """The name of the workspace, its plan, and who owns it."""
    return await _workspace(request, visitor, house, 200, Form({"name": visitor.workspace}))


@router.post(f"{SETTINGS}/workspace")
async def rename(request: Request, visitor: Owner, house: House) -> Response:
    """Gives the workspace another name."""
    form = merged(sent(request), {"name": visitor.workspace})
    try:
        form.check()
        await plans.change(house.db, house.settings, visitor.workspace_id, name=form["name"])
    except Invalid as error:
        return await _workspace(request, visitor, house, 422, form.refused(error))
    return go(request, f"{SETTINGS}/workspace", said="The name was changed.")


@router.get(f"{SETTINGS}/sign-in")
async def ways_in(request: Request, visitor: Member, house: House) -> Response:
    """How people sign in, and how long that lasts."""
    return render(request, "settings/sign_in.html", tabs=tabs_of(visitor), idle=sign_in.IDLE, longest=sign_in.LONGEST, settings=house.settings)


@router.post("/app/switch")
async def switch(request: Request, visitor: Member, house: House) -> Response:
    """Looks at another workspace."""
    name = await sign_in.switch(house.db, visitor, sent(request)["workspace"])
    return go(request, "/app/bots", said=f"This is {name}.")


def tabs_of(visitor: Visitor) -> tuple[tuple[str, str], ...]:
    """The tabs of the settings that somebody may see."""
    return TABS if visitor.may_act_as("owner") else OF_MEMBERS


async def _workspace(request: Request, visitor: Visitor, house: Services, status: int, form: Form) -> Response:
    view = await plans.view(house.db, house.settings, visitor.workspace_id)
    owners = await house.db.read(members.owners, visitor.workspace_id, limit=OWNERS_NAMED)
    return render(request, "settings/workspace.html", status, tabs=tabs_of(visitor), view=view, owners=owners, form=form)

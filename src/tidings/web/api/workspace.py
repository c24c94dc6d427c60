"""The workspace that the API key belongs to."""

from fastapi import APIRouter
from pydantic import Field

from tidings.errors import Forbidden
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.shapes import Id, Input, Name, Shape
from tidings.workspaces import plans
from tidings.workspaces.plans import WorkspaceView

router = APIRouter(prefix="/api/v1", tags=["Workspace"])


class PlanShape(Shape):
    """A monthly allowance of storage tokens."""

    name: str
    storage_tokens_per_month: int | None = Field(description="null is without limit.")


class UsageShape(Shape):
    """What was charged."""

    month: str = Field(description="A UTC month.", examples=["2026-11"])
    storage_tokens: int


class WorkspaceShape(Shape):
    """A workspace."""

    id: Id
    name: str
    plan: PlanShape
    usage: UsageShape


class WorkspaceChange(Input):
    """What can be changed of a workspace."""

    name: Name = Field(default_factory=str)
    plan: str = Field(default_factory=str, max_length=200, description="The name of a plan of TIDINGS_PLANS. Takes an operator's key.")


@router.get("/workspace", summary="The workspace")
async def get_workspace(caller: Reader, db: Db, house: House) -> WorkspaceShape:
    """The workspace of the API key: its plan, and what it used of it this month."""
    return _shape(await plans.view(db, house.settings, caller.workspace_id))


@router.patch("/workspace", summary="Rename the workspace, or put it on a plan")
async def change_workspace(body: WorkspaceChange, caller: Owner, db: Db, house: House) -> WorkspaceShape:
    """Changes the members that are named."""
    named = body.model_fields_set
    if "plan" in named and not caller.may_act_as("operator"):
        raise Forbidden("Only an operator's API key can change the plan. `tidings keys create NAME --role operator` makes one.")
    name = body.name if "name" in named else None
    plan = body.plan if "plan" in named else None
    return _shape(await plans.change(db, house.settings, caller.workspace_id, name=name, plan=plan))


def _shape(view: WorkspaceView) -> WorkspaceShape:
    return WorkspaceShape(
        id=view.workspace.id,
        name=view.workspace.name,
        plan=PlanShape(name=view.workspace.plan, storage_tokens_per_month=view.allowance),
        usage=UsageShape(month=view.month, storage_tokens=view.used),
    )

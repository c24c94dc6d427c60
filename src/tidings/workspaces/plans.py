"""Plans: which one a workspace is on, what it allows, what was used of it."""

from dataclasses import dataclass

import structlog

from tidings import clock
from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.activity import Activity
from tidings.model.ids import is_id
from tidings.model.names import cleaned_name
from tidings.model.workspaces import Workspace, allowance_of
from tidings.settings import Settings
from tidings.store import activity, usage, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx

log = structlog.get_logger("tidings.workspaces")


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """A workspace with its allowance (storage tokens a month, None without limit) and what it was charged in `month` (UTC, `2026-11`)."""

    workspace: Workspace
    allowance: int | None
    month: str
    used: int


async def view(db: Database, settings: Settings, workspace_id: str) -> WorkspaceView:
    """A workspace, its plan and its usage of this month. A plan that has gone from the settings counts as the default one, and the log says so. NotFound."""
    return _logged(settings, await db.read(_view, settings, workspace_id))


async def change(db: Database, settings: Settings, workspace_id: str, *, name: str | None = None, plan: str | None = None) -> WorkspaceView:
    """Renames a workspace, puts it on a plan of the settings. Invalid, NotFound."""
    if name is not None:
        name = cleaned_name(name)
    if plan is not None and plan not in settings.plans:
        raise Invalid(FieldError("plan", f"There is no plan {plan!r}. The plans of TIDINGS_PLANS are: {', '.join(settings.plans)}."))
    if not is_id(workspace_id):
        raise NotFound("There is no workspace with this id. `tidings workspace list` shows them.")
    return _logged(settings, await db.write(_change, settings, workspace_id.lower(), name, plan))


def _view(tx: Tx, settings: Settings, workspace_id: str) -> WorkspaceView:
    workspace = workspaces.get(tx, workspace_id)
    month = clock.month(clock.now())
    return WorkspaceView(workspace, allowance_of(workspace.plan, settings.plans, settings.default_plan), month, usage.of_month(tx, workspace_id, month))


def _change(tx: Tx, settings: Settings, workspace_id: str, name: str | None, plan: str | None) -> WorkspaceView:
    if plan is not None and plan != (before := workspaces.get(tx, workspace_id).plan):
        activity.add(tx, workspace_id, Activity(clock.now(), "plan_changed", f"The workspace was put on the plan {plan}; it was on {before}."))
    if name is not None and name != (former := workspaces.get(tx, workspace_id).name):
        activity.add(tx, workspace_id, Activity(clock.now(), "workspace_renamed", f"The workspace is called {name}; it was {former}."))
    workspaces.change(tx, workspace_id, name=name, plan=plan)
    return _view(tx, settings, workspace_id)


def _logged(settings: Settings, seen: WorkspaceView) -> WorkspaceView:
    if seen.workspace.plan not in settings.plans:
        log.warning(
            "plan is gone from the settings; the default plan's allowance counts until the workspace is put on another one",
            workspace=seen.workspace.id,
            plan=seen.workspace.plan,
            default_plan=settings.default_plan,
        )
    return seen

"""Workspaces, and their plan."""

from sqlalchemy import exists, insert, select, text, update

from tidings import clock
from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.ids import new_id
from tidings.model.workspaces import Workspace
from tidings.store.tables import workspaces
from tidings.store.transactions import Tx


def any_exists(tx: Tx) -> bool:
    """Whether Tidings was set up already. Until the end of the transaction nobody else can answer no."""
    if tx.dialect == "postgresql":
        tx.execute(text("LOCK TABLE workspaces IN SHARE ROW EXCLUSIVE MODE"))
    return bool(tx.execute(select(exists(select(workspaces.c.id)))).scalar_one())


def create(tx: Tx, name: str, plan: str) -> str:
    """A new workspace; its id."""
    workspace_id = new_id()
    tx.execute(insert(workspaces).values(id=workspace_id, name=name, plan=plan, created_at=clock.now()))
    return workspace_id


def get(tx: Tx, workspace_id: str) -> Workspace:
    """One workspace. NotFound."""
    found = tx.execute(select(workspaces.c.id, workspaces.c.name, workspaces.c.plan).where(workspaces.c.id == workspace_id)).one_or_none()
    if found is None:
        raise NotFound("There is no workspace with this id. `tidings workspace list` shows them.")
    return Workspace(found.id, found.name, found.plan)


def all_of_them(tx: Tx) -> tuple[Workspace, ...]:
    """Every workspace, the oldest first: for the operator's commands, never for a caller of the API."""
    found = tx.execute(select(workspaces.c.id, workspaces.c.name, workspaces.c.plan).order_by(workspaces.c.id))
    return tuple(Workspace(row.id, row.name, row.plan) for row in found)


def the_one(tx: Tx, workspace_id: str | None) -> str:
    """The id of the workspace that a command names, or of the only one where it names none. NotFound, Invalid."""
    if workspace_id is not None:
        return get(tx, workspace_id.lower()).id
    there = tx.execute(select(workspaces.c.id).limit(2)).scalars().all()
    if not there:
        raise NotFound("Tidings is not set up yet. Run `tidings setup` first.")
    if len(there) > 1:
        raise Invalid(FieldError("workspace", "There are several workspaces. Name one with --workspace; `tidings workspace list` shows their ids."))
    return str(there[0])


def change(tx: Tx, workspace_id: str, *, name: str | None = None, plan: str | None = None) -> None:
    """Renames a workspace, or puts it on a plan. NotFound."""
    values = {column: value for column, value in (("name", name), ("plan", plan)) if value is not None}
    if values:
        tx.execute(update(workspaces).where(workspaces.c.id == workspace_id).values(values))
    get(tx, workspace_id)

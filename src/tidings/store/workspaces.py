"""Workspaces, their first member, their plan."""

from sqlalchemy import exists, insert, select, text, update

from tidings import clock
from tidings.errors import NotFound
from tidings.model.ids import new_id
from tidings.model.workspaces import Workspace
from tidings.store.tables import members, users, workspaces
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


def add_member(tx: Tx, workspace_id: str, email: str, password_hash: str, role: str) -> str:
    """A new person, member of a workspace; the person's id."""
    user_id = new_id()
    tx.execute(insert(users).values(id=user_id, email=email, password_hash=password_hash, created_at=clock.now()))
    tx.execute(insert(members).values(workspace_id=workspace_id, user_id=user_id, role=role))
    return user_id


def get(tx: Tx, workspace_id: str) -> Workspace:
    """One workspace. NotFound."""
    found = tx.execute(select(workspaces.c.id, workspaces.c.name, workspaces.c.plan).where(workspaces.c.id == workspace_id)).one_or_none()
    if found is None:
        raise NotFound("There is no workspace with this id. `tidings keys list` shows the ids of workspaces.")
    return Workspace(found.id, found.name, found.plan)


def all_of_them(tx: Tx) -> tuple[Workspace, ...]:
    """Every workspace, the oldest first: for the operator's commands, never for a caller of the API."""
    found = tx.execute(select(workspaces.c.id, workspaces.c.name, workspaces.c.plan).order_by(workspaces.c.id))
    return tuple(Workspace(row.id, row.name, row.plan) for row in found)


def change(tx: Tx, workspace_id: str, *, name: str | None = None, plan: str | None = None) -> None:
    """Renames a workspace, or puts it on a plan. NotFound."""
    values = {column: value for column, value in (("name", name), ("plan", plan)) if value is not None}
    if values:
        tx.execute(update(workspaces).where(workspaces.c.id == workspace_id).values(values))
    get(tx, workspace_id)

"""Who belongs to a workspace, and as what. Somebody is always an owner."""

from collections.abc import Mapping

from tidings import clock
from tidings.errors import Conflict, FieldError, Invalid
from tidings.model.activity import Activity
from tidings.model.names import cleaned_name
from tidings.model.workspaces import MEMBER_ROLES, Member, Workspace
from tidings.settings import Settings
from tidings.store import activity, members, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces.setup import what_is_wrong_with_email

LAST_OWNER = "Nobody else is an owner of this workspace. Make somebody else an owner first."
MOST_LISTED = 1000  # members of a workspace that a command lists


async def change_role(db: Database, workspace_id: str, user_id: str, role: str, by: str) -> Member:
    """Makes a member an owner, or an owner a member. NotFound, Invalid; Conflict for the last owner."""
    return await db.write(_change_role, workspace_id, user_id, role, by)


async def remove(db: Database, workspace_id: str, user_id: str, by: str) -> Member:
    """Takes somebody out of a workspace, at once. NotFound; Conflict for the last owner."""
    return await db.write(_remove, workspace_id, user_id, by)


async def everybody(db: Database, workspace_id: str | None) -> Mapping[Workspace, tuple[Member, ...]]:
    """The members of each workspace, or of one: for the operator's commands. NotFound."""
    return await db.read(_everybody, workspace_id)


async def create_workspace(db: Database, settings: Settings, name: str, email: str) -> tuple[str, bool]:
    """Another workspace: (its id, whether the address belongs to somebody, who owns it from now on). Invalid."""
    wrong = what_is_wrong_with_email(email)
    if wrong is not None:
        raise Invalid(FieldError("email", wrong))
    return await db.write(_create_workspace, settings.default_plan, cleaned_name(name), email.strip().lower())


def _change_role(tx: Tx, workspace_id: str, user_id: str, role: str, by: str) -> Member:
    member = members.get(tx, workspace_id, user_id)
    wanted = next((one for one in MEMBER_ROLES if one == role), None)
    if wanted is None:
        raise Invalid(FieldError("role", "Choose owner or member."))
    if wanted == member.role:
        return member
    if member.role == "owner" and not members.other_owners(tx, workspace_id, user_id):
        raise Conflict(LAST_OWNER)
    members.change_role(tx, workspace_id, user_id, wanted)
    activity.add(tx, workspace_id, Activity(clock.now(), "role_changed", f"{member.email} was made {_a(wanted)} by {by}."))
    return members.get(tx, workspace_id, user_id)


def _remove(tx: Tx, workspace_id: str, user_id: str, by: str) -> Member:
    member = members.get(tx, workspace_id, user_id)
    if member.role == "owner" and not members.other_owners(tx, workspace_id, user_id):
        raise Conflict(LAST_OWNER)
    members.remove(tx, workspace_id, user_id)
    sentence = f"{member.email} left the workspace." if member.email == by else f"{member.email} was removed by {by}."
    activity.add(tx, workspace_id, Activity(clock.now(), "member_removed", sentence))
    return member


def _everybody(tx: Tx, workspace_id: str | None) -> Mapping[Workspace, tuple[Member, ...]]:
    there = workspaces.all_of_them(tx) if workspace_id is None else (workspaces.get(tx, workspace_id.lower()),)
    return {one: members.page(tx, one.id, limit=MOST_LISTED, cursor=None).items for one in there}


def _create_workspace(tx: Tx, plan: str, name: str, email: str) -> tuple[str, bool]:
    workspace_id = workspaces.create(tx, name, plan)
    known = members.person(tx, email)
    if known is not None:
        members.join(tx, workspace_id, known[0], "owner")
    activity.add(tx, workspace_id, Activity(clock.now(), "workspace_created", "The workspace was made by the command line."))
    return workspace_id, known is not None


def _a(role: str) -> str:
    return "an owner" if role == "owner" else "a member"

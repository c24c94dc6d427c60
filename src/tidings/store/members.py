"""People, and the workspaces that they belong to."""

from sqlalchemy import delete, func, insert, select, update

from tidings import clock
from tidings.errors import NotFound
from tidings.model.ids import new_id
from tidings.model.pages import Page
from tidings.model.workspaces import Member, MemberRole
from tidings.store.cursors import id_in
from tidings.store.tables import identities, members, sessions, users, workspaces
from tidings.store.transactions import AnyRow, Tx


def add_person(tx: Tx, email: str, password_hash: str) -> str:
    """A new person, who belongs nowhere yet; the id. An empty hash is that of somebody who signs in elsewhere."""
    user_id = new_id()
    tx.execute(insert(users).values(id=user_id, email=email, password_hash=password_hash, created_at=clock.now()))
    return user_id


def person(tx: Tx, email: str) -> tuple[str, str] | None:
    """(id, hash of the password) of whoever has this address (in lower case); None where nobody does."""
    found = tx.execute(select(users.c.id, users.c.password_hash).where(users.c.email == email)).one_or_none()
    return None if found is None else (found.id, found.password_hash)


def join(tx: Tx, workspace_id: str, user_id: str, role: MemberRole) -> None:
    """Makes a person a member. Whoever is one already keeps the role."""
    if role_of(tx, workspace_id, user_id) is None:
        tx.execute(insert(members).values(workspace_id=workspace_id, user_id=user_id, role=role, joined_at=clock.now()))


def role_of(tx: Tx, workspace_id: str, user_id: str) -> MemberRole | None:
    """What a person is in a workspace; None where the person does not belong to it."""
    query = select(members.c.role).where(members.c.workspace_id == workspace_id, members.c.user_id == user_id)
    found: MemberRole | None = tx.execute(query).scalar_one_or_none()
    return found


def get(tx: Tx, workspace_id: str, user_id: str) -> Member:
    """One member. NotFound."""
    found = tx.execute(_listed(workspace_id).where(users.c.id == user_id)).one_or_none()
    if found is None:
        raise NotFound("This person does not belong to the workspace.")
    return _member(found)


def page(tx: Tx, workspace_id: str, *, limit: int, cursor: str | None) -> Page[Member]:
    """The members of a workspace, those first who were known first."""
    query = _listed(workspace_id).order_by(users.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(users.c.id > id_in(cursor))
    found = tx.execute(query).all()
    return Page(tuple(_member(row) for row in found[:limit]), found[limit - 1].user_id if len(found) > limit else None)


def owners(tx: Tx, workspace_id: str, *, limit: int) -> tuple[str, ...]:
    """The addresses of the first owners of a workspace."""
    query = select(users.c.email).join(members, members.c.user_id == users.c.id).where(members.c.workspace_id == workspace_id, members.c.role == "owner")
    return tuple(tx.execute(query.order_by(users.c.id).limit(limit)).scalars())


def other_owners(tx: Tx, workspace_id: str, user_id: str) -> bool:
    """Whether somebody else is an owner. Until the end of the transaction no other owner ceases to be one."""
    tx.execute(select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update())
    query = select(members.c.user_id).where(members.c.workspace_id == workspace_id, members.c.role == "owner", members.c.user_id != user_id)
    return tx.execute(query.limit(1)).first() is not None


def change_role(tx: Tx, workspace_id: str, user_id: str, role: MemberRole) -> None:
    """Makes a member an owner, or the other way round."""
    tx.execute(update(members).where(members.c.workspace_id == workspace_id, members.c.user_id == user_id).values(role=role))


def remove(tx: Tx, workspace_id: str, user_id: str) -> None:
    """Takes a person out of a workspace; sessions there go on in another workspace of that person, or end."""
    tx.execute(delete(members).where(members.c.workspace_id == workspace_id, members.c.user_id == user_id))
    there = (sessions.c.user_id == user_id, sessions.c.workspace_id == workspace_id)
    left = workspaces_of(tx, user_id)
    tx.execute(update(sessions).where(*there).values(workspace_id=left[0][0]) if left else delete(sessions).where(*there))


def workspaces_of(tx: Tx, user_id: str) -> tuple[tuple[str, str], ...]:
    """(id, name) of the workspaces that a person belongs to, by name."""
    query = select(workspaces.c.id, workspaces.c.name).join(members, members.c.workspace_id == workspaces.c.id).where(members.c.user_id == user_id)
    return tuple((row.id, row.name) for row in tx.execute(query.order_by(func.lower(workspaces.c.name), workspaces.c.id)))


def identified(tx: Tx, issuer: str, subject: str) -> tuple[str, str] | None:
    """(id, address) of the person whom a provider means; None where nobody was seen under it yet."""
    query = select(users.c.id, users.c.email).join(identities, identities.c.user_id == users.c.id)
    found = tx.execute(query.where(identities.c.issuer == issuer, identities.c.subject == subject)).one_or_none()
    return None if found is None else (found.id, found.email)


def identify(tx: Tx, issuer: str, subject: str, user_id: str) -> None:
    """Notes whom a provider means by a subject."""
    tx.execute(insert(identities).values(issuer=issuer, subject=subject, user_id=user_id, created_at=clock.now()))


def _listed(workspace_id: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a statement of SQLAlchemy, whose type is a line long
    seen = select(func.max(sessions.c.seen_at)).where(sessions.c.user_id == users.c.id, sessions.c.workspace_id == workspace_id).scalar_subquery()
    query = select(users.c.id.label("user_id"), users.c.email, members.c.role, members.c.joined_at, seen.label("seen_at"))
    return query.join(members, members.c.user_id == users.c.id).where(members.c.workspace_id == workspace_id)


def _member(row: AnyRow) -> Member:
    return Member(row.user_id, row.email, row.role, row.joined_at, row.seen_at)

"""Invitations to workspaces, by the SHA-256 of what the link ends with."""

from sqlalchemy import Select, delete, insert, select

from tidings.clock import Micros
from tidings.errors import NotFound
from tidings.model.workspaces import Invitation
from tidings.store.tables import invitations, workspaces
from tidings.store.transactions import AnyRow, Tx


def add(tx: Tx, invitation: Invitation, link_hash: bytes) -> None:
    """Keeps an invitation; one that this address had to this workspace before counts no more."""
    tx.execute(delete(invitations).where(invitations.c.workspace_id == invitation.workspace_id, invitations.c.email == invitation.email))
    values = {"id": invitation.id, "workspace_id": invitation.workspace_id, "email": invitation.email, "role": invitation.role}
    tx.execute(insert(invitations).values(**values, hash=link_hash, created_at=invitation.created_at, expires_at=invitation.expires_at))


def all_of(tx: Tx, workspace_id: str, *, limit: int) -> tuple[Invitation, ...]:
    """The invitations to a workspace that nobody has used, expired ones too, the newest first."""
    return tuple(
        _invitation(row) for row in tx.execute(_all().where(invitations.c.workspace_id == workspace_id).order_by(invitations.c.id.desc()).limit(limit))
    )


def by_link(tx: Tx, link_hash: bytes, at: Micros) -> Invitation | None:
    """The invitation that a link stands for; None where it is not known, was used or revoked, or has expired."""
    found = tx.execute(_all().where(invitations.c.hash == link_hash, invitations.c.expires_at > at)).one_or_none()
    return None if found is None else _invitation(found)


def by_email(tx: Tx, email: str, at: Micros) -> tuple[Invitation, ...]:
    """The living invitations of an address, to whatever workspaces."""
    return tuple(_invitation(row) for row in tx.execute(_all().where(invitations.c.email == email, invitations.c.expires_at > at).order_by(invitations.c.id)))


def take(tx: Tx, invitation_id: str) -> bool:
    """Uses an invitation up; False where somebody else was quicker."""
    return bool(tx.execute(delete(invitations).where(invitations.c.id == invitation_id)).rowcount)


def revoke(tx: Tx, workspace_id: str, invitation_id: str) -> str:
    """Makes the link of an invitation worthless; whose it was. NotFound."""
    gone = delete(invitations).where(invitations.c.id == invitation_id, invitations.c.workspace_id == workspace_id)
    email: str | None = tx.execute(gone.returning(invitations.c.email)).scalar_one_or_none()
    if email is None:
        raise NotFound("There is no such invitation any more. It was used, or revoked.")
    return email


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets invitations that have expired before an instant; how many, at most `limit`."""
    old = select(invitations.c.id).where(invitations.c.expires_at < before).limit(limit)
    return tx.execute(delete(invitations).where(invitations.c.id.in_(old))).rowcount


def _all() -> Select[*tuple[object, ...]]:
    return select(invitations, workspaces.c.name.label("workspace")).join(workspaces, workspaces.c.id == invitations.c.workspace_id)


def _invitation(row: AnyRow) -> Invitation:
    return Invitation(row.id, row.workspace_id, row.workspace, row.email, row.role, row.created_at, row.expires_at)

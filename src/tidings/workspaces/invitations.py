"""Invitations to a workspace: a link that is shown once, used once, and expires. Whoever follows it sets a password, or signs in, and belongs there.

Nothing is sent: whoever invites passes the link on.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from tidings import clock
from tidings.clock import Micros
from tidings.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from tidings.model.activity import Activity
from tidings.model.ids import new_id
from tidings.model.workspaces import MEMBER_ROLES, Invitation, MemberRole, Visitor
from tidings.store import activity, invitations, members, sessions, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces import sign_in
from tidings.workspaces.passwords import hashed, what_is_wrong_with_password
from tidings.workspaces.setup import what_is_wrong_with_email

PATH = "/invite/"
LASTS: Micros = 7 * clock.DAY
MOST_OPEN = 100  # of a workspace, expired ones too
GONE = "This invitation is not valid any more: it was used, was revoked, or has expired. Ask whoever sent it for another one."

Way = Literal["new", "password", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link leads to, and how the one who was invited joins: with a `new` password, with the `password` they have, or by signing in `elsewhere`."""

    invitation: Invitation
    way: Way


async def invite(db: Database, workspace_id: str | None, email: str, role: str, by: str) -> tuple[Invitation, str]:
    """An invitation to a workspace (to the only one, where none is named), and the end of the address where it is accepted, which is never shown again.
    Invalid, NotFound."""
    wrong = what_is_wrong_with_email(email)
    if wrong is not None:
        raise Invalid(FieldError("email", wrong))
    wanted = next((one for one in MEMBER_ROLES if one == role), None)
    if wanted is None:
        raise Invalid(FieldError("role", "Choose owner or member."))
    token = secrets.token_urlsafe(32)
    return await db.write(_invite, workspace_id, email.strip().lower(), wanted, by, token), PATH + token


async def revoke(db: Database, visitor: Visitor, invitation_id: str) -> str:
    """Makes the link of an invitation worthless; whose it was. NotFound."""
    return await db.write(_revoke, visitor, invitation_id)


async def look(db: Database, token: str) -> Offer:
    """What a link leads to. NotFound where it leads nowhere any more."""
    return await db.read(_look, token)


async def join(db: Database, visitor: Visitor, token: str) -> Invitation:
    """Makes somebody who has signed in a member, and leads the session there. NotFound; Forbidden for whom the link is not."""
    return await db.write(_join, visitor, token)


async def join_with_password(db: Database, token: str, password: str, *, address: str | None, agent: str | None) -> str:
    """Makes whoever was invited a member, with a new password or the one they have; what the browser is to hold. NotFound, Invalid, TooMany."""
    offer = await look(db, token)
    email = offer.invitation.email
    if offer.way == "new":
        wrong = what_is_wrong_with_password(password)
        if wrong is not None:
            raise Invalid(FieldError("password", wrong))
        await db.write(_join_anew, token, await hashed(password))
    else:
        await sign_in.prove(db, email, password, address=address)
        await db.write(_join_known, token)
    return await sign_in.begin_for(db, email, offer.invitation.workspace_id, address=address, agent=agent)


def join_by_email(tx: Tx, user_id: str, email: str) -> None:
    """Makes somebody whose address was proven a member of all workspaces that it is invited to."""
    for invitation in invitations.by_email(tx, email, clock.now()):
        _accept(tx, invitation, user_id)


def _invite(tx: Tx, workspace_id: str | None, email: str, role: MemberRole, by: str, token: str) -> Invitation:  # noqa: PLR0917
    workspace = workspaces.get(tx, workspaces.the_one(tx, workspace_id))
    known = members.person(tx, email)
    if known is not None and members.role_of(tx, workspace.id, known[0]) is not None:
        raise Invalid(FieldError("email", f"{email} belongs to this workspace already."))
    if len(invitations.all_of(tx, workspace.id, limit=MOST_OPEN)) >= MOST_OPEN:
        raise Invalid(FieldError("email", f"{MOST_OPEN} invitations are open, which is the most. Revoke some."))
    at = clock.now()
    invitation = Invitation(new_id(), workspace.id, workspace.name, email, role, at, at + LASTS)
    invitations.add(tx, invitation, _hash(token))
    activity.add(tx, workspace.id, Activity(at, "member_invited", f"{email} was invited by {by} ({role})."))
    return invitation


def _revoke(tx: Tx, visitor: Visitor, invitation_id: str) -> str:
    email = invitations.revoke(tx, visitor.workspace_id, invitation_id)
    activity.add(tx, visitor.workspace_id, Activity(clock.now(), "invitation_revoked", f"The invitation of {email} was revoked by {visitor.email}."))
    return email


def _look(tx: Tx, token: str) -> Offer:
    invitation = _found(tx, token)
    known = members.person(tx, invitation.email)
    return Offer(invitation, "new" if known is None else "password" if known[1] else "elsewhere")


def _join(tx: Tx, visitor: Visitor, token: str) -> Invitation:
    invitation = _found(tx, token)
    if visitor.email != invitation.email:
        raise Forbidden(f"This invitation is for {invitation.email}. Sign out, and open its link again.")
    _accept(tx, invitation, visitor.user_id)
    sessions.switch(tx, visitor.session_id, invitation.workspace_id)
    return invitation


def _join_anew(tx: Tx, token: str, password_hash: str) -> None:
    invitation = _found(tx, token)
    if members.person(tx, invitation.email) is not None:
        raise Conflict("Somebody has joined with this address meanwhile. Open the link again, and sign in.")
    _accept(tx, invitation, members.add_person(tx, invitation.email, password_hash))


def _join_known(tx: Tx, token: str) -> None:
    invitation = _found(tx, token)
    known = members.person(tx, invitation.email)
    assert known is not None  # whose password was given just now; people are not deleted
    _accept(tx, invitation, known[0])


def _accept(tx: Tx, invitation: Invitation, user_id: str) -> None:
    if not invitations.take(tx, invitation.id):
        raise NotFound(GONE)
    members.join(tx, invitation.workspace_id, user_id, invitation.role)
    activity.add(tx, invitation.workspace_id, Activity(clock.now(), "member_joined", f"{invitation.email} joined the workspace ({invitation.role})."))


def _found(tx: Tx, token: str) -> Invitation:
    invitation = invitations.by_link(tx, _hash(token), clock.now())
    if invitation is None:
        raise NotFound(GONE)
    return invitation


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

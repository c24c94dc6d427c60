"""Signing in: a password becomes a session, guesses are few, and a session ends when it is not used, gets old, or is revoked.

What a browser is given is 256 random bits, of which only the SHA-256 is kept.
"""

import hashlib
import secrets
from contextlib import suppress

from tidings import clock
from tidings.clock import Micros
from tidings.errors import FieldError, Invalid, NotFound, TooMany, Unavailable
from tidings.model.workspaces import Session, Visitor
from tidings.store import invitations, members, sessions
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces.passwords import NO_PASSWORD, fits, hashed, what_is_wrong_with_password
from tidings.workspaces.setup import LONGEST_EMAIL

IDLE: Micros = 3 * clock.DAY  # a session that is not used for so long has ended
LONGEST: Micros = 30 * clock.DAY  # and so has one that began so long ago
NOTED_EVERY: Micros = 300 * clock.SECOND  # not every request has to write down that a session is used
GUESSES_WITHIN: Micros = 900 * clock.SECOND
GUESSES_OF_ACCOUNT = 10
GUESSES_FROM_ADDRESS = 50
LONGEST_AGENT = 300  # characters kept of what a browser says of itself


async def sign_in(db: Database, email: str, password: str, *, address: str | None, agent: str | None) -> str:
    """A new session; what the browser is to hold. Invalid where the two do not belong together, which takes as long for an address that nobody has;
    TooMany."""
    email = await prove(db, email, password, address=address)
    return await begin_for(db, email, address=address, agent=agent)


async def prove(db: Database, email: str, password: str, *, address: str | None) -> str:
    """The address, as it is kept, of whoever knows its password. Invalid, TooMany."""
    email, at = email.strip().lower()[: LONGEST_EMAIL + 1], clock.now()
    counted = await db.write(_count, _about_account(email), about_address(address), at)
    if counted[0] > GUESSES_OF_ACCOUNT or counted[1] > GUESSES_FROM_ADDRESS:
        raise TooMany("Too many attempts to sign in failed. Wait a quarter of an hour, then try again.")
    known = await db.read(members.person, email)
    if not await fits(password, NO_PASSWORD if known is None else known[1]):
        raise Invalid(FieldError("password", "This e-mail address and this password do not belong together. Check both, then try again."))
    await db.write(sessions.take_back_guess, about_address(address))  # else a whole house that signs in from behind one address locks itself out
    return email


async def begin_for(db: Database, email: str, workspace_id: str | None = None, *, address: str | None, agent: str | None) -> str:
    """A session of somebody who was proven to be who they say, in this workspace or the first one; what the browser is to hold. Invalid where the person
    belongs to none."""
    token = secrets.token_urlsafe(32)
    await db.write(_begin, token, email.strip().lower(), workspace_id, address=address, agent=agent)
    return token


async def visitor_of(db: Database, token: str) -> Visitor | None:
    """Whose session this is; None where it is not known, has ended or was revoked."""
    at = clock.now()
    found = await db.read(sessions.visitor, _hash(token), begun_since=at - LONGEST, seen_since=at - IDLE)
    if found is None:
        return None
    visitor, seen_at = found
    if at - seen_at > NOTED_EVERY:
        with suppress(Unavailable):  # a database that takes nothing at the moment can still be looked at
            await db.write(sessions.seen, visitor.session_id, at)
    return visitor


async def sessions_of(db: Database, visitor: Visitor) -> tuple[Session, ...]:
    """Where this person is signed in, the session used last first."""
    at = clock.now()
    return await db.read(sessions.of_user, visitor.user_id, begun_since=at - LONGEST, seen_since=at - IDLE)


async def sign_out(db: Database, visitor: Visitor, session_id: str | None = None) -> None:
    """Ends one session of this person; without an id, the present one."""
    await db.write(sessions.end, visitor.user_id, session_id or visitor.session_id)


async def sign_out_elsewhere(db: Database, visitor: Visitor) -> None:
    """Ends all sessions of this person but the present one."""
    await db.write(sessions.end_all, visitor.user_id, but=visitor.session_id)


async def switch(db: Database, visitor: Visitor, workspace_id: str) -> str:
    """Leads this session to another workspace of the same person; its name. NotFound."""
    name = dict(visitor.others).get(workspace_id)
    if name is None:
        raise NotFound("You belong to no such workspace. Load the page again, and choose one of the list.")
    await db.write(sessions.switch, visitor.session_id, workspace_id)
    return name


async def has_password(db: Database, visitor: Visitor) -> bool:
    """Whether this person can sign in with a password."""
    return await db.read(sessions.password_of, visitor.user_id) != NO_PASSWORD


async def change_password(db: Database, visitor: Visitor, present: str, new: str) -> str:
    """Another password, and the end of all other sessions; what the browser is to hold from now on for this one. Invalid on `present` or `new`; TooMany."""
    about = _about_account(visitor.email)
    if await db.write(sessions.guess, about, clock.now(), clock.now() - GUESSES_WITHIN) > GUESSES_OF_ACCOUNT:
        raise TooMany("The present password was wrong too many times. Wait a quarter of an hour, then try again.")
    if not await fits(present, await db.read(sessions.password_of, visitor.user_id)):
        raise Invalid(FieldError("present", "This is not your present password."))
    wrong = what_is_wrong_with_password(new)
    if wrong is not None:
        raise Invalid(FieldError("new", wrong))
    token = secrets.token_urlsafe(32)
    await db.write(_change_password, visitor, await hashed(new), about, token)
    return token


async def reset_password(db: Database, email: str, new: str) -> None:
    """Another password for somebody who has lost it, and the end of all sessions: for the operator. NotFound, Invalid."""
    wrong = what_is_wrong_with_password(new)
    if wrong is not None:
        raise Invalid(FieldError("password", wrong))
    await db.write(_reset_password, email.strip().lower(), await hashed(new))


async def end_sessions(db: Database, email: str | None) -> None:
    """Signs somebody out everywhere; without an address everybody: for the operator. NotFound."""
    await db.write(_end_sessions, None if email is None else email.strip().lower())


def prune(tx: Tx, limit: int) -> int:
    """Removes a batch of what has ended; how much."""
    at = clock.now()
    ended = sessions.prune(tx, begun_before=at - LONGEST, seen_before=at - IDLE, guessed_before=at - GUESSES_WITHIN, limit=limit)
    return ended + invitations.prune(tx, at - LONGEST, limit)


def _count(tx: Tx, account: bytes, address: bytes, at: Micros) -> tuple[int, int]:
    """Before the password is looked at, so that guesses that come at once count as well."""
    since = at - GUESSES_WITHIN
    return sessions.guess(tx, account, at, since), sessions.guess(tx, address, at, since)


def _begin(tx: Tx, token: str, email: str, workspace_id: str | None, *, address: str | None, agent: str | None) -> None:
    sessions.forget_guesses(tx, _about_account(email))
    user_id = _known(tx, email)
    there = [one for one, _ in members.workspaces_of(tx, user_id)]
    if not there:
        raise Invalid(FieldError("password", "You belong to no workspace any more. Ask an owner of one for an invitation."))
    chosen = workspace_id if workspace_id in there else sessions.latest_workspace(tx, user_id, there) or min(there)
    shown = None if agent is None else agent[:LONGEST_AGENT]
    sessions.begin(tx, _hash(token), user_id, chosen, clock.now(), address=address, agent=shown)


def _change_password(tx: Tx, visitor: Visitor, new_hash: str, about: bytes, token: str) -> None:
    sessions.set_password(tx, visitor.user_id, new_hash)
    sessions.end_all(tx, visitor.user_id, but=visitor.session_id)
    sessions.rename(tx, visitor.session_id, _hash(token))
    sessions.forget_guesses(tx, about)


def _reset_password(tx: Tx, email: str, new_hash: str) -> None:
    user_id = _known(tx, email)
    sessions.set_password(tx, user_id, new_hash)
    sessions.end_all(tx, user_id)
    sessions.forget_guesses(tx, _about_account(email))


def _end_sessions(tx: Tx, email: str | None) -> None:
    sessions.end_all(tx, None if email is None else _known(tx, email))


def _known(tx: Tx, email: str) -> str:
    found = members.person(tx, email)
    if found is None:
        raise NotFound("Nobody has this e-mail address here. `tidings members list` shows who is there.")
    return found[0]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _about_account(email: str) -> bytes:
    return _hash(f"account {email}")


def about_address(address: str | None) -> bytes:
    """What guesses from an address are counted under."""
    return _hash(f"address {address}")

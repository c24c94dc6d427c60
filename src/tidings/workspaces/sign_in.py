"""Signing in: a password becomes a session, guesses are few, and a session ends when it is not used, gets old, or is revoked.

What a browser is given is 256 random bits, of which only the SHA-256 is kept.
"""

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib import PasswordHash

from tidings import clock
from tidings.clock import Micros
from tidings.errors import FieldError, Invalid, TooMany
from tidings.model.workspaces import Session, Visitor
from tidings.store import sessions
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces.setup import LONGEST_EMAIL, LONGEST_PASSWORD, what_is_wrong_with_password

IDLE: Micros = 3 * clock.DAY  # a session that is not used for so long has ended
LONGEST: Micros = 30 * clock.DAY  # and so has one that began so long ago
NOTED_EVERY: Micros = 300 * clock.SECOND  # not every request has to write down that a session is used
GUESSES_WITHIN: Micros = 900 * clock.SECOND
GUESSES_OF_ACCOUNT = 10
GUESSES_FROM_ADDRESS = 50
LONGEST_AGENT = 300  # characters kept of what a browser says of itself

# Hashing takes 64 MB of memory and a core for a while, by intent: two at a time, whoever knocks.
_hashers = ThreadPoolExecutor(2, "passwords")


async def sign_in(db: Database, email: str, password: str, *, address: str | None, agent: str | None) -> str:
    """A new session; what the browser is to hold. Invalid where the two do not belong together, which takes as long for an address that nobody has;
    TooMany."""
    email, at = email.strip().lower()[: LONGEST_EMAIL + 1], clock.now()
    counted = await db.write(_count, _about_account(email), about_address(address), at)
    if counted[0] > GUESSES_OF_ACCOUNT or counted[1] > GUESSES_FROM_ADDRESS:
        raise TooMany("Too many attempts to sign in failed. Wait a quarter of an hour, then try again.")
    account = await db.read(sessions.account, email)
    nobodys = await asyncio.get_running_loop().run_in_executor(_hashers, _nobodys_hash)
    right = await _fits(password, nobodys if account is None else account.password_hash)
    if account is None or not right:
        raise Invalid(FieldError("password", "This e-mail address and this password do not belong together. Check both, then try again."))
    token = secrets.token_urlsafe(32)
    await db.write(_begin, token, account, email, address=address, agent=agent)
    return token


async def begin_for(db: Database, email: str, *, address: str | None, agent: str | None) -> str:
    """A session of somebody who has just been made a member, without asking for the password again; what the browser is to hold."""
    account = await db.read(sessions.account, email.strip().lower())
    assert account is not None
    token = secrets.token_urlsafe(32)
    await db.write(_begin, token, account, email.strip().lower(), address=address, agent=agent)
    return token


async def visitor_of(db: Database, token: str) -> Visitor | None:
    """Whose session this is; None where it is not known, has ended or was revoked."""
    at = clock.now()
    found = await db.read(sessions.visitor, _hash(token), begun_since=at - LONGEST, seen_since=at - IDLE)
    if found is None:
        return None
    visitor, seen_at = found
    if at - seen_at > NOTED_EVERY:
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


async def change_password(db: Database, visitor: Visitor, present: str, new: str) -> None:
    """Another password, and the end of all other sessions. Invalid on `present` or `new`; TooMany."""
    about = _about_account(visitor.email)
    if await db.write(sessions.guess, about, clock.now(), clock.now() - GUESSES_WITHIN) > GUESSES_OF_ACCOUNT:
        raise TooMany("The present password was wrong too many times. Wait a quarter of an hour, then try again.")
    if not await _fits(present, await db.read(sessions.password_of, visitor.user_id)):
        raise Invalid(FieldError("present", "This is not your present password."))
    wrong = what_is_wrong_with_password(new)
    if wrong is not None:
        raise Invalid(FieldError("new", wrong))
    new_hash = await asyncio.get_running_loop().run_in_executor(_hashers, PasswordHash.recommended().hash, new)
    await db.write(_change_password, visitor, new_hash, about)


def prune(tx: Tx, limit: int) -> int:
    """Removes a batch of what has ended; how much."""
    at = clock.now()
    return sessions.prune(tx, begun_before=at - LONGEST, seen_before=at - IDLE, guessed_before=at - GUESSES_WITHIN, limit=limit)


def _count(tx: Tx, account: bytes, address: bytes, at: Micros) -> tuple[int, int]:
    """Before the password is looked at, so that guesses that come at once count as well."""
    since = at - GUESSES_WITHIN
    return sessions.guess(tx, account, at, since), sessions.guess(tx, address, at, since)


def _begin(tx: Tx, token: str, account: sessions.Account, email: str, *, address: str | None, agent: str | None) -> None:
    sessions.forget_guesses(tx, _about_account(email))
    shown = None if agent is None else agent[:LONGEST_AGENT]
    sessions.begin(tx, _hash(token), account.user_id, account.workspace_id, clock.now(), address=address, agent=shown)


def _change_password(tx: Tx, visitor: Visitor, new_hash: str, about: bytes) -> None:
    sessions.set_password(tx, visitor.user_id, new_hash)
    sessions.end_all(tx, visitor.user_id, but=visitor.session_id)
    sessions.forget_guesses(tx, about)


async def _fits(password: str, password_hash: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        password = ""  # nobody has it, and it takes as long to find out
    return await asyncio.get_running_loop().run_in_executor(_hashers, PasswordHash.recommended().verify, password, password_hash)


@cache
def _nobodys_hash() -> str:
    """What the password of an unknown account is compared with, so that its answer takes as long as others."""
    return PasswordHash.recommended().hash(secrets.token_urlsafe(16))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _about_account(email: str) -> bytes:
    return _hash(f"account {email}")


def about_address(address: str | None) -> bytes:
    """What guesses from an address are counted under."""
    return _hash(f"address {address}")

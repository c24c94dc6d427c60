"""API keys: made, told by, revoked. Only the SHA-256 of a key is kept: it is 256 random bits, so there is nothing to guess from."""

import hashlib
import re
import secrets
from contextlib import suppress

from tidings import clock
from tidings.errors import FieldError, Forbidden, Invalid, NotFound, Unavailable
from tidings.model.activity import Activity
from tidings.model.ids import is_id
from tidings.model.names import cleaned_name
from tidings.model.workspaces import MEMBER_ROLES, ROLES, ApiKey, Caller, Role, Visitor
from tidings.store import activity, api_keys, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx

PREFIX = "tdk_"
SHOWN = 10  # characters of a key that are kept, so that people can tell it from others
NOTED_EVERY: clock.Micros = 300 * clock.SECOND  # not every request has to write down that a key is used
_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_key() -> str:
    """A new API key: `tdk_` and 32 random bytes in base64url."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> bytes:
    """What a key is found by."""
    return hashlib.sha256(key.encode()).digest()


def prefix_of(key: str) -> str:
    """The beginning of a key, by which people tell it from others."""
    return key[:SHOWN]


async def create(db: Database, workspace_id: str | None, name: str, role: Role = "owner") -> tuple[ApiKey, str]:
    """A new key of a workspace (of the only one, where none is named), and the key itself, which is never shown again. Invalid, NotFound."""
    if role not in ROLES:
        raise Invalid(FieldError("role", f"There is no role {role!r}. Roles are {', '.join(ROLES)}."))
    name = cleaned_name(name)
    key = new_key()
    return await db.write(_create, workspace_id, name, role, key), key


async def create_in_browser(db: Database, visitor: Visitor, name: str, role: str) -> tuple[ApiKey, str]:
    """The same for an owner of the workspace, who can make keys of owners and members, no operator's. Invalid."""
    if role not in MEMBER_ROLES:
        raise Invalid(FieldError("role", "Choose what the key may do."))
    name = cleaned_name(name)
    key = new_key()
    return await db.write(_create, visitor.workspace_id, name, role, key, visitor.email), key


async def revoke_in_browser(db: Database, visitor: Visitor, key_id: str) -> str:
    """Makes a key of the workspace worthless at once; its name. NotFound; Forbidden for an operator's."""
    return await db.write(_revoke_in_browser, visitor, key_id)


async def all_of_them(db: Database) -> tuple[ApiKey, ...]:
    """Every key, revoked ones too, the oldest first."""
    return await db.read(api_keys.all_of_them)


async def revoke(db: Database, key_id: str) -> None:
    """Makes a key worthless at once. NotFound."""
    if not is_id(key_id):
        raise NotFound("There is no API key with this id. `tidings keys list` shows them.")
    await db.write(api_keys.revoke, key_id.lower())


async def caller_of(db: Database, key: str) -> Caller | None:
    """Whose key this is; None where it is not known, or was revoked."""
    found = await db.read(api_keys.caller, hash_of(key)) if _KEY.fullmatch(key) else None
    if found is None:
        return None
    caller, used_at = found
    if (at := clock.now()) - used_at > NOTED_EVERY:
        with suppress(Unavailable):  # a database that takes nothing at the moment can still be read
            await db.write(api_keys.used, caller.key_id, at)
    return caller


def _create(tx: Tx, workspace_id: str | None, name: str, role: Role, key: str, by: str = "the command line") -> ApiKey:  # noqa: PLR0917
    workspace_id = workspaces.the_one(tx, workspace_id)
    key_id = api_keys.create(tx, workspace_id, name, role, hash_of(key), prefix=prefix_of(key))
    activity.add(tx, workspace_id, Activity(clock.now(), "key_created", f"The API key {name} ({role}) was made by {by}."))
    return api_keys.get(tx, workspace_id, key_id)


def _revoke_in_browser(tx: Tx, visitor: Visitor, key_id: str) -> str:
    key = api_keys.get(tx, visitor.workspace_id, key_id)
    if key.role not in MEMBER_ROLES:
        raise Forbidden("This is a key of whoever runs Tidings. `tidings keys revoke` on the server ends it.")
    if key.revoked_at is None:
        api_keys.revoke(tx, key_id)
        activity.add(tx, visitor.workspace_id, Activity(clock.now(), "key_revoked", f"The API key {key.name} was revoked by {visitor.email}."))
    return key.name

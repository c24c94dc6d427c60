"""API keys: made, told by, revoked. Only the SHA-256 of a key is kept: it is 256 random bits, so there is nothing to guess from."""

import hashlib
import re
import secrets

from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.ids import is_id
from tidings.model.names import cleaned_name
from tidings.model.workspaces import ROLES, ApiKey, Caller, Role
from tidings.store import api_keys, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx

PREFIX = "tdk_"
_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_key() -> str:
    """A new API key: `tdk_` and 32 random bytes in base64url."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> bytes:
    """What a key is found by."""
    return hashlib.sha256(key.encode()).digest()


async def create(db: Database, workspace_id: str | None, name: str, role: Role = "owner") -> tuple[ApiKey, str]:
    """A new key of a workspace (of the only one, where none is named), and the key itself, which is never shown again. Invalid, NotFound."""
    if role not in ROLES:
        raise Invalid(FieldError("role", f"There is no role {role!r}. Roles are {', '.join(ROLES)}."))
    name = cleaned_name(name)
    key = new_key()
    return await db.write(_create, workspace_id, name, role, hash_of(key)), key


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
    return await db.read(api_keys.caller, hash_of(key)) if _KEY.fullmatch(key) else None


def _create(tx: Tx, workspace_id: str | None, name: str, role: Role, key_hash: bytes) -> ApiKey:
    if workspace_id is None:
        there = workspaces.all_of_them(tx)
        if not there:
            raise NotFound("Tidings is not set up yet. Run `tidings setup` first.")
        if len(there) > 1:
            raise Invalid(FieldError("workspace", "There are several workspaces. Name the one the key is for."))
        workspace_id = there[0].id
    else:
        workspaces.get(tx, workspace_id)
    key_id = api_keys.create(tx, workspace_id, name, role, key_hash)
    return next(key for key in api_keys.all_of_them(tx) if key.id == key_id)

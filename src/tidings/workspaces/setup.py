"""The first owner and the first workspace, made once."""

import asyncio
import re
from dataclasses import dataclass

from pwdlib import PasswordHash

from tidings.errors import Conflict, FieldError, Invalid
from tidings.model.names import what_is_wrong
from tidings.settings import Settings
from tidings.store import api_keys, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces.keys import hash_of, new_key

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


async def setup(db: Database, settings: Settings, email: str, password: str, workspace_name: str = "My workspace") -> tuple[str, str]:
    """Makes the first workspace, its owner and an operator's API key: (workspace id, key). Invalid; Conflict when set up already."""
    _check(email, password, workspace_name)
    password_hash = await asyncio.to_thread(PasswordHash.recommended().hash, password)
    key = new_key()
    first = _First(settings.default_plan, workspace_name.strip(), email.strip().lower(), password_hash, hash_of(key))
    workspace_id = await db.write(_set_up, first)
    return workspace_id, key


async def setup_in_browser(db: Database, settings: Settings, email: str, password: str, workspace_name: str) -> str:
    """The same without an API key, for a person who goes on with a session; the workspace's id. Invalid; Conflict when set up already."""
    _check(email, password, workspace_name)
    password_hash = await asyncio.to_thread(PasswordHash.recommended().hash, password)
    return await db.write(_set_up, _First(settings.default_plan, workspace_name.strip(), email.strip().lower(), password_hash, None))


async def is_set_up(db: Database) -> bool:
    """Whether `setup` was done."""
    return await db.read(lambda tx: bool(workspaces.all_of_them(tx)))


def what_is_wrong_with_password(password: str) -> str | None:
    """The sentence that says why this can't be a password; None where it can."""
    if len(password) < SHORTEST_PASSWORD:
        return f"It is {len(password)} characters long. Take at least {SHORTEST_PASSWORD}."
    if len(password) > LONGEST_PASSWORD:
        return f"It is longer than {LONGEST_PASSWORD} characters. Take a shorter one."
    return None


def _check(email: str, password: str, workspace_name: str) -> None:
    problems = []
    if len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email.strip()):
        problems.append(FieldError("email", "This is not an e-mail address. Write it like ann@example.com."))
    weak = what_is_wrong_with_password(password)
    if weak is not None:
        problems.append(FieldError("password", weak))
    wrong = what_is_wrong(workspace_name)
    if wrong is not None:
        problems.append(FieldError("workspace", wrong))
    if problems:
        raise Invalid(*problems)


@dataclass(frozen=True, slots=True)
class _First:
    plan: str
    workspace: str
    email: str
    password_hash: str
    key_hash: bytes | None


def _set_up(tx: Tx, first: _First) -> str:
    if workspaces.any_exists(tx):
        raise Conflict("Tidings is set up already. `tidings keys create` makes another API key.")
    workspace_id = workspaces.create(tx, first.workspace, first.plan)
    workspaces.add_member(tx, workspace_id, first.email, first.password_hash, "owner")
    if first.key_hash is not None:
        api_keys.create(tx, workspace_id, "setup", "operator", first.key_hash)
    return workspace_id

"""The first owner and the first workspace, made once."""

import re
from dataclasses import dataclass

from tidings.errors import Conflict, FieldError, Invalid
from tidings.model.names import what_is_wrong
from tidings.settings import Settings
from tidings.store import api_keys, members, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces.keys import hash_of, new_key, prefix_of
from tidings.workspaces.passwords import hashed, what_is_wrong_with_password

LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


async def setup(db: Database, settings: Settings, email: str, password: str, workspace_name: str = "My workspace") -> tuple[str, str]:
    """Makes the first workspace, its owner and an operator's API key: (workspace id, key). Invalid; Conflict when set up already."""
    _check(email, password, workspace_name)
    key = new_key()
    first = _First(settings.default_plan, workspace_name.strip(), email.strip().lower(), await hashed(password), key)
    workspace_id = await db.write(_set_up, first)
    return workspace_id, key


async def setup_in_browser(db: Database, settings: Settings, email: str, password: str, workspace_name: str) -> str:
    """The same without an API key, for a person who goes on with a session; the workspace's id. Invalid; Conflict when set up already."""
    _check(email, password, workspace_name)
    return await db.write(_set_up, _First(settings.default_plan, workspace_name.strip(), email.strip().lower(), await hashed(password), None))


async def is_set_up(db: Database) -> bool:
    """Whether `setup` was done."""
    return await db.read(lambda tx: bool(workspaces.all_of_them(tx)))


def what_is_wrong_with_email(email: str) -> str | None:
    """The sentence that says why this can't be an e-mail address; None where it can."""
    if len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email.strip()):
        return "This is not an e-mail address. Write it like ann@example.com."
    if not email.strip().isprintable():  # as they come with what is pasted: nobody could ever type it again to sign in
        return "It holds a character that can't be seen. Type it anew, rather than pasting it."
    return None


def _check(email: str, password: str, workspace_name: str) -> None:
    found = {"email": what_is_wrong_with_email(email), "password": what_is_wrong_with_password(password), "workspace": what_is_wrong(workspace_name)}
    problems = [FieldError(field, wrong) for field, wrong in found.items() if wrong is not None]
    if problems:
        raise Invalid(*problems)


@dataclass(frozen=True, slots=True)
class _First:
    plan: str
    workspace: str
    email: str
    password_hash: str
    key: str | None


def _set_up(tx: Tx, first: _First) -> str:
    if workspaces.any_exists(tx):
        raise Conflict("Tidings is set up already. `tidings keys create` makes another API key.")
    workspace_id = workspaces.create(tx, first.workspace, first.plan)
    members.join(tx, workspace_id, members.add_person(tx, first.email, first.password_hash), "owner")
    if first.key is not None:
        api_keys.create(tx, workspace_id, "setup", "operator", hash_of(first.key), prefix=prefix_of(first.key))
    return workspace_id

"""API keys, by the SHA-256 of each."""

from sqlalchemy import BigInteger, LargeBinary, Text, bindparam, insert, select, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import NotFound
from tidings.model.ids import new_id
from tidings.model.pages import Page
from tidings.model.workspaces import ApiKey, Caller, Role
from tidings.store.cursors import id_in
from tidings.store.tables import api_keys
from tidings.store.transactions import AnyRow, Hot, Tx

_FIND = Hot(
    select(api_keys.c.workspace_id, api_keys.c.id, api_keys.c.role, api_keys.c.last_used_at).where(
        api_keys.c.hash == bindparam("hash", type_=LargeBinary), api_keys.c.revoked_at.is_(None)
    )
)
_INSERT = Hot(
    insert(api_keys).values(
        id=bindparam("id", type_=Text),
        workspace_id=bindparam("workspace", type_=Text),
        name=bindparam("name", type_=Text),
        role=bindparam("role", type_=Text),
        hash=bindparam("hash", type_=LargeBinary),
        created_at=bindparam("at", type_=BigInteger),
        prefix=bindparam("prefix", type_=Text),
    )
)


def caller(tx: Tx, key_hash: bytes) -> tuple[Caller, Micros] | None:
    """Whose key this is, and when it was last used (0 for never); None where it is not known, or was revoked."""
    found = tx.hot(_FIND, hash=key_hash)
    return (Caller(found[0][0], found[0][1], found[0][2]), found[0][3] or 0) if found else None


def used(tx: Tx, key_id: str, at: Micros) -> None:
    """Notes that a key was used."""
    tx.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=at))


def create(tx: Tx, workspace_id: str, name: str, role: Role, key_hash: bytes, *, prefix: str) -> str:
    """Keeps a new key; its id."""
    key_id = new_id()
    tx.hot(_INSERT, id=key_id, workspace=workspace_id, name=name, role=role, hash=key_hash, at=clock.now(), prefix=prefix)
    return key_id


def get(tx: Tx, workspace_id: str, key_id: str) -> ApiKey:
    """One key of a workspace. NotFound."""
    found = tx.execute(select(api_keys).where(api_keys.c.id == key_id, api_keys.c.workspace_id == workspace_id)).one_or_none()
    if found is None:
        raise NotFound("This workspace has no such API key.")
    return _api_key(found)


def page(tx: Tx, workspace_id: str, *, limit: int, cursor: str | None) -> Page[ApiKey]:
    """The keys of a workspace, revoked ones too, the newest first."""
    query = select(api_keys).where(api_keys.c.workspace_id == workspace_id).order_by(api_keys.c.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(api_keys.c.id < id_in(cursor))
    found = tx.execute(query).all()
    return Page(tuple(_api_key(row) for row in found[:limit]), found[limit - 1].id if len(found) > limit else None)


def all_of_them(tx: Tx) -> tuple[ApiKey, ...]:
    """Every key of every workspace, revoked ones too, the oldest first: for the operator's commands."""
    return tuple(_api_key(row) for row in tx.execute(select(api_keys).order_by(api_keys.c.id)))


def revoke(tx: Tx, key_id: str) -> None:
    """Makes a key worthless from now on; one that is so already stays so. NotFound."""
    revoked = tx.execute(update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=clock.now()))
    if revoked.rowcount == 0 and tx.execute(select(api_keys.c.id).where(api_keys.c.id == key_id)).one_or_none() is None:
        raise NotFound("There is no API key with this id. `tidings keys list` shows them.")


def _api_key(row: AnyRow) -> ApiKey:
    return ApiKey(row.id, row.workspace_id, row.name, row.role, row.created_at, row.revoked_at, row.prefix, row.last_used_at)

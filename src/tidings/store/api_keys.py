"""API keys, by the SHA-256 of each."""

from sqlalchemy import BigInteger, LargeBinary, Text, bindparam, insert, select, update

from tidings import clock
from tidings.errors import NotFound
from tidings.model.ids import new_id
from tidings.model.workspaces import ApiKey, Caller, Role
from tidings.store.tables import api_keys
from tidings.store.transactions import AnyRow, Hot, Tx

_FIND = Hot(
    select(api_keys.c.workspace_id, api_keys.c.id, api_keys.c.role).where(
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
    )
)


def caller(tx: Tx, key_hash: bytes) -> Caller | None:
    """Whose key this is; None where it is not known, or was revoked."""
    found = tx.hot(_FIND, hash=key_hash)
    return Caller(found[0][0], found[0][1], found[0][2]) if found else None


def create(tx: Tx, workspace_id: str, name: str, role: Role, key_hash: bytes) -> str:
    """Keeps a new key; its id."""
    key_id = new_id()
    tx.hot(_INSERT, id=key_id, workspace=workspace_id, name=name, role=role, hash=key_hash, at=clock.now())
    return key_id


def all_of_them(tx: Tx) -> tuple[ApiKey, ...]:
    """Every key of every workspace, revoked ones too, the oldest first: for the operator's commands."""
    return tuple(_api_key(row) for row in tx.execute(select(api_keys).order_by(api_keys.c.id)))


def revoke(tx: Tx, key_id: str) -> None:
    """Makes a key worthless from now on; one that is so already stays so. NotFound."""
    revoked = tx.execute(update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=clock.now()))
    if revoked.rowcount == 0 and tx.execute(select(api_keys.c.id).where(api_keys.c.id == key_id)).one_or_none() is None:
        raise NotFound("There is no API key with this id. `tidings keys list` shows them.")


def _api_key(row: AnyRow) -> ApiKey:
    return ApiKey(row.id, row.workspace_id, row.name, row.role, row.created_at, row.revoked_at)

"""What the secret key can't open, and what is put in its place once the key that could is lost for good."""

from dataclasses import dataclass

from tidings import clock
from tidings.connectors.registry import connector
from tidings.errors import Invalid, TidingsError
from tidings.model.credentials import unopenable
from tidings.secretbox import SecretBox
from tidings.store import sealed, webhook_keys
from tidings.store import webhooks as store
from tidings.store.database import Database
from tidings.store.sealed import SealedHook, SealedSource
from tidings.store.transactions import Tx
from tidings.webhooks.keys import new_key
from tidings.webhooks.signing import new_signing_secret
from tidings.webhooks.trigger_secret import new_trigger_secret

HELD = "The secret of this webhook was lost with the secret key; this is kept until the webhook has one that its receiver knows, and is enabled."


@dataclass(frozen=True, slots=True)
class Lost:
    """One thing that has to be entered anew: a hook or a data source, and what of it."""

    kind: str  # sync_trigger, sync_success, sync_failure, data_source
    id: str
    bot: str
    name: str
    what: tuple[str, ...]


async def find(db: Database, box: SecretBox) -> tuple[Lost, ...]:
    """Everything that the key can't open."""
    return await db.read(_go_through, box)


async def replace(db: Database, box: SecretBox) -> tuple[Lost, ...]:
    """The same, and puts new secrets in the place of those of hooks. Outgoing hooks are disabled until somebody has told the receiver; what they are owed is
    held. Credentials of data sources can't be made up: they stay, and syncs say that they are lacking."""
    return await db.write(_replace, box)


def _go_through(tx: Tx, box: SecretBox) -> tuple[Lost, ...]:
    hooks = (Lost(hook.type, hook.id, hook.bot, "", _lost_of(box, hook)) for hook in sealed.hooks(tx))
    sources = (Lost("data_source", source.id, source.bot, source.name, _credentials(box, source)) for source in sealed.sources(tx))
    return tuple(one for one in (*hooks, *sources) if one.what)


def _replace(tx: Tx, box: SecretBox) -> tuple[Lost, ...]:
    lost = _go_through(tx, box)
    for hook in sealed.hooks(tx):
        _replace_of(tx, box, hook, _lost_of(box, hook))
    if lost:
        sealed.forget_answers(tx)
    return lost


def _lost_of(box: SecretBox, hook: SealedHook) -> tuple[str, ...]:
    there = {
        "secret": hook.secret is None or _opens(box, hook.secret, "webhook_secrets", hook.id, "sealed"),
        "headers": hook.headers is None or _opens(box, hook.headers, "webhooks", hook.id, "headers"),
        "Ed25519 key": hook.key is None or _opens(box, hook.key[1], "webhook_keys", hook.key[0], "sealed"),
    }
    return tuple(what for what, opens in there.items() if not opens)


def _replace_of(tx: Tx, box: SecretBox, hook: SealedHook, lost: tuple[str, ...]) -> None:
    for mac, former in hook.former:
        if not _opens(box, former, "webhook_secrets", hook.id, "sealed"):
            sealed.forget_former(tx, hook.id, mac)
    if "secret" in lost:
        secret = new_trigger_secret() if hook.type == "sync_trigger" else new_signing_secret()
        store.put_secret(tx, hook.id, box.lookup_mac(hook.id, secret), box.seal(secret, "webhook_secrets", hook.id, "sealed"), same=(), overlap=0)
    if "headers" in lost:
        store.change(tx, hook.id, headers=None)
    if "Ed25519 key" in lost:
        webhook_keys.retire(tx, [hook.id])
        webhook_keys.add(tx, hook.id, new_key(box))
    if lost and hook.type != "sync_trigger":
        store.disable(tx, hook.id, "user", HELD)
        store.change(tx, hook.id, failing_since=None, secret_since=clock.now())


def _credentials(box: SecretBox, source: SealedSource) -> tuple[str, ...]:
    try:
        fields = connector(source.type).secret_fields
    except Invalid:  # its package is not here
        return ()
    return unopenable(box, source.id, source.config, fields)


def _opens(box: SecretBox, text: str, table: str, row_id: str, column: str) -> bool:
    try:
        box.open(text, table, row_id, column)
    except TidingsError:
        return False
    return True

"""What is posted to an inbox: checked against the secrets of the hooks that target it, and kept without what may be secret."""

import secrets
from collections.abc import Iterable, Sequence

from tidings.clock import Micros
from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.ids import is_id, new_id
from tidings.model.inboxes import Inbox, Message
from tidings.model.names import cleaned_name
from tidings.secretbox import SecretBox
from tidings.settings import MASK
from tidings.store import inboxes, syncs, webhooks
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.store.webhooks import StoredHook
from tidings.webhooks.signing import parse_signing_secret, verify

ANSWERS = (200, 400, 410, 429, 500, 503)
LARGEST_MESSAGE = 64 * 1024  # bytes of a body
HEADER_BYTES = 8 * 1024  # of all names and values that are kept
HOOKS = 50  # that are looked at for one message
NO_HOOK = "No webhook of this workspace sends to this inbox, so there is no secret to check the signature with."

# Headers that say nothing secret; of others the names are kept.
_PLAIN = frozenset({"connection", "date", "host", "traceparent", "transfer-encoding", "user-agent", "x-request-id"})
_PLAIN_PREFIXES = ("accept", "content-", "tidings-", "webhook-")


async def create(db: Database, workspace_id: str, name: str, *, bot_id: str | None = None, guided: bool = False) -> Inbox:
    """A new inbox, with a URL that nobody can guess; with `bot_id` it goes when the bot does. Invalid, Conflict."""
    return await db.write(inboxes.create, workspace_id, cleaned_name(name), secrets.token_urlsafe(32), bot_id=bot_id, guided=guided)


async def change(db: Database, workspace_id: str, inbox_id: str, name: str, answer: str) -> None:
    """Gives an inbox another name, and has it answer with this status. Invalid, NotFound."""
    if answer not in map(str, ANSWERS):
        raise Invalid(FieldError("answer", f"An inbox answers {', '.join(map(str, ANSWERS))}. Choose one of them."))
    await db.write(inboxes.change, workspace_id, inbox_id, name=cleaned_name(name), answer=int(answer))


def receive_in(tx: Tx, box: SecretBox, inbox: Inbox, raw_headers: Iterable[tuple[bytes, bytes]], body: bytes, at: Micros) -> int:  # noqa: PLR0917
    """Keeps what was posted; the status to answer with. NotFound where the inbox was deleted meanwhile."""
    inbox = inboxes.get(tx, inbox.workspace_id, inbox.id, lock=True)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1").replace("\0", "") for name, value in raw_headers}
    hooks = webhooks.ending_in(tx, inbox.workspace_id, inbox.path, HOOKS)
    signer, problem = signed_by(box, hooks, headers, body, at)
    sync_id = headers.get("tidings-sync-id", "") if signer is not None else ""
    ended = _ended(tx, inbox.workspace_id, sync_id)
    inboxes.keep(
        tx,
        Message(
            id=new_id(),
            inbox_id=inbox.id,
            at=at,
            headers=kept_headers(headers.items()),
            webhook_id=signer,
            problem=problem,
            sync_id=None if ended is None else sync_id,
            after_sync=None if ended is None else max(0, at - ended),
            answered=inbox.answer,
            body=body,
        ),
    )
    return inbox.answer


def signed_by(box: SecretBox, hooks: Sequence[StoredHook], headers: dict[str, str], body: bytes, at: Micros) -> tuple[str | None, str | None]:
    """(id of the hook whose secret signed this, None), or (None, the sentence why none did)."""
    problem = NO_HOOK
    for hook in hooks:
        keys = [parse_signing_secret(box.open(one.sealed, "webhook_secrets", hook.id, "sealed")) for one in hook.secrets]
        wrong = verify(keys, headers, body, at)
        if wrong is None:
            return hook.id, None
        problem = wrong
    return None, problem


def kept_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers as they are kept: what may be a secret is masked, what is too much left out."""
    kept: dict[str, str] = {}
    room = HEADER_BYTES
    for name, value in headers:
        shown = value if name in _PLAIN or name.startswith(_PLAIN_PREFIXES) else MASK
        room -= len(name) + len(shown)
        if room < 0:
            break
        kept[name] = shown
    return kept


def _ended(tx: Tx, workspace_id: str, sync_id: str) -> Micros | None:
    if not is_id(sync_id):
        return None
    try:
        return syncs.get(tx, workspace_id, sync_id).finished_at
    except NotFound:
        return None

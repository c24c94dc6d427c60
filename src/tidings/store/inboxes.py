"""Inboxes and their messages: few of them, each with a bound."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import Conflict, NotFound
from tidings.model.ids import new_id
from tidings.model.inboxes import Inbox, InboxView, Message
from tidings.model.pages import Page
from tidings.store.cursors import id_in
from tidings.store.tables import inbox_messages, inboxes, workspaces
from tidings.store.transactions import AnyRow, Tx

MOST = 20  # inboxes of a workspace
KEPT = 100  # messages of an inbox

_IN_LISTS = [column for column in inbox_messages.c if column.name != "body"]


def create(tx: Tx, workspace_id: str, name: str, secret: str, *, bot_id: str | None = None, guided: bool = False) -> Inbox:
    """A new inbox of a workspace. Conflict where it has as many as it may have."""
    tx.execute(select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update(key_share=True))
    there = tx.execute(select(func.count()).select_from(inboxes).where(inboxes.c.workspace_id == workspace_id)).scalar_one()
    if there >= MOST:
        raise Conflict(f"This workspace has {MOST} inboxes, which is the most. Delete one that nobody needs any more.")
    made = Inbox(new_id(), workspace_id, bot_id, name, secret, 200, guided, clock.now())
    tx.execute(insert(inboxes).values({column.name: getattr(made, column.name) for column in inboxes.c}))
    tx.wake("inbox")
    return made


def find(tx: Tx, secret: str) -> Inbox | None:
    """The inbox at a URL that ends so."""
    found = tx.execute(select(inboxes).where(inboxes.c.secret == secret)).one_or_none()
    return None if found is None else _inbox(found)


def get(tx: Tx, workspace_id: str, inbox_id: str, *, lock: bool = False) -> Inbox:
    """One inbox of a workspace; with `lock`, nobody deletes it before the end of the transaction. NotFound."""
    query = select(inboxes).where(inboxes.c.id == inbox_id, inboxes.c.workspace_id == workspace_id)
    found = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise NotFound("There is no such inbox. It may have been deleted.")
    return _inbox(found)


def all_of(tx: Tx, workspace_id: str) -> tuple[InboxView, ...]:
    """The inboxes of a workspace, the oldest first."""
    counted = select(inbox_messages.c.inbox_id, func.count().label("messages"), func.max(inbox_messages.c.at).label("latest_at"))
    of_each = counted.where(inbox_messages.c.inbox_id.in_(_ids(workspace_id))).group_by(inbox_messages.c.inbox_id).subquery()
    query = select(inboxes, func.coalesce(of_each.c.messages, 0).label("messages"), of_each.c.latest_at)
    found = tx.execute(query.outerjoin(of_each, of_each.c.inbox_id == inboxes.c.id).where(inboxes.c.workspace_id == workspace_id).order_by(inboxes.c.id))
    return tuple(InboxView(_inbox(row), row.messages, row.latest_at) for row in found)


def change(tx: Tx, workspace_id: str, inbox_id: str, /, **values: Any) -> None:
    """Changes an inbox; `values` by the names of the columns. NotFound."""
    get(tx, workspace_id, inbox_id, lock=True)
    tx.execute(update(inboxes).where(inboxes.c.id == inbox_id).values(**values))
    tx.wake("inbox")


def empty(tx: Tx, workspace_id: str, inbox_id: str) -> None:
    """Deletes all messages of an inbox. NotFound."""
    get(tx, workspace_id, inbox_id, lock=True)
    tx.execute(delete(inbox_messages).where(inbox_messages.c.inbox_id == inbox_id))
    tx.wake("inbox")


def remove(tx: Tx, workspace_id: str, inbox_id: str) -> None:
    """Deletes an inbox with its messages. NotFound."""
    get(tx, workspace_id, inbox_id, lock=True)
    _remove(tx, [inbox_id])


def remove_of_bot(tx: Tx, bot_id: str) -> None:
    """Deletes the inboxes that go with a bot."""
    _remove(tx, tx.execute(select(inboxes.c.id).where(inboxes.c.bot_id == bot_id).order_by(inboxes.c.id).with_for_update()).scalars().all())


def keep(tx: Tx, message: Message) -> None:
    """Keeps a message of an inbox that is locked; its newest KEPT stay."""
    tx.execute(insert(inbox_messages).values({column.name: getattr(message, column.name) for column in inbox_messages.c}))
    of_inbox = inbox_messages.c.inbox_id == message.inbox_id
    pushed_out = select(inbox_messages.c.id).where(of_inbox).order_by(inbox_messages.c.id.desc()).offset(KEPT).limit(1)
    tx.execute(delete(inbox_messages).where(of_inbox, inbox_messages.c.id <= pushed_out.scalar_subquery()))
    tx.wake("inbox")


def messages(tx: Tx, workspace_id: str, inbox_id: str | None, *, limit: int, cursor: str | None) -> Page[Message]:
    """What was posted to an inbox, or to all of a workspace, newest first, without bodies."""
    chosen = inbox_messages.c.inbox_id.in_(_ids(workspace_id))
    query = select(*_IN_LISTS).where(chosen if inbox_id is None else chosen & (inbox_messages.c.inbox_id == inbox_id))
    if cursor is not None:
        query = query.where(inbox_messages.c.id < id_in(cursor))
    found = tx.execute(query.order_by(inbox_messages.c.id.desc()).limit(limit + 1)).all()
    return Page(tuple(_message(row) for row in found[:limit]), found[limit - 1].id if len(found) > limit else None)


def message(tx: Tx, workspace_id: str, inbox_id: str, message_id: str) -> Message:
    """One message with its body. NotFound."""
    get(tx, workspace_id, inbox_id)
    found = tx.execute(select(inbox_messages).where(inbox_messages.c.id == message_id, inbox_messages.c.inbox_id == inbox_id)).one_or_none()
    if found is None:
        raise NotFound(f"There is no such message. An inbox keeps its newest {KEPT}.")
    return _message(found, bytes(found.body))


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets messages that came before an instant; how many, at most `limit`."""
    old = select(inbox_messages.c.id).where(inbox_messages.c.at < before).limit(limit)
    return tx.execute(delete(inbox_messages).where(inbox_messages.c.id.in_(old))).rowcount


def _ids(workspace_id: str) -> Select[Any]:
    return select(inboxes.c.id).where(inboxes.c.workspace_id == workspace_id)


def _remove(tx: Tx, inbox_ids: Sequence[str]) -> None:
    gone: ColumnElement[bool] = inbox_messages.c.inbox_id.in_(inbox_ids)
    tx.execute(delete(inbox_messages).where(gone))
    tx.execute(delete(inboxes).where(inboxes.c.id.in_(inbox_ids)))
    tx.wake("inbox")


def _inbox(row: AnyRow) -> Inbox:
    return Inbox(row.id, row.workspace_id, row.bot_id, row.name, row.secret, row.answer, bool(row.guided), row.created_at)


def _message(row: AnyRow, body: bytes | None = None) -> Message:
    return Message(row.id, row.inbox_id, row.at, row.headers, row.webhook_id, row.problem, row.sync_id, row.after_sync, row.answered, body)

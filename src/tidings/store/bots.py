"""Bots. One that was deleted is a tombstone until the sweep has removed what hangs on it."""

from sqlalchemy import func, insert, select, update

from tidings import clock
from tidings.errors import NotFound
from tidings.model.activity import Activity, ActivityKind
from tidings.model.bots import Bot
from tidings.model.ids import new_id
from tidings.model.pages import Page
from tidings.store import activity, webhook_keys
from tidings.store.cursors import id_in
from tidings.store.tables import bots, data_sources, webhooks
from tidings.store.transactions import AnyRow, Tx


def create(tx: Tx, workspace_id: str, name: str) -> Bot:
    """A new bot of a workspace."""
    bot = Bot(new_id(), workspace_id, name, clock.now())
    tx.execute(insert(bots).values(id=bot.id, workspace_id=workspace_id, name=name, created_at=bot.created_at))
    _tell(tx, bot, "bot_created", f"The bot {name} was made.")
    return bot


def get(tx: Tx, workspace_id: str, bot_id: str, *, lock: bool = False) -> Bot:
    """One bot of a workspace; with `lock`, nobody deletes it before the end of the transaction. NotFound."""
    query = select(bots).where(bots.c.id == bot_id, bots.c.workspace_id == workspace_id, bots.c.deleted_at.is_(None))
    found = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise NotFound("There is no bot with this id. `GET /api/v1/bots` lists them.")
    return _bot(found)


def page(tx: Tx, workspace_id: str, *, limit: int, cursor: str | None, like: str = "") -> Page[Bot]:
    """The bots of a workspace, those whose names hold a text, the oldest first."""
    query = select(bots).where(bots.c.workspace_id == workspace_id, bots.c.deleted_at.is_(None)).order_by(bots.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(bots.c.id > id_in(cursor))
    if like:
        query = query.where(func.lower(bots.c.name).contains(like.lower(), autoescape=True))
    found = tx.execute(query).all()
    return Page(tuple(_bot(row) for row in found[:limit]), found[limit - 1].id if len(found) > limit else None)


def called(tx: Tx, workspace_id: str, name: str, *, limit: int) -> tuple[Bot, ...]:
    """The bots of a workspace that have this name."""
    query = select(bots).where(bots.c.workspace_id == workspace_id, bots.c.deleted_at.is_(None), bots.c.name == name)
    return tuple(_bot(row) for row in tx.execute(query.order_by(bots.c.id).limit(limit)))


def rename(tx: Tx, workspace_id: str, bot_id: str, name: str) -> Bot:
    """Gives a bot another name. NotFound."""
    bot = get(tx, workspace_id, bot_id, lock=True)
    tx.execute(update(bots).where(bots.c.id == bot_id).values(name=name))
    _tell(tx, bot, "bot_renamed", f"The bot {bot.name} was renamed to {name}.")
    return Bot(bot.id, bot.workspace_id, name, bot.created_at)


def delete(tx: Tx, workspace_id: str, bot_id: str) -> tuple[str, ...]:
    """Puts tombstones on a bot, its data sources and its hooks; the ids of the data sources. NotFound."""
    bot = get(tx, workspace_id, bot_id, lock=True)
    _tell(tx, bot, "bot_deleted", f"The bot {bot.name} was deleted with its data sources and webhooks.")
    now = clock.now()
    living = select(data_sources.c.id).where(data_sources.c.bot_id == bot_id, data_sources.c.deleted_at.is_(None)).order_by(data_sources.c.id)
    ids = tuple(tx.execute(living.with_for_update()).scalars())
    tx.execute(update(bots).where(bots.c.id == bot_id).values(deleted_at=now))
    tx.execute(update(data_sources).where(data_sources.c.id.in_(ids)).values(deleted_at=now))
    hooks = select(webhooks.c.id).where(webhooks.c.bot_id == bot_id, webhooks.c.deleted_at.is_(None)).order_by(webhooks.c.id)
    hook_ids = tx.execute(hooks.with_for_update()).scalars().all()
    tx.execute(update(webhooks).where(webhooks.c.id.in_(hook_ids)).values(deleted_at=now))
    webhook_keys.retire(tx, hook_ids)
    return ids


def _tell(tx: Tx, bot: Bot, kind: ActivityKind, sentence: str) -> None:
    activity.add(tx, bot.workspace_id, Activity(clock.now(), kind, sentence, bot_id=bot.id))


def _bot(row: AnyRow) -> Bot:
    return Bot(row.id, row.workspace_id, row.name, row.created_at)

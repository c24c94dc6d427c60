"""The example bot of the first visit: a real data source, real webhooks and a real inbox. Nothing about it is special but its texts, which lie here."""

from collections.abc import AsyncIterator
from importlib.resources import files as resources
from importlib.resources.abc import Traversable

from tidings.bots import bots, data_sources, files
from tidings.bots.data_sources import NewDataSource
from tidings.errors import TidingsError
from tidings.model.inboxes import Inbox
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import bots as stored
from tidings.store.database import Database
from tidings.webhooks import hooks, inboxes
from tidings.webhooks.hooks import HookInput


async def make(db: Database, settings: Settings, box: SecretBox, outbound: Outbound, base_url: str, workspace_id: str) -> Inbox:  # noqa: PLR0917
    """Makes the bot and starts its first sync; the inbox that is told how it went. What can't be made whole is not left behind. TidingsError."""
    bot = await db.write(stored.create, workspace_id, "Example bot")
    try:
        inbox = await inboxes.create(db, workspace_id, "Example inbox", bot_id=bot.id, guided=True)
        for kind in ("sync_success", "sync_failure"):
            await hooks.create(db, box, outbound, workspace_id, bot.id, HookInput(kind, target_url=f"{base_url}{inbox.path}"))
        new = NewDataSource("About Tidings", files.TYPE, {}, sync_now=False)
        source = (await data_sources.create(db, settings, box, outbound, workspace_id=workspace_id, bot_id=bot.id, new=new)).data_source
        texts = sorted(resources(__name__).joinpath("texts").iterdir(), key=lambda text: text.name)
        sent = [(text.name, _content(text)) for text in texts if text.name.endswith(".md")]
        await files.keep(db, settings, workspace_id, source.id, sent, by="created")
    except TidingsError:
        await bots.delete(db, settings, workspace_id, bot.id)
        raise
    return inbox


async def _content(text: Traversable) -> AsyncIterator[bytes]:
    yield text.read_bytes()

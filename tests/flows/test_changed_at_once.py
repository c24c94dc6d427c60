"""Two people change one data source at the same moment, on both databases."""

import asyncio
import secrets

from tests.flows.scheduled import changed
from tests.flows.webhook_house import House
from tidings.bots.data_sources import NewDataSource, create
from tidings.connectors import registry
from tidings.model import credentials
from tidings.settings import MASK
from tidings.store import data_sources


async def test_a_new_credential_outlives_a_change_that_leaves_it_masked(house: House) -> None:
    former, latter = secrets.token_hex(8), secrets.token_hex(8)
    place = {"workspace_id": house.workspace_id, "bot_id": house.bot_id}
    new = NewDataSource("Notes", "notion", {"token": former}, sync_now=False)
    source = (await create(house.db, house.settings, house.box, house.outbound, **place, new=new)).data_source
    for name in ("A", "B", "C"):
        await asyncio.gather(
            changed(house, source, config={"token": latter}), changed(house, source, name=name, config={"token": MASK, "pages": [secrets.token_hex(16)]})
        )
        kept = await house.db.read(data_sources.get, house.workspace_id, source.id)
        assert credentials.opened(house.box, source.id, kept.config, registry.connector("notion").secret_fields)["token"] == latter
        assert kept.name == name
        latter = secrets.token_hex(8)

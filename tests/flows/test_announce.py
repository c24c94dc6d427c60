"""The end of a sync becomes events and deliveries: bodies, headers, sequences, on both databases."""

import asyncio
import json
import random
import secrets
from typing import Any
from urllib.parse import unquote

import pytest

from tests.flows.webhook_house import House, Travel
from tidings import clock
from tidings.errors import Conflict, Gone, NotFound
from tidings.model.ids import new_id
from tidings.store import events
from tidings.store.syncs import results_json
from tidings.webhooks import deliveries
from tidings.webhooks.announce import OTHER_SOURCE
from tidings.webhooks.payloads import REFS_BYTES, refs_headers
from tidings.webhooks.retention import prune


async def test_a_success_is_told_exactly_so(house: House) -> None:
    hook = await house.hook(target_url="http://127.0.0.1:49/")
    sync = await house.end_sync(refs=("a b", "ü,1"))
    delivery = await house.only_delivery(hook)
    assert sync.results is not None
    results = json.dumps(results_json(sync.results))
    names = f'"bot": "{house.bot_name}", "dataSource": "{house.source.name}"'
    assert delivery.body == f'{{"success": true, "results": {results}, {names}}}'
    assert (delivery.state, delivery.sequence, delivery.event, delivery.sync_id) == ("pending", 1, "sync.success", sync.id)
    assert delivery.headers["Tidings-Event"] == "sync.success"
    assert delivery.headers["Tidings-Sync-Id"] == sync.id
    assert delivery.headers["Tidings-Refs"] == "a%20b, %C3%BC%2C1"
    assert "Tidings-Rows-Failed" not in delivery.headers


async def test_a_failure_is_told_exactly_so_and_to_failure_hooks_only(house: House) -> None:
    await house.hook("sync_success", target_url="http://127.0.0.1:49/")
    hook = await house.hook("sync_failure", target_url="http://127.0.0.1:49/")
    reason = 'Over plan storage token limit, please upgrade plan "ü" \u2028 \x00'
    await house.end_sync(state="failed", code="over_plan_limit", reason=reason.replace("\x00", ""), failed=7)
    delivery = await house.only_delivery()
    assert delivery.webhook_id == hook.id
    assert list(json.loads(delivery.body or "").items()) == [
        ("success", False),
        ("reason", reason.replace("\x00", "")),
        ("bot", house.bot_name),
        ("dataSource", house.source.name),
    ]
    assert delivery.headers["Tidings-Event"] == "sync.failure"
    assert delivery.headers["Tidings-Rows-Failed"] == "7"


async def test_the_standard_envelope(house: House) -> None:
    await house.hook(target_url="http://127.0.0.1:49/", envelope="standard")
    await house.hook("sync_failure", target_url="http://127.0.0.1:49/", envelope="standard")
    counts: dict[str, Any] = {name: random.randrange(1000) for name in ("added", "changed", "removed", "failed")}
    ref = secrets.token_hex(4)
    good = await house.end_sync(refs=(ref,), **counts)
    bad = await house.end_sync(state="failed", code="removal_guard")
    told = [json.loads(one.body or "") for one in await house.deliveries()]
    assert [list(one) for one in told] == [["type", "timestamp", "data"]] * 2
    assert [one["type"] for one in told] == ["sync.success", "sync.failure"]
    names = {"bot": house.bot_name, "dataSource": house.source.name}
    for one, sync in zip(told, (good, bad), strict=True):
        clock.parse_rfc3339(one["timestamp"])
        about = {"botId": house.bot_id, "dataSourceId": house.source.id, "syncId": sync.id, "refs": list(sync.refs)}
        assert names.items() <= one["data"].items()
        assert about.items() <= one["data"].items()
        assert sync.started_at is not None
        assert sync.finished_at is not None
        assert one["data"]["startedAt"] == clock.rfc3339(sync.started_at)
        assert one["data"]["finishedAt"] == clock.rfc3339(sync.finished_at)
    assert {f"{name}Rows": count for name, count in counts.items()}.items() <= told[0]["data"].items()
    assert good.results is not None
    assert told[0]["data"]["results"] == results_json(good.results)
    assert (told[1]["data"]["success"], told[1]["data"]["code"], told[1]["data"]["reason"]) == (False, "removal_guard", bad.reason)


async def test_who_is_told(house: House) -> None:
    other = await house.add_source()
    every = await house.hook(target_url="http://127.0.0.1:49/")
    one = await house.hook(target_url="http://127.0.0.1:49/", data_source_id=house.source.id)
    passed_over = await house.hook(target_url="http://127.0.0.1:49/", data_source_id=other.id)
    await house.hook("sync_failure", target_url="http://127.0.0.1:49/")
    disabled = await house.hook(target_url="http://127.0.0.1:49/")
    await house.change(disabled, enabled=False)
    await house.end_sync()
    await house.end_sync(state="cancelled")
    found = {delivery.webhook_id: delivery.state for delivery in await house.deliveries()}
    assert found == {every.id: "pending", one.id: "pending", disabled.id: "held", passed_over.id: "discarded"}
    assert len((await house.db.read(events.page, house.workspace_id, after=None, limit=10)).items) == 1


async def test_a_hook_that_listens_to_another_source_has_a_row_that_says_so(house: House) -> None:
    other = await house.add_source()
    hook = await house.hook(target_url="http://127.0.0.1:49/", data_source_id=other.id)
    sync = await house.end_sync()
    row = await house.only_delivery(hook)
    assert (row.state, row.sync_id, row.sequence, row.body, row.attempts) == ("discarded", sync.id, None, None, ())
    assert row.reason == OTHER_SOURCE
    with pytest.raises(Conflict, match="never owed"):
        await deliveries.redeliver(house.db, house.workspace_id, row.id)
    assert await deliveries.recover(house.db, house.workspace_id, hook.id, row.created_at) == 0
    await house.end_sync(source=other)
    feed = await house.db.read(events.hook_page, house.workspace_id, hook.id, after=0, limit=9)
    assert [event.seq for event in feed.items] == [1]
    while await house.db.write(prune, clock.now() + clock.DAY):
        pass
    assert [one.sequence for one in await house.deliveries(hook)] == [1]


async def test_sequences_have_no_gaps_and_the_order_of_events(house: House) -> None:
    sources = [house.source, *[await house.add_source() for _ in range(7)]]
    hooks = [await house.hook(target_url="http://127.0.0.1:49/") for _ in range(3)]
    single = await house.hook(target_url="http://127.0.0.1:49/", data_source_id=sources[3].id)
    for _ in range(3):
        await asyncio.gather(*(house.end_sync(source=source) for source in sources))
    feed = (await house.db.read(events.page, house.workspace_id, after=0, limit=100)).items
    assert [event.seq for event in feed] == list(range(1, 25))
    for hook in hooks:
        own = (await house.db.read(events.hook_page, house.workspace_id, hook.id, after=0, limit=100)).items
        assert [event.seq for event in own] == list(range(1, 25))
        assert [event.id for event in own] == [event.id for event in feed]
        sent = sorted((one.sequence, one.event_id) for one in await house.deliveries(hook))
        assert sent == [(event.seq, event.id) for event in own]
    own = (await house.db.read(events.hook_page, house.workspace_id, single.id, after=0, limit=100)).items
    assert [event.seq for event in own] == [1, 2, 3]


async def test_the_feed_in_pages_and_behind_what_was_pruned(house: House) -> None:
    travel = Travel()
    hook = await house.hook(target_url="http://127.0.0.1:49/")
    await house.change(hook, enabled=False)
    for _ in range(3):
        await house.end_sync()
    travel.forward(100 * 86_400)
    for _ in range(4):
        await house.end_sync()
    first = await house.db.read(events.page, house.workspace_id, after=None, limit=2)
    assert ([event.seq for event in first.items], first.next_cursor) == ([1, 2], "2")
    last = await house.db.read(events.page, house.workspace_id, after=2, limit=5)
    assert ([event.seq for event in last.items], last.next_cursor) == ([3, 4, 5, 6, 7], None)
    before = clock.now() - 90 * clock.DAY
    while await house.db.write(prune, before):
        pass
    for page in (
        lambda tx, after: events.page(tx, house.workspace_id, after=after, limit=9),
        lambda tx, after: events.hook_page(tx, house.workspace_id, hook.id, after=after, limit=9),
    ):
        assert [event.seq for event in (await house.db.read(page, None)).items] == [4, 5, 6, 7]
        assert [event.seq for event in (await house.db.read(page, 3)).items] == [4, 5, 6, 7]
        assert (await house.db.read(page, 7)).items == ()
        with pytest.raises(Gone):
            await house.db.read(page, 1)
    assert [one.body is None for one in await house.deliveries(hook)] == [False] * 7  # held: still owed
    with pytest.raises(NotFound):
        await house.db.read(events.hook_page, house.workspace_id, new_id(), after=None, limit=9)


def test_refs_are_bounded() -> None:
    assert refs_headers(()) == {}
    many = [secrets.token_hex(4) for _ in range(60)]
    assert refs_headers(many) == {"Tidings-Refs": ", ".join(many[:50]), "Tidings-Refs-Omitted": "10"}
    long = ["ü" * 200] * 5
    headers = refs_headers(long)
    shown = headers["Tidings-Refs"].split(", ")
    assert len(headers["Tidings-Refs"]) <= REFS_BYTES
    assert [unquote(one) for one in shown] == long[: len(shown)]
    assert int(headers["Tidings-Refs-Omitted"]) == 5 - len(shown) > 0

"""Calls of trigger hooks whose mapping finds rows in the body."""

import asyncio
import json
import secrets
from typing import Any

from tests.flows.trigger_web import SUCCESS, Web
from tests.flows.webhook_house import House
from tidings.model.syncs import Sync
from tidings.model.targets import Targets
from tidings.model.webhooks import RowMapping
from tidings.store import leases, syncs, trigger_log
from tidings.web.call_bodies import LARGEST_BODY, ROOM
from tidings.webhooks.mapping import NO_JSON, NO_ROOM

MAPPING = RowMapping(("$.entry.path",), ("$.entries[*].url",))


def told(key: str | None = None) -> tuple[bytes, ...]:
    """The pieces of a body that names a row, or of one that names none."""
    body = json.dumps({"other": 1} if key is None else {"entry": {"path": key}}).encode()
    return body[:5], body[5:]


async def queued(house: House) -> Sync:
    (sync,) = (await house.db.read(syncs.page, house.source.id, state="queued", limit=10, cursor=None)).items
    return sync


async def sentences(house: House, web: Web, hook_id: str) -> list[str | None]:
    """What was written down of the calls, oldest first."""
    await web.urls.aclose()
    page = await house.db.read(trigger_log.page, hook_id, limit=50, cursor=None)
    return [call.mapped for call in reversed(page.items)]


async def test_calls_name_rows_and_add_up_until_one_means_them_all(house: House) -> None:
    hook, web = await house.trigger_hook(mapping=MAPPING), Web(house)
    first = await web(hook.trigger_path, "POST", pieces=told("a.md"), query="ref=one")
    assert (first.status, first.body, first.sync[1]) == (200, SUCCESS, "queued")
    assert (await queued(house)).targets == Targets(("a.md",))
    body = json.dumps({"entries": [{"url": "https://a.example/b"}, {"url": "https://a.example/c"}]}).encode()
    second = await web(hook.trigger_path, "POST", pieces=(body,), query="ref=two")
    assert second.sync == (first.sync[0], "merged")
    sync = await queued(house)
    assert (sync.targets, sync.refs) == (Targets(("a.md",), ("https://a.example/b", "https://a.example/c")), ("one", "two"))
    assert (await web(hook.trigger_path, "POST", pieces=told())).sync == (first.sync[0], "merged")
    assert (await queued(house)).targets is None
    assert (await web(hook.trigger_path, "POST", pieces=told("d.md"))).sync == (first.sync[0], "merged")
    assert (await queued(house)).targets is None
    assert await sentences(house, web, hook.id) == [
        "1 row: a.md.",
        "2 rows: https://a.example/b, https://a.example/c.",
        "The whole source: the mapping finds nothing in the body.",
        "1 row: d.md.",
    ]


async def test_what_has_no_body_to_map_means_the_whole_source(house: House) -> None:
    hook, web = await house.trigger_hook(mapping=MAPPING), Web(house)
    plain = await house.trigger_hook()
    ways: list[tuple[str, str, tuple[bytes, ...]]] = [
        (hook.trigger_path, "POST", (b"",)),
        (hook.trigger_path, "GET", told("b.md")),
        (hook.trigger_path, "POST", (b"payload=%7B%7D",)),
        (plain.trigger_path, "POST", told("b.md")),
    ]
    for path, method, pieces in ways:
        assert (await web(hook.trigger_path, "POST", pieces=told("a.md"))).status == 200
        assert (await queued(house)).targets == Targets(("a.md",))
        assert (await web(path, method, pieces=pieces)).sync[1] == "merged"
        assert (await queued(house)).targets is None
        await house.db.write(syncs.cancel, house.workspace_id, (await queued(house)).id)
    assert (await sentences(house, web, hook.id))[1::2][:3] == [None, None, NO_JSON]
    assert await sentences(house, web, plain.id) == [None]


async def test_a_mapping_can_be_taken_away(house: House) -> None:
    hook, web = await house.trigger_hook(mapping=MAPPING), Web(house)
    assert (await house.look(hook)).mapping == MAPPING
    hook = await house.change(hook, mapping=None)
    assert hook.mapping is None
    await web(hook.trigger_path, "POST", pieces=told("a.md"))
    assert (await queued(house)).targets is None
    await house.change(hook, mapping=MAPPING)
    await house.db.write(leases.claim, "somebody", 10**9)
    await web(hook.trigger_path, "POST", pieces=told("a.md"))
    assert (await queued(house)).targets == Targets(("a.md",))


async def test_refusals_come_first_and_a_mapped_call_counts_once(house: House) -> None:
    hook, web = await house.trigger_hook(mapping=MAPPING), Web(house, rate=2)
    large = (b'{"entry": {"path": "', b"a" * LARGEST_BODY, b'"}}')
    assert (await web(hook.trigger_path, "POST", pieces=large)).is_refusal(413)
    assert (await web(hook.trigger_path[:-1] + "_", "POST", pieces=told("a.md"))).is_refusal(404)
    assert await house.queued() == []
    statuses = [(await web(hook.trigger_path, "POST", pieces=told(f"{n}.md"))).status for n in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert (await queued(house)).targets == Targets(("0.md", "1.md"))
    disabled = await house.change(hook, enabled=False)
    assert (await web(disabled.trigger_path, "POST", pieces=told("a.md"))).is_refusal(403)


async def test_bodies_of_all_calls_together_have_a_bound(house: House) -> None:
    hook, web = await house.trigger_hook(mapping=MAPPING), Web(house)
    full = json.dumps({"entry": {"path": "a.md"}, "filler": "x" * (LARGEST_BODY - 100)}).encode()
    release = asyncio.Event()
    waiting = 0

    async def hold() -> None:
        """A stranger who sends nearly all of a body, and no end."""
        nonlocal waiting
        sent: list[Any] = []
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/api/public/hooks/x/" + secrets.token_hex(16), "query_string": b"", "client": None}
        pieces = [full]

        async def receive() -> dict[str, Any]:
            nonlocal waiting
            if pieces:
                return {"type": "http.request", "body": pieces.pop(), "more_body": True}
            waiting += 1
            await release.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await web.urls({**scope, "raw_path": scope["path"].encode(), "headers": [(b"transfer-encoding", b"chunked")]}, receive, send)

    strangers = [asyncio.create_task(hold()) for _ in range(2 * ROOM // LARGEST_BODY)]
    async with asyncio.timeout(60):
        while waiting < len(strangers):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    assert (await web(hook.trigger_path, "POST", pieces=(full,))).status == 200
    assert (await queued(house)).targets is None
    release.set()
    await asyncio.gather(*strangers)
    await house.db.write(syncs.cancel, house.workspace_id, (await queued(house)).id)
    assert (await web(hook.trigger_path, "POST", pieces=(full,))).status == 200
    assert (await queued(house)).targets == Targets(("a.md",))
    assert await sentences(house, web, hook.id) == [NO_ROOM.sentence, "1 row: a.md."]

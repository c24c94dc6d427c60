"""Mappings of trigger hooks over the API."""

import json
from typing import Any

from tests.web.world import World, a_bot, a_folder, fields_of

BODY = {"entry": {"path": "docs/a.md"}, "entries": [{"url": "https://a.example/b"}, {"url": "https://a.example/c"}]}


async def a_trigger(world: World, **more: Any) -> dict[str, Any]:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id, syncNow=False)
    return await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"], **more})


async def test_a_mapping_is_set_shown_used_and_taken_away(world: World) -> None:
    assert (await a_trigger(world))["mapping"] is None
    hook = await a_trigger(world, mapping={"keys": "$.entry.path", "urls": ["$.entries[*].url"]})
    assert hook["mapping"] == {"keys": ["$.entry.path"], "urls": ["$.entries[*].url"]}
    assert (await world.member("GET", f"/webhooks/{hook['id']}", 200)).json()["mapping"] == hook["mapping"]
    call = await world.nobody("POST", hook["url"].removeprefix("http://tidings.example"), 200, json=BODY)
    sync = (await world.member("GET", f"/syncs/{call.headers['tidings-sync-id']}", 200)).json()
    assert sync["targets"] == {"keys": ["docs/a.md"], "urls": ["https://a.example/b", "https://a.example/c"], "total": 3}
    renamed = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"postOnly": True})).json()
    assert renamed["mapping"] == hook["mapping"]
    changed = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"mapping": {"urls": "$.entry.url"}})).json()
    assert changed["mapping"] == {"keys": [], "urls": ["$.entry.url"]}
    assert (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"mapping": None})).json()["mapping"] is None


async def test_what_is_no_mapping_is_refused_by_its_place(world: World) -> None:
    hook = await a_trigger(world)
    at = f"/webhooks/{hook['id']}"
    assert fields_of(await world.owner("PATCH", at, 422, json={"mapping": {}})) == ["mapping"]
    assert fields_of(await world.owner("PATCH", at, 422, json={"mapping": {"keys": ["$.a", "entry"]}})) == ["mapping.keys.1"]
    odd: Any
    for odd in ("$.a", [], {"keys": 1}, {"keys": ["$.a"] * 11}, {"key": "$.a"}):
        await world.owner("PATCH", at, 422, json={"mapping": odd})
    outgoing = {"type": "sync_success", "targetUrl": "https://8.8.8.8/", "mapping": {"keys": "$.a"}}
    assert fields_of(await world.owner("POST", f"/bots/{hook['botId']}/webhooks", 422, json=outgoing)) == ["mapping"]


async def test_a_mapping_can_be_tried(world: World) -> None:
    hook = await a_trigger(world, mapping={"keys": "$.entry.path"})
    at = f"/webhooks/{hook['id']}/mapping/try"
    tried = (await world.owner("POST", at, 200, json={"body": json.dumps(BODY)})).json()
    assert tried == {"targets": {"keys": ["docs/a.md"], "urls": [], "total": 1}, "sentence": "1 row: docs/a.md."}
    tried = (await world.owner("POST", at, 200, json={"body": json.dumps(BODY), "mapping": {"urls": "$.entries[*].url"}})).json()
    assert tried["targets"]["urls"] == ["https://a.example/b", "https://a.example/c"]
    assert (await world.owner("POST", at, 200, json={"body": "no JSON"})).json() == {
        "targets": None,
        "sentence": "The whole source: the body is not JSON.",
    }
    assert fields_of(await world.owner("POST", at, 422, json={"body": "{}", "mapping": {"keys": "a"}})) == ["mapping.keys.0"]
    without = await a_trigger(world)
    assert fields_of(await world.owner("POST", f"/webhooks/{without['id']}/mapping/try", 422, json={"body": "{}"})) == ["mapping"]
    await world.stranger("POST", at, 404, json={"body": "{}"})
    assert (await world.owner("GET", f"/data-sources/{hook['dataSourceId']}/syncs", 200)).json()["items"] == []


async def test_a_sync_of_some_rows_can_be_asked_for(world: World) -> None:
    hook = await a_trigger(world)
    at = f"/data-sources/{hook['dataSourceId']}/sync"
    sync_id = (await world.owner("POST", at, 202, json={"keys": ["a.md", "a.md"]})).json()["syncId"]
    assert (await world.owner("POST", at, 202, json={"urls": ["https://a.example/"]})).json() == {"syncId": sync_id, "state": "merged"}
    many = {"keys": [f"{n}.md" for n in range(200)]}
    await world.owner("POST", at, 202, json=many)
    targets = (await world.owner("GET", f"/syncs/{sync_id}", 200)).json()["targets"]
    assert (len(targets["keys"]), targets["urls"], targets["total"]) == (50, ["https://a.example/"], 202)
    await world.owner("POST", at, 202, json={})
    assert (await world.owner("GET", f"/syncs/{sync_id}", 200)).json()["targets"] is None
    await world.owner("POST", at, 422, json={"keys": ["a"] * 501})

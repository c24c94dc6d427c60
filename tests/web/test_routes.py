"""Every route once, as the contract has it."""

import secrets

from sqlalchemy import update

from tests.web.world import World, a_bot, a_folder, fields_of
from tidings.store import tables


async def test_workspace(world: World) -> None:
    found = (await world.member("GET", "/workspace", 200)).json()
    assert list(found) == ["id", "name", "plan", "usage"]
    assert found["id"] == world.owner.workspace_id
    assert found["plan"] == {"name": "unlimited", "storageTokensPerMonth": None}
    assert found["usage"]["storageTokens"] == 0
    name = secrets.token_hex(4)
    assert (await world.owner("PATCH", "/workspace", 200, json={"name": f" {name} "})).json()["name"] == name
    assert (await world.owner("PATCH", "/workspace", 200, json={})).json()["name"] == name


async def test_connectors(world: World) -> None:
    found = (await world.member("GET", "/connectors", 200)).json()
    kinds = {each["type"]: each for each in found["items"]}
    assert {"folder", "files"} <= set(kinds)
    assert "path" in kinds["folder"]["config"]["properties"]
    assert found["nextCursor"] is None


async def test_bots(world: World) -> None:
    name = secrets.token_hex(4)
    bot = await world.owner.made("/bots", {"name": name})
    assert list(bot) == ["id", "name", "createdAt"]
    assert bot["createdAt"].endswith("Z")
    assert (await world.member("GET", f"/bots/{bot['id'].upper()}", 200)).json() == bot
    assert bot in (await world.member("GET", "/bots", 200)).json()["items"]
    other = (await world.owner("PATCH", f"/bots/{bot['id']}", 200, json={"name": "Other"})).json()
    assert other == {**bot, "name": "Other"}
    assert (await world.owner("PATCH", f"/bots/{bot['id']}", 200, json={})).json() == other
    assert (await world.owner("DELETE", f"/bots/{bot['id']}", 204)).content == b""
    await world.owner("GET", f"/bots/{bot['id']}", 404)
    assert bot["id"] not in [each["id"] for each in (await world.owner("GET", "/bots", 200)).json()["items"]]


async def test_data_sources(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id)
    path = f"/data-sources/{source['id']}"
    expected = ["id", "botId", "name", "type", "config", "schedule", "paused", "state", "lastSync", "rows", "documents", "storageTokens", "createdAt"]
    assert list(source) == [*expected, "nextSyncAt", "freshUntil", "stale"]
    shown = {key: source[key] for key in ("botId", "type", "schedule", "paused", "state", "lastSync")}
    assert shown == {"botId": bot_id, "type": "folder", "schedule": None, "paused": False, "state": "new", "lastSync": None}
    assert source["config"] == {"path": str(world.services.settings.local_roots[0])}
    queued = (await world.member("GET", f"{path}/syncs", 200)).json()["items"]
    assert [(sync["state"], sync["triggeredBy"]) for sync in queued] == [("queued", "created")]
    ended = await world.ended_sync(source["id"], "failed", code="source_unreachable", reason="It is not there.")
    found = (await world.member("GET", path, 200)).json()
    assert (found["state"], found["lastSync"]["id"], found["lastSync"]["reason"]) == ("failing", ended, "It is not there.")
    await world.with_row(source["id"], "some text")
    found = (await world.member("GET", path, 200)).json()
    assert (found["rows"], found["documents"], found["storageTokens"]) == (1, 1, 3)
    assert (await world.member("GET", f"/bots/{bot_id}/data-sources", 200)).json() == {"items": [found], "nextCursor": None}
    await world.owner("DELETE", path, 204)
    await world.owner("GET", path, 404)


async def test_a_data_source_without_first_sync(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False, schedule=None)
    assert (await world.member("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"] == []


async def test_changing_a_data_source(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path = f"/data-sources/{source['id']}"
    assert (await world.owner("PATCH", path, 200, json={"name": "N", "schedule": None})).json() == {**source, "name": "N"}
    same = (await world.owner("PATCH", path, 200, json={"config": source["config"]})).json()
    assert same["config"] == source["config"]
    assert (await world.owner("GET", f"{path}/syncs", 200)).json()["items"] == []
    config = {**source["config"], "include": ["*.md"]}
    assert (await world.owner("PATCH", path, 200, json={"config": config})).json()["config"] == config
    syncs = (await world.owner("GET", f"{path}/syncs", 200)).json()["items"]
    assert [(sync["state"], sync["triggeredBy"]) for sync in syncs] == [("queued", "manual")]
    for wrong, field in [({"config": {}}, "config.path"), ({"config": {"path": "/etc"}}, "config.path"), ({"schedule": {"every": "1s"}}, "schedule.every")]:
        assert fields_of(await world.owner("PATCH", path, 422, json=wrong)) == [field]
    assert (await world.owner("GET", path, 200)).json()["config"] == config


async def test_pausing(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path = f"/data-sources/{source['id']}"
    assert (await world.owner("PATCH", path, 200, json={"paused": True})).json()["state"] == "paused"
    refused = await world.member("POST", f"{path}/sync", 409)
    assert "paused" in refused.json()["detail"]
    await world.owner("PATCH", path, 200, json={"config": {**source["config"], "include": ["*.txt"]}})
    assert (await world.owner("GET", f"{path}/syncs", 200)).json()["items"] == []
    assert (await world.owner("PATCH", path, 200, json={"paused": False})).json()["state"] == "new"
    await world.member("POST", f"{path}/sync", 202)


async def test_syncs(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path = f"/data-sources/{source['id']}"
    first = (await world.member("POST", f"{path}/sync", 202, json={"refs": ["a"], "force": True})).json()
    second = (await world.member("POST", f"{path}/sync", 202, json={"refs": ["b", "a"]})).json()
    assert (first["state"], second["state"], first["syncId"]) == ("queued", "merged", second["syncId"])
    sync = (await world.member("GET", f"/syncs/{first['syncId']}", 200)).json()
    assert (sync["refs"], sync["state"], sync["triggeredBy"], sync["botId"]) == (["a", "b"], "queued", "api", source["botId"])
    assert set(sync["progress"]) == {"phase", "rowsSeen", "rowsDone", "rowsFailed", "rowsTotal"}
    assert (await world.member("GET", f"/syncs/{first['syncId']}?wait=0.05", 200)).json() == sync
    assert (await world.member("GET", f"/syncs/{first['syncId']}/changes?kind=added", 200)).json() == {"items": [], "nextCursor": None}
    cancelled = (await world.owner("POST", f"/syncs/{first['syncId']}/cancel", 202)).json()
    assert cancelled["state"] == "cancelled"
    await world.owner("POST", f"/syncs/{first['syncId']}/cancel", 409)
    assert [each["id"] for each in (await world.member("GET", f"{path}/syncs?state=cancelled", 200)).json()["items"]] == [first["syncId"]]
    assert (await world.member("GET", f"{path}/syncs?state=failed", 200)).json()["items"] == []
    assert (await world.member("POST", f"{path}/sync", 202)).json()["state"] == "queued"


async def test_changes(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner))
    (sync,) = (await world.member("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"]
    row_id = await world.with_row(source["id"], "One line.\nAnother.")
    n = await world.with_change(sync["id"], row_id)
    path = f"/syncs/{sync['id']}/changes"
    known = {"n": n, "rowId": row_id, "key": f"{row_id}.md", "title": None, "kind": "added", "tokens": 3, "hashBefore": None, "hashAfter": "c", "reason": None}
    assert (await world.member("GET", path, 200)).json()["items"] == [{**known, "quarantined": False}]
    assert (await world.member("GET", f"{path}/{n}/diff", 200)).json() == {"diff": "--- before\n+++ after\n@@ -0,0 +1,2 @@\n+One line.\n+Another."}
    await world.stranger("GET", f"{path}/{n}/diff", 404)
    await world.member("GET", f"{path}/{n + 1}/diff", 404)
    for wrong in ("x", "-1", "1.5", "9" * 30):
        assert fields_of(await world.member("GET", f"{path}/{wrong}/diff", 422)) == ["n"]


async def test_dry_runs(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path = f"/data-sources/{source['id']}"
    dry = (await world.member("POST", f"{path}/sync", 202, json={"dryRun": True})).json()
    assert (await world.member("GET", f"/syncs/{dry['syncId']}", 200)).json()["dryRun"] is True
    await world.ended_sync(source["id"])
    assert [each["dryRun"] for each in (await world.member("GET", f"{path}/syncs", 200)).json()["items"]] == [True]
    assert (await world.member("GET", path, 200)).json() == source  # no lastSync, and as new as it was
    second = (await world.member("POST", f"{path}/sync", 202, json={"dryRun": True})).json()
    assert (await world.member("POST", f"{path}/sync", 202)).json() == {"syncId": second["syncId"], "state": "merged"}
    assert (await world.member("GET", f"/syncs/{second['syncId']}", 200)).json()["dryRun"] is False


async def test_rows_and_search(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id, syncNow=False)
    word = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(12))
    row_id = await world.with_row(source["id"], f"The word is {word}.")
    failed_id = await world.with_row(source["id"], "something else", error="It is locked.")
    rows = (await world.member("GET", f"/data-sources/{source['id']}/rows", 200)).json()["items"]
    assert [row["id"] for row in rows] == [row_id, failed_id]
    assert list(rows[0]) == ["id", "key", "title", "url", "tokens", "documents", "updatedAt", "error", "quarantined"]
    failed = (await world.member("GET", f"/data-sources/{source['id']}/rows?state=failed", 200)).json()["items"]
    assert [(row["id"], row["error"]) for row in failed] == [(failed_id, "It is locked.")]
    named = (await world.member("GET", f"/data-sources/{source['id']}/rows", 200, params={"q": row_id})).json()["items"]
    assert [row["id"] for row in named] == [row_id]
    row = (await world.member("GET", f"/rows/{row_id}", 200)).json()
    assert row == {**rows[0], "text": f"The word is {word}."}
    hits = (await world.member("GET", f"/bots/{bot_id}/search", 200, params={"q": f"{word} AND ("})).json()["items"]
    assert [(hit["rowId"], hit["dataSource"]) for hit in hits] == [(row_id, source["name"])]
    assert set(hits[0]) == {"rowId", "documentId", "title", "url", "text", "score", "dataSource"}
    for odd in ("", "\0", '"', "* OR", "-" * 5000, "word " * 2000, "x" * 5000, "NEAR(", "a:b", "'", "ø" * 3000):
        await world.member("GET", f"/bots/{bot_id}/search", 200, params={"q": odd})
    await world.member("GET", f"/bots/{bot_id}/search", 200)


async def test_files(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await world.owner.made(f"/bots/{bot_id}/data-sources", {"name": "F", "type": "files", "syncNow": False})
    path = f"/data-sources/{source['id']}/files"
    sent = [("files", ("b ü.md", b"# B")), ("files", ("a.txt", b"text"))]
    made = (await world.owner("POST", path, 201, files=sent)).json()
    assert [(each["name"], each["size"]) for each in made["items"]] == [("b ü.md", 4 - 1), ("a.txt", 4)]
    assert [each["state"] for each in (await world.owner("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"]] == ["queued"]
    assert [each["name"] for each in (await world.member("GET", path, 200)).json()["items"]] == ["a.txt", "b ü.md"]
    first = (await world.member("GET", f"{path}?limit=1", 200)).json()
    rest = (await world.member("GET", path, 200, params={"limit": 1, "cursor": first["nextCursor"]})).json()
    assert ([each["name"] for each in first["items"] + rest["items"]], rest["nextCursor"]) == (["a.txt", "b ü.md"], None)
    await world.owner("DELETE", f"{path}/a.txt", 204)
    await world.owner("DELETE", f"{path}/a.txt", 404)
    await world.owner("DELETE", f"/data-sources/{source['id']}", 204)
    assert not (world.services.settings.home / "uploads" / source["id"]).exists()


async def test_uploads_to_another_type_are_refused(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner))
    assert "files" in (await world.owner("POST", f"/data-sources/{source['id']}/files", 409, files={"f": ("a", b"")})).json()["detail"]


async def test_deleting_a_bot_takes_all_along(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
    (sync,) = (await world.owner("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"]
    await world.owner("DELETE", f"/bots/{bot_id}", 204)
    for path in (f"/data-sources/{source['id']}", f"/webhooks/{hook['id']}", f"/bots/{bot_id}/webhooks"):
        await world.owner("GET", path, 404)
    assert (await world.owner("GET", f"/syncs/{sync['id']}", 200)).json()["state"] == "cancelled"
    url = hook["url"].removeprefix("http://tidings.example")
    assert (await world.nobody("GET", url)).status_code == 404


async def test_deleting_a_data_source_leaves_its_trigger(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
    url = hook["url"].removeprefix("http://tidings.example")
    assert (await world.nobody("GET", url)).json() == {"success": True}
    await world.owner("DELETE", f"/data-sources/{source['id']}", 204)
    assert (await world.nobody("GET", url)).status_code == 410
    assert (await world.owner("GET", f"/webhooks/{hook['id']}", 200)).json()["dataSourceId"] == source["id"]


async def test_a_row_that_is_held_back_is_approved(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner))
    row_id = await world.with_row(source["id"], "some text")
    await world.member("POST", f"/rows/{row_id}/approve", 403)
    refused = await world.owner("POST", f"/rows/{row_id}/approve", 409)
    assert "nothing to approve" in refused.json()["detail"]
    await world.services.db.write(lambda tx: tx.execute(update(tables.rows).where(tables.rows.c.id == row_id).values(quarantined="hash", error="It shrank.")))
    assert (await world.member("GET", f"/rows/{row_id}", 200)).json()["quarantined"] is True
    await world.stranger("POST", f"/rows/{row_id}/approve", 404)
    answer = (await world.owner("POST", f"/rows/{row_id}/approve", 202)).json()
    assert list(answer) == ["syncId", "state"]
    await world.owner("PATCH", f"/data-sources/{source['id']}", 200, json={"paused": True})
    await world.owner("POST", f"/rows/{row_id}/approve", 409)

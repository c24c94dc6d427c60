"""Snapshots over the API: listed, compared, gone back to."""

from tests.web.world import World, a_bot, a_folder, fields_of
from tidings.model.ids import new_id
from tidings.store import leases, sweep

LEASE = 30_000_000


async def test_the_history_of_a_data_source(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path = f"/data-sources/{source['id']}"
    assert (await world.member("GET", f"{path}/snapshots", 200)).json() == {"items": [], "nextCursor": None}
    assert (await world.member("GET", f"{path}/snapshots/compare", 200)).json()["items"] == []
    await world.member("GET", f"{path}/snapshots/compare?to=1", 404)
    await world.owner("POST", f"{path}/rollback", 404, json={"snapshot": 1})
    row_ids = [await world.with_row(source["id"], f"text {n}") for n in range(3)]
    found = (await world.member("GET", f"{path}/snapshots", 200)).json()["items"]
    assert [(one["number"], one["rows"], one["tokens"], one["current"]) for one in found] == [(3, 3, 9, True), (2, 2, 6, False), (1, 1, 3, False)]
    assert set(found[0]) == {"number", "syncId", "publishedAt", "rows", "documents", "tokens", "current"}
    first = (await world.member("GET", f"{path}/snapshots?limit=2", 200)).json()
    rest = (await world.member("GET", f"{path}/snapshots?cursor={first['nextCursor']}", 200)).json()
    assert first["items"] + rest["items"] == found

    compared = (await world.member("GET", f"{path}/snapshots/compare?from=1&to=3", 200)).json()["items"]
    assert [(one["rowId"], one["kind"]) for one in compared] == [(row_ids[1], "added"), (row_ids[2], "added")]
    assert compared[0] == {"rowId": row_ids[1], "key": f"{row_ids[1]}.md", "title": f"Title {row_ids[1]}", "kind": "added", "tokens": 3}
    backwards = (await world.member("GET", f"{path}/snapshots/compare?from=3&to=1&kind=removed&limit=1", 200)).json()
    assert [(one["rowId"], one["kind"]) for one in backwards["items"]] == [(row_ids[1], "removed")]
    rest = (await world.member("GET", f"{path}/snapshots/compare?from=3&to=1&kind=removed&cursor={backwards['nextCursor']}", 200)).json()
    assert [one["rowId"] for one in rest["items"]] == [row_ids[2]]
    assert (await world.member("GET", f"{path}/snapshots/compare?from=1&to=3&kind=changed", 200)).json()["items"] == []
    assert "latest is 3" in (await world.member("GET", f"{path}/snapshots/compare?from=1&to=4", 404)).json()["detail"]
    assert fields_of(await world.member("GET", f"{path}/snapshots/compare?from=0&to=3", 422)) == ["from"]
    latest = (await world.member("GET", f"{path}/snapshots/compare", 200)).json()["items"]
    assert [(one["rowId"], one["kind"]) for one in latest] == [(row_ids[2], "added")]
    assert (await world.member("GET", f"{path}/snapshots/compare?to=1", 200)).json()["items"] == []


async def test_a_rollback_is_seen_and_told(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path = f"/data-sources/{source['id']}"
    row_ids = [await world.with_row(source["id"], f"word{n}") for n in range(3)]
    await world.member("POST", f"{path}/rollback", 403, json={"snapshot": 1})
    await world.stranger("POST", f"{path}/rollback", 404, json={"snapshot": 1})
    back = (await world.owner("POST", f"{path}/rollback", 200, json={"snapshot": 1})).json()
    assert (back["rows"], back["storageTokens"], back["paused"], back["state"]) == (1, 3, True, "paused")
    assert [row["id"] for row in (await world.member("GET", f"{path}/rows", 200)).json()["items"]] == [row_ids[0]]
    assert (await world.member("GET", f"/bots/{source['botId']}/search?q=word2", 200)).json()["items"] == []
    assert [one["number"] for one in (await world.member("GET", f"{path}/snapshots", 200)).json()["items"]] == [1]
    told = (await world.member("GET", "/activity", 200)).json()["items"][0]
    assert (told["kind"], told["dataSourceId"], told["botId"]) == ("rolled_back", source["id"], source["botId"])
    assert "from snapshot 3 to snapshot 1" in told["sentence"]
    assert "is published" in (await world.owner("POST", f"{path}/rollback", 409, json={"snapshot": 1})).json()["detail"]
    assert "latest is 1" in (await world.owner("POST", f"{path}/rollback", 404, json={"snapshot": 2})).json()["detail"]


async def test_no_way_back_to_what_is_not_kept_or_while_a_sync_runs(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    path, db = f"/data-sources/{source['id']}", world.services.db
    for n in range(4):
        await world.with_row(source["id"], f"text {n}")
    while await db.write(sweep.old_versions, 2):
        pass
    for call in (world.owner("POST", f"{path}/rollback", 410, json={"snapshot": 2}), world.owner("GET", f"{path}/snapshots/compare?from=2&to=4", 410)):
        assert "the oldest is 3" in (await call).json()["detail"]
    sync_id = (await world.owner("POST", f"{path}/sync", 202)).json()["syncId"]
    while (held := await db.write(leases.claim, "test", LEASE)) is not None and held.sync_id != sync_id:
        pass
    assert "is running" in (await world.owner("POST", f"{path}/rollback", 409, json={"snapshot": 3})).json()["detail"]
    await world.owner("POST", f"/syncs/{sync_id}/cancel", 202)
    assert (await world.owner("POST", f"{path}/rollback", 200, json={"snapshot": 3})).json()["rows"] == 3
    await world.owner("POST", f"/data-sources/{new_id()}/rollback", 404, json={"snapshot": 3})

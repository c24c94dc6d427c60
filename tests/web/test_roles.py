"""Who may do what: every route for every role, without a key, and from another workspace."""

import re
from typing import Any

import pytest

from tests.web.world import World, a_bot, a_folder
from tidings.web.server import openapi_document
from tidings.workspaces import keys

ROUTES = [(method.upper(), path) for path, operations in openapi_document("http://x")["paths"].items() for method in operations if path.startswith("/api/v1/")]
# What a member may do besides reading.
MEMBERS = {("POST", "/api/v1/data-sources/{dataSourceId}/sync")}
# Bodies that get so far that the thing in the path is looked for.
BODIES = {
    ("POST", "/api/v1/bots/{botId}/data-sources"): {"name": "D", "type": "files"},
    ("POST", "/api/v1/data-sources/try"): {"type": "folder", "config": {"path": "/nowhere"}},
    ("POST", "/api/v1/bots/{botId}/webhooks"): {"type": "sync_success", "targetUrl": "https://8.8.8.8"},
    ("POST", "/api/v1/data-sources/{dataSourceId}/rollback"): {"snapshot": 1},
    ("POST", "/api/v1/webhooks/{webhookId}/mapping/try"): {"body": "{}"},
    ("POST", "/api/v1/webhooks/{webhookId}/recover"): {"since": "2020-01-01T00:00:00Z"},
    **{(method, path): {} for method, path in ROUTES if method == "PATCH"},
}


def test_there_are_routes() -> None:
    assert len(ROUTES) > 35


def sent(method: str, path: str) -> dict[str, Any]:
    """What to send so that the thing in the path is looked for."""
    if path.endswith("/files") and method == "POST":
        return {"files": {"files": ("a.md", b"text")}}
    return {"json": BODIES[method, path]} if (method, path) in BODIES else {}


async def filled(world: World, path: str) -> str:
    """A path with the ids of real things of the first workspace."""
    bot_id = await a_bot(world.owner)
    if "{" not in path:
        return path
    source = await a_folder(world, world.owner, bot_id, syncNow=True)
    ids = {"botId": bot_id, "dataSourceId": source["id"], "name": "a.md"}
    if "{syncId}" in path:
        ids["syncId"] = (await world.owner("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"][0]["id"]
    if "{n}" in path:
        ids["n"] = str(await world.with_change(ids["syncId"], await world.with_row(source["id"], "text")))
    if "{rowId}" in path:
        ids["rowId"] = await world.with_row(source["id"], "text")
    if "{webhookId}" in path or "{deliveryId}" in path:
        hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_success", "targetUrl": "https://8.8.8.8"})
        # a check sends at once, and tests speak to this machine only: of a trigger hook it is refused
        trigger = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
        ids["webhookId"] = (trigger if path.endswith("/check") else hook)["id"]
        ids["deliveryId"] = (await world.owner("POST", f"/webhooks/{hook['id']}/test", 202)).json()["deliveryId"]
    return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)


@pytest.mark.parametrize("part", range(4))
async def test_each_route(world: World, part: int) -> None:
    for method, path in ROUTES[part::4]:
        await check_route(world, method, path)


async def check_route(world: World, method: str, path: str) -> None:
    there = await filled(world, path)
    who = f"{method} {path}"
    assert (await world.nobody(method, there)).status_code == 401, who
    assert (await world.nobody(method, there, headers={"Authorization": "Bearer tdk_" + "a" * 43})).status_code == 401, who
    if "{" in path:
        assert (await world.stranger(method, there, **sent(method, path))).status_code == 404, who
    if method == "GET":
        assert (await world.member(method, there)).status_code in {200, 409}, who
    elif (method, path) in MEMBERS:
        assert (await world.member(method, there)).status_code == 202, who
    else:
        assert (await world.member(method, there)).status_code == 403, who
        assert (await world.owner(method, there)).status_code != 403, who


async def test_only_operators_change_the_plan(world: World) -> None:
    body = {"plan": "unlimited"}
    assert (await world.member("PATCH", "/workspace", json=body)).status_code == 403
    assert (await world.owner("PATCH", "/workspace", json=body)).status_code == 403
    assert (await world.operator("PATCH", "/workspace", json=body)).status_code == 200


async def test_lists_show_nothing_of_others(world: World) -> None:
    bot_id = await a_bot(world.owner)
    await a_folder(world, world.owner, bot_id)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_success", "targetUrl": "https://8.8.8.8"})
    await world.owner("POST", f"/webhooks/{hook['id']}/test", 202)
    await world.event(world.owner, {})
    for path in ("/bots", "/deliveries", "/events"):
        assert (await world.stranger("GET", path, 200)).json()["items"] == []
    assert (await world.stranger("GET", f"/events?webhookId={hook['id']}")).status_code == 404


async def test_a_revoked_key_is_worthless_at_once(world: World) -> None:
    made, key = await keys.create(world.services.db, world.owner.workspace_id, "CI", "owner")
    headers = {"Authorization": f"bearer {key}"}
    assert (await world.nobody("GET", "/bots", headers=headers)).status_code == 200
    await keys.revoke(world.services.db, made.id)
    assert (await world.nobody("GET", "/bots", headers=headers)).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer tdk_\xff", "Bearer " + "x" * 5000, "tdk_" + "a" * 43])
async def test_odd_keys(world: World, header: str) -> None:
    answer = await world.nobody("GET", "/bots", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.headers["www-authenticate"], answer.json()["code"]) == (401, "Bearer", "unauthorized")

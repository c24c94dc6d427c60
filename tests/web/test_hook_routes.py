"""Webhooks, deliveries and events over the API. What the room behind them does is tested with it."""

import asyncio
import base64
import secrets
from ipaddress import ip_network
from typing import Any

from tests.flows.webhook_house import open_receiver
from tests.web.world import World, a_bot, a_folder, fields_of, opened, settings_in
from tidings.settings import Settings

MASK = "********"


async def an_outgoing(world: World, bot_id: str, **more: Any) -> dict[str, Any]:
    body = {"type": "sync_success", "targetUrl": "https://8.8.8.8/hook?token=abc", **more}
    return await world.owner.made(f"/bots/{bot_id}/webhooks", body)


async def test_a_trigger_hook(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id, syncNow=False)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
    assert hook["url"] == f"http://tidings.example/api/public/hooks/{hook['id']}/{hook['secret']}"
    assert (hook["botId"], hook["enabled"], hook["state"], hook["lastUsedAt"], hook["postOnly"]) == (bot_id, True, "ok", None, False)
    assert hook["headers"] == {}
    assert "targetUrl" not in hook
    assert "envelope" not in hook
    assert (await world.nobody("GET", hook["url"].removeprefix("http://tidings.example"))).json() == {"success": True}
    (sync,) = (await world.owner("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"]
    assert sync["triggeredBy"] == "hook"
    own = secrets.token_urlsafe(16)
    changed = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"secret": own, "overlapSeconds": 60, "postOnly": True})).json()
    assert (changed["secret"], changed["postOnly"]) == (own, True)
    assert changed["overlapUntil"] is not None
    assert (await world.owner("GET", f"/webhooks/{hook['id']}", 200)).json()["url"].endswith(own)
    await world.owner("DELETE", f"/webhooks/{hook['id']}", 204)
    await world.owner("GET", f"/webhooks/{hook['id']}", 404)


async def test_an_outgoing_hook(world: World) -> None:
    bot_id = await a_bot(world.owner)
    hook = await an_outgoing(world, bot_id, headers={"X-Key": "open sesame"}, envelope="standard")
    assert (hook["targetUrl"], hook["envelope"], hook["headers"], hook["dataSourceId"]) == (
        "https://8.8.8.8/hook?token=abc",
        "standard",
        {"X-Key": "open sesame"},
        None,
    )
    assert hook["secret"].startswith("whsec_")
    assert hook["postOnly"] is False
    assert "url" not in hook
    assert (await world.owner("GET", f"/bots/{bot_id}/webhooks", 200)).json()["items"] == [hook]
    disabled = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"enabled": False})).json()
    assert (disabled["state"], disabled["disabledBy"]) == ("disabled", "user")
    enabled = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"enabled": True, "held": "drop", "headers": {}})).json()
    assert (enabled["state"], enabled["headers"]) == ("ok", {})
    rotated = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"secret": "generate"})).json()
    assert rotated["secret"] != hook["secret"]


async def test_a_hook_with_a_key_of_its_own(world: World) -> None:
    bot_id = await a_bot(world.owner)
    plain, hook = await an_outgoing(world, bot_id), await an_outgoing(world, bot_id, ed25519=True)
    assert (plain["ed25519"], plain["publicKey"], plain["kid"], plain["rotation"]) == (False, None, None, None)
    assert (hook["ed25519"], hook["publicKey"][:5]) == (True, "whpk_")
    raw = base64.b64decode(hook["publicKey"][5:])
    answer = await world.nobody("GET", "/.well-known/jwks.json", 200)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/jwk-set+json", "public, max-age=300")
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert answer.json() == {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": hook["kid"], "use": "sig", "alg": "EdDSA"}]}
    assert not any(named in answer.text for named in (hook["id"], bot_id, world.owner.workspace_id))
    again = (await world.owner("PATCH", f"/webhooks/{plain['id']}", 200, json={"ed25519": True})).json()
    for one in (hook, again):
        found = (await world.nobody("GET", "/.well-known/jwks.json", 200, params={"kid": one["kid"]})).json()["keys"]
        assert [key["kid"] for key in found] == [one["kid"]]
        seen = (await world.member("GET", f"/webhooks/{one['id']}", 200)).json()
        assert (seen["publicKey"], seen["kid"], seen["secret"]) == (one["publicKey"], one["kid"], None)
    assert len((await world.nobody("GET", "/.well-known/jwks.json", 200)).json()["keys"]) == 2
    for odd in ("", "a" * 43, "\0", "x" * 10_000, f"{hook['kid']}'--"):
        assert (await world.nobody("GET", "/.well-known/jwks.json", 200, params={"kid": odd})).json() == {"keys": []}
    off = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"ed25519": False})).json()
    assert (off["ed25519"], off["publicKey"], off["kid"]) == (False, None, None)


async def test_a_rotation_is_shown(world: World) -> None:
    hook = await an_outgoing(world, await a_bot(world.owner))
    rotated = (await world.owner("PATCH", f"/webhooks/{hook['id']}", 200, json={"secret": "generate", "overlapSeconds": 60})).json()["rotation"]
    assert rotated["overlapUntil"] > rotated["since"]
    assert (rotated["deliveredSince"], rotated["failedSince"], rotated["provenAt"]) == (None, None, None)
    assert rotated["sentence"].startswith("Nothing was sent since the new secret joined")
    assert (await world.member("GET", f"/webhooks/{hook['id']}", 200)).json()["rotation"] == rotated


async def test_members_see_no_secrets(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id)
    trigger = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
    outgoing = await an_outgoing(world, bot_id, headers={"X-Key": "open sesame"})
    delivery_id = (await world.owner("POST", f"/webhooks/{outgoing['id']}/test", 202)).json()["deliveryId"]
    paths = [f"/webhooks/{trigger['id']}", f"/webhooks/{outgoing['id']}", f"/bots/{bot_id}/webhooks", f"/deliveries/{delivery_id}"]
    for path in paths:
        shown = (await world.member("GET", path, 200)).text
        for secret in (trigger["secret"], outgoing["secret"], "token=abc", "8.8.8.8", "open sesame"):
            assert secret not in shown, path
    seen = (await world.member("GET", f"/webhooks/{trigger['id']}", 200)).json()
    assert (seen["secret"], seen["url"]) == (None, f"http://tidings.example/api/public/hooks/{trigger['id']}/{MASK}")
    seen = (await world.member("GET", f"/webhooks/{outgoing['id']}", 200)).json()
    assert (seen["secret"], seen["targetUrl"], seen["headers"]) == (None, MASK, {"X-Key": MASK})


async def test_refused_targets_name_the_field(world: World) -> None:
    bot_id = await a_bot(world.owner)
    for url in ("http://127.0.0.1/", "http://169.254.169.254/", "http://[::1]/", "ftp://example.com/", "nonsense", "http://", "http://user@/"):
        answer = await world.owner("POST", f"/bots/{bot_id}/webhooks", 422, json={"type": "sync_success", "targetUrl": url})
        assert fields_of(answer) == ["targetUrl"], url
    explained = (await world.owner("POST", "/webhooks/explain-target", 200, json={"url": "http://127.0.0.1/x"})).json()
    assert (explained["allowed"], explained["addresses"]) == (False, ["127.0.0.1"])
    assert explained["reason"]
    assert (await world.owner("POST", "/webhooks/explain-target", 200, json={"url": "http://8.8.8.8"})).json()["allowed"] is True


async def test_what_does_not_go_together_is_refused(world: World) -> None:
    bot_id, other_id = await a_bot(world.owner), await a_bot(world.owner)
    source = await a_folder(world, world.owner, other_id)
    for body, field in [
        ({"type": "sync_trigger"}, "dataSourceId"),
        ({"type": "sync_trigger", "dataSourceId": source["id"]}, "dataSourceId"),
        ({"type": "sync_success"}, "targetUrl"),
        ({"type": "sync_success", "targetUrl": "https://8.8.8.8", "dataSourceId": source["id"]}, "dataSourceId"),
        ({"type": "sync_success", "targetUrl": "https://8.8.8.8", "secret": "short"}, "secret"),
        ({"type": "sync_success", "targetUrl": "https://8.8.8.8", "headers": {"Host": "x"}}, "headers.Host"),
        ({"type": "sync_success", "targetUrl": "https://8.8.8.8", "postOnly": True}, "postOnly"),
    ]:
        assert fields_of(await world.owner("POST", f"/bots/{bot_id}/webhooks", 422, json=body)) == [field], body


async def test_tests_and_deliveries(world: World) -> None:
    bot_id = await a_bot(world.owner)
    hook = await an_outgoing(world, bot_id)
    delivery_id = (await world.owner("POST", f"/webhooks/{hook['id']}/test", 202, json={"event": "sync.failure"})).json()["deliveryId"]
    (listed,) = (await world.member("GET", f"/webhooks/{hook['id']}/deliveries?state=pending", 200)).json()["items"]
    assert (listed["id"], listed["test"], listed["event"], listed["sequence"], listed["syncId"]) == (delivery_id, True, "sync.failure", None, None)
    assert [each["id"] for each in (await world.member("GET", "/deliveries", 200)).json()["items"]] == [delivery_id]
    assert (await world.member("GET", "/deliveries?state=held", 200)).json()["items"] == []
    delivery = (await world.owner("GET", f"/deliveries/{delivery_id}", 200)).json()
    assert {key: delivery[key] for key in listed} == listed
    assert delivery["request"]["url"] == hook["targetUrl"]
    assert "Over plan storage token limit" in delivery["request"]["body"]
    assert delivery["attempts"] == []
    await world.owner("POST", f"/deliveries/{delivery_id}/redeliver", 409)
    assert (await world.owner("POST", f"/webhooks/{hook['id']}/recover", 202, json={"since": "2020-01-01T00:00:00Z"})).json() == {"deliveries": 0}


async def test_a_trigger_hook_can_be_neither_tested_nor_checked(world: World) -> None:
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_trigger", "dataSourceId": source["id"]})
    assert fields_of(await world.owner("POST", f"/webhooks/{hook['id']}/test", 422)) == ["event"]
    assert fields_of(await world.owner("POST", f"/webhooks/{hook['id']}/check", 422)) == ["webhookId"]


async def test_a_check_says_what_the_receiver_accepted(settings: Settings) -> None:
    async with opened(settings_in(settings), allowed_networks=(ip_network("127.0.0.0/8"),)) as world, open_receiver() as receiver:
        hook = await an_outgoing(world, await a_bot(world.owner), targetUrl=receiver.url)
        path = f"/webhooks/{hook['id']}/check"
        await world.member("POST", path, 403)
        await world.stranger("POST", path, 404)
        said = (await world.owner("POST", path, 200)).json()
        assert [(one["name"], one["sent"], one["status"], one["accepted"], one["verdict"]) for one in said["checks"]] == [
            ("good", True, 200, True, "good"),
            ("wrong_signature", True, 200, True, "bad"),
            ("stale_timestamp", True, 200, True, "bad"),
            ("repeat", True, 200, True, "good"),
        ]
        assert said["verdict"] == "bad"
        assert all(one["sentence"] and one["durationMs"] >= 0 for one in said["checks"])
        rows = (await world.member("GET", f"/webhooks/{hook['id']}/deliveries", 200)).json()["items"]
        assert [one["id"] for one in reversed(rows)] == [one["deliveryId"] for one in said["checks"]]
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        first, again = [(await world.owner("POST", path, 200, headers=headers)).json() for _ in range(2)]
        assert again == first
        assert len(receiver.got) == 8


async def test_events(world: World) -> None:
    assert (await world.member("GET", "/events", 200)).json() == {"items": [], "nextCursor": None}
    for number in range(3):
        await world.event(world.owner, {"number": number})
    await world.event(world.stranger, {"number": 99})
    found = (await world.member("GET", "/events", 200)).json()["items"]
    assert [(each["seq"], each["type"], each["data"]) for each in found] == [(1 + n, "sync.success", {"number": n}) for n in range(3)]
    assert [each["seq"] for each in (await world.member("GET", "/events?after=2", 200)).json()["items"]] == [3]
    first = (await world.member("GET", "/events?limit=2", 200)).json()
    rest = (await world.member("GET", "/events", 200, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert first["items"] + rest["items"] == found
    assert (await world.member("GET", "/events", 200, params={"after": 2**63 - 1})).json()["items"] == []


async def test_waiting_for_an_event(world: World) -> None:
    waiting = asyncio.create_task(world.member("GET", "/events?after=0&wait=60", 200))
    await asyncio.sleep(0.2)
    await world.event(world.owner, {"it": "came"})
    assert [each["data"] for each in (await asyncio.wait_for(waiting, 50)).json()["items"]] == [{"it": "came"}]


async def test_waiting_for_a_sync(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner), syncNow=False)
    sync_id = (await world.member("POST", f"/data-sources/{source['id']}/sync", 202)).json()["syncId"]
    waiting = asyncio.create_task(world.member("GET", f"/syncs/{sync_id}?wait=60", 200))
    await asyncio.sleep(0.2)
    await world.ended_sync(source["id"])
    assert (await asyncio.wait_for(waiting, 50)).json()["state"] == "succeeded"


async def test_who_waits_is_answered_when_the_server_stops(world: World) -> None:
    waiting = asyncio.create_task(world.member("GET", "/events?wait=60", 200))
    await asyncio.sleep(0.2)
    world.services.stopping.set()
    assert (await asyncio.wait_for(waiting, 50)).json()["items"] == []

"""What is posted to an inbox: checked, kept within bounds, answered as the inbox was told to; nobody learns which inboxes there are."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.web.world import World, a_bot, a_folder
from tidings import clock
from tidings.model.inboxes import Inbox, Message
from tidings.store import inboxes
from tidings.web.inbox_urls import RATE
from tidings.webhooks.inboxes import LARGEST_MESSAGE, NO_HOOK, create
from tidings.webhooks.signing import parse_signing_secret, sign

BODY = b'{"success": true, "bot": "N\xc3\xa4me"}'


@pytest.fixture
async def inbox(world: World) -> Inbox:
    """An inbox of the first workspace."""
    return await create(world.services.db, world.owner.workspace_id, "Try it")


async def posted(world: World, inbox: Inbox, headers: Mapping[str, str] | None = None, body: bytes = BODY) -> httpx.Response:
    """What a stranger is answered who posts there."""
    return await world.nobody("POST", inbox.path, content=body, headers=headers)


async def kept(world: World, inbox: Inbox) -> list[Message]:
    """The messages of an inbox, newest first, with bodies."""
    db, of = world.services.db, inbox.workspace_id
    page = await db.read(inboxes.messages, of, inbox.id, limit=1000, cursor=None)
    return [await db.read(inboxes.message, of, inbox.id, one.id) for one in page.items]


async def a_hook(world: World, bot_id: str, inbox: Inbox, base_url: str = "http://tidings.example") -> dict[str, Any]:
    """A hook that sends to this inbox."""
    return await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_success", "targetUrl": f"{base_url}{inbox.path}"})


def signed(secret: str, body: bytes = BODY, age: int = 0) -> dict[str, str]:
    """The headers of a delivery."""
    at = clock.now() // clock.SECOND - age
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": sign([parse_signing_secret(secret)], "msg_1", at, body)}


async def test_a_message_is_kept_with_its_headers_but_not_with_their_secrets(world: World, inbox: Inbox) -> None:
    answer = await posted(world, inbox, {"Authorization": "Bearer tdk_secret", "X-Api-Key": "another", "Tidings-Event": "sync.success"})
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert answer.headers["cache-control"] == "no-store"
    [message] = await kept(world, inbox)
    assert (message.body, message.problem, message.webhook_id, message.answered) == (BODY, NO_HOOK, None, 200)
    assert message.headers["tidings-event"] == "sync.success"
    assert message.headers["authorization"] == message.headers["x-api-key"] == "********"
    assert abs(clock.now() - message.at) < 60 * clock.SECOND


async def test_a_signature_is_checked_against_the_hooks_that_send_there(world: World, inbox: Inbox) -> None:
    bot_id = await a_bot(world.owner)
    other = await create(world.services.db, inbox.workspace_id, "Another")
    elsewhere = await a_hook(world, bot_id, other)
    hook = await a_hook(world, bot_id, inbox)
    await a_hook(world, bot_id, inbox, "https://former.example/below")  # an inbox stays the same one when the base URL changes
    await posted(world, inbox, signed(hook["secret"]))
    await posted(world, inbox, signed(elsewhere["secret"]))
    await posted(world, inbox, signed(hook["secret"], age=600))
    await posted(world, inbox, signed(hook["secret"]), BODY + b" ")
    await posted(world, inbox)
    told = [(message.webhook_id, message.problem) for message in reversed(await kept(world, inbox))]
    assert told[0] == (hook["id"], None)
    assert [signer for signer, _ in told[1:]] == [None] * 4
    assert told[1][1] == told[3][1] == "No signature fits: the secret is another one, or the message was changed on its way."
    assert str(told[2][1]).startswith("The message is 6")
    assert told[4][1] == "The header webhook-id is missing."


async def test_it_is_told_how_long_ago_the_sync_ended_where_the_signature_fits(world: World, inbox: Inbox) -> None:
    bot_id = await a_bot(world.owner)
    hook = await a_hook(world, bot_id, inbox)
    source = await a_folder(world, world.owner, bot_id)
    sync_id = await world.ended_sync(source["id"])
    await posted(world, inbox, signed(hook["secret"]) | {"Tidings-Sync-Id": sync_id})
    await posted(world, inbox, {"Tidings-Sync-Id": sync_id})
    unsigned, message = await kept(world, inbox)
    assert message.sync_id == sync_id
    assert message.after_sync is not None
    assert message.after_sync >= 0
    assert (unsigned.sync_id, unsigned.after_sync) == (None, None)


async def test_a_secret_of_another_workspace_signs_nothing_here(world: World, inbox: Inbox) -> None:
    bot = (await world.stranger.made("/bots", {"name": "Theirs"}))["id"]
    hook = await world.stranger.made(f"/bots/{bot}/webhooks", {"type": "sync_success", "targetUrl": f"http://tidings.example{inbox.path}"})
    await posted(world, inbox, signed(hook["secret"]))
    [message] = await kept(world, inbox)
    assert (message.webhook_id, message.problem) == (None, NO_HOOK)


async def test_all_that_is_no_inbox_is_answered_alike(world: World, inbox: Inbox) -> None:
    deleted = await create(world.services.db, inbox.workspace_id, "Gone")
    await world.services.db.write(inboxes.remove, inbox.workspace_id, deleted.id)
    told = set()
    for path in (deleted.path, f"{inbox.path}x", inbox.path[:-1], f"{inbox.path}/", f"{inbox.path}%0A", "/api/public/inbox/"):
        answer = await world.nobody("POST", path, content=BODY)
        told.add((answer.status_code, json.dumps(answer.json() | {"instance": None})))
    assert [status for status, _ in told] == [404]
    assert (await world.nobody("GET", inbox.path)).status_code == (await world.nobody("GET", deleted.path)).status_code == 405
    assert await kept(world, inbox) == []


async def test_nobody_fills_the_disk(world: World, inbox: Inbox) -> None:
    assert (await posted(world, inbox, body=b"x" * LARGEST_MESSAGE)).status_code == 200
    answer = await posted(world, inbox, body=b"x" * (LARGEST_MESSAGE + 1))
    assert (answer.status_code, answer.json()["detail"]) == (413, "An inbox takes at most 64 KiB.")
    await posted(world, inbox, {f"Tidings-{n}": "x" * 2000 for n in range(20)})
    newest, largest = await kept(world, inbox)
    assert len(largest.body or b"") == LARGEST_MESSAGE
    assert sum(len(name) + len(value) for name, value in newest.headers.items()) <= 8 * 1024
    answers = [(await posted(world, inbox, body=str(number).encode())).status_code for number in range(RATE)]
    assert answers == [200] * (RATE - 3) + [429] * 3
    bodies = [message.body for message in await kept(world, inbox)]
    assert bodies == [str(number).encode() for number in range(RATE - 4, RATE - 4 - inboxes.KEPT, -1)]
    await world.services.db.write(inboxes.prune, clock.now(), inboxes.KEPT)
    assert await kept(world, inbox) == []


async def test_an_inbox_answers_what_it_was_told_to_and_keeps_what_it_refuses(world: World, inbox: Inbox) -> None:
    def answers(status: int) -> Any:
        return world.services.db.write(lambda tx: inboxes.change(tx, inbox.workspace_id, inbox.id, answer=status))

    await answers(503)
    assert (await posted(world, inbox)).status_code == 503
    assert [message.answered for message in await kept(world, inbox)] == [503]


async def test_a_workspace_has_a_bounded_number_of_inboxes(world: World) -> None:
    for number in range(inboxes.MOST):
        await create(world.services.db, world.owner.workspace_id, f"Number {number}")
    with pytest.raises(Exception, match="This workspace has 20 inboxes, which is the most"):
        await create(world.services.db, world.owner.workspace_id, "One more")
    await create(world.services.db, world.stranger.workspace_id, "Theirs")


async def test_with_its_bot_an_inbox_goes(world: World) -> None:
    bot_id = await a_bot(world.owner)
    inbox = await create(world.services.db, world.owner.workspace_id, "Of the bot", bot_id=bot_id)
    await posted(world, inbox)
    await world.owner("DELETE", f"/bots/{bot_id}", 204)
    assert await world.services.db.read(inboxes.all_of, world.owner.workspace_id) == ()
    assert (await posted(world, inbox)).status_code == 404

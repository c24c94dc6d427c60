"""Every route of the pages, called by those who may not, with what nobody should send; on both databases."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import func, select

from tests.web.test_inbox_urls import posted
from tests.web.test_people import id_of, workspace_of_ann
from tests.web.test_sign_in import EMAIL, browsing, house, signed_in, token_in
from tests.web.world import Caller, World
from tidings.store import api_keys, inboxes, tables
from tidings.web.pages.site import ROUTERS
from tidings.webhooks.inboxes import create
from tidings.workspaces import invitations, keys

__all__ = ["house"]  # the fixture

ROUTES = [(method, route) for router in ROUTERS for route in router.routes if isinstance(route, APIRoute) for method in sorted(route.methods or ())]
NAMED = "<script>alert(1)</script>"
EVIL = f"{NAMED}\x1b[31m"


@dataclass(frozen=True, slots=True)
class Hostile:
    """Ann owns Northwind, where Bob is a member; Eve owns another workspace, and Gus is a guest. `ids` is what there is in Northwind by the name it has in
    addresses, `secret` what only owners may read there."""

    house: World
    ann: httpx.AsyncClient
    bob: httpx.AsyncClient
    eve: httpx.AsyncClient
    gus: httpx.AsyncClient
    ids: dict[str, str]
    secret: list[str]

    def path(self, route: APIRoute, **other: str) -> str:
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: (self.ids | other)[found[1]], route.path)

    async def rows(self) -> dict[str, int]:
        """How much is in each table."""

        def read(tx: Any) -> dict[str, Any]:
            return {table.name: tx.execute(select(func.count()).select_from(table)).scalar_one() for table in tables.metadata.sorted_tables}

        return await self.house.services.db.read(read)


async def joined(house: World, client: httpx.AsyncClient, workspace_id: str, email: str, role: str) -> None:
    db = house.services.db
    _, path = await invitations.invite(db, workspace_id, email, role, EMAIL)
    token = await invitations.join_with_password(db, path.rpartition("/")[2], "a-long-password", address=None, agent=None)
    client.cookies.set("tidings_session", token, domain="tidings.example")


async def filled(house: World, gus: httpx.AsyncClient, workspace_id: str) -> tuple[dict[str, str], list[str]]:
    """One of everything in a workspace, named as nobody should name it."""
    services = house.services
    _, key = await keys.create(services.db, workspace_id, "of the tests", "owner")
    owner = Caller(workspace_id, gus)

    async def made(path: str, body: dict[str, Any], status: int = 201, method: str = "POST") -> Any:
        answer = await owner(method, path, status, json=body, headers={"Authorization": f"Bearer {key}"})
        return answer.json() if answer.content else None

    async def got(path: str) -> Any:
        return (await owner("GET", path, 200, headers={"Authorization": f"Bearer {key}"})).json()

    ids: dict[str, str] = {}
    ids["bot_id"] = (await made("/bots", {"name": f"Northsecret {NAMED}"}))["id"]
    body = {"name": f"Northsecret {NAMED}", "type": "folder", "config": {"path": str(services.settings.local_roots[0])}, "syncNow": True}
    ids["data_source_id"] = (await made(f"/bots/{ids['bot_id']}/data-sources", body))["id"]
    ids["sync_id"] = (await got(f"/data-sources/{ids['data_source_id']}/syncs"))["items"][0]["id"]
    ids["row_id"] = await house.with_row(ids["data_source_id"], f"Northsecret {EVIL}", error=EVIL)
    ids["n"] = str(await house.with_change(ids["sync_id"], ids["row_id"]))
    ids["number"] = "1"
    hook_body = {"type": "sync_success", "targetUrl": "https://8.8.8.8/northsecret-path", "headers": {"X-Northsecret": "northsecret-header"}}
    hook = await made(f"/bots/{ids['bot_id']}/webhooks", hook_body)
    ids["webhook_id"] = ids["hook_id"] = hook["id"]
    ids["delivery_id"] = (await made(f"/webhooks/{hook['id']}/test", {}, 202))["deliveryId"]
    inbox = await create(services.db, workspace_id, f"Northsecret {NAMED}")
    await posted(house, inbox, {"X-Odd": "<script>alert(1)</script>"})
    ids["inbox_id"] = inbox.id
    ids["message_id"] = (await services.db.read(inboxes.messages, workspace_id, inbox.id, limit=1, cursor=None)).items[0].id
    invitation, link = await invitations.invite(services.db, workspace_id, "northsecret@example.com", "member", EMAIL)
    ids["invitation_id"], ids["token"] = invitation.id, link.rpartition("/")[2]
    ids["key_id"] = (await services.db.read(api_keys.page, workspace_id, limit=1, cursor=None)).items[0].id
    ids["user_id"] = await id_of(house, EMAIL)
    mine = select(tables.sessions.c.id).where(tables.sessions.c.user_id == ids["user_id"])
    session: str = await services.db.read(lambda tx: tx.execute(mine).scalars().one())
    ids |= {"session_id": session, "version": "x", "name": "app.css"}
    return ids, ["northsecret-path", "northsecret-header", hook["secret"], inbox.secret, key, ids["token"]]


@pytest.fixture
async def hostile(house: World) -> AsyncIterator[Hostile]:
    async with AsyncExitStack() as stack:
        ann, bob, eve, gus = [await stack.enter_async_context(browsing(house, address=f"192.0.2.{n}")) for n in range(1, 5)]
        await signed_in(ann)
        workspace_id = await workspace_of_ann(house)
        await joined(house, bob, workspace_id, "bob@example.com", "member")
        await joined(house, eve, house.stranger.workspace_id, "eve@example.com", "owner")
        ids, secret = await filled(house, gus, workspace_id)
        yield Hostile(house, ann, bob, eve, gus, ids, secret)


async def token_of(client: httpx.AsyncClient) -> str:
    return token_in(await client.get("/app/account"))


def live(route: APIRoute) -> bool:
    return route.path.endswith("/live")


async def test_others_see_and_change_nothing(hostile: Hostile) -> None:
    before = await hostile.rows()
    for method, route in ROUTES:
        if not route.path.startswith("/app/") or (live(route) and "{" not in route.path):
            continue
        path, who = hostile.path(route), f"{method} {route.path}"
        if method == "GET":
            assert (await hostile.gus.get(path)).status_code == 303, who
        else:
            for client, token in ((hostile.eve, ""), (hostile.eve, await token_of(hostile.ann)), (hostile.gus, "0" * 64)):
                assert (await client.post(path, data={"form_token": token})).status_code == 403, who
        if "{" in route.path and "{session_id}" not in route.path:
            files = {"files": ("a.md", b"text")} if method == "POST" and path.endswith("/files") else None
            data = {"form_token": await token_of(hostile.eve)} if method == "POST" else None
            answer = await hostile.eve.request(method, path, data=data, files=files)
            assert answer.status_code == 404, who
            assert "orthsecret" not in answer.text, who
        elif method == "GET":
            assert "orthsecret" not in (await hostile.eve.get(path)).text, who
    await hostile.eve.post(f"/app/account/sessions/{hostile.ids['session_id']}/end", data={"form_token": await token_of(hostile.eve)})
    assert (await hostile.ann.get("/app/bots")).status_code == 200
    assert await hostile.rows() == before


async def test_members_do_not_act_as_owners_and_see_no_secrets(hostile: Hostile) -> None:
    for method, route in ROUTES:
        if live(route) or not route.path.startswith("/app/"):
            continue
        path, who = hostile.path(route), f"{method} {route.path}"
        data = {"form_token": await token_of(hostile.bob)} if method == "POST" else None
        answer = await hostile.bob.request(method, path, data=data)
        for_owners = any(each.call is not None and each.call.__name__ == "_owner" for each in route.dependant.dependencies)
        assert (answer.status_code == 403) == for_owners, who
        assert answer.status_code < 500, who
        assert [secret for secret in hostile.secret if secret in answer.text] == [], who
        assert "<script>alert" not in answer.text, who


async def test_a_form_that_was_broken_off_is_not_carried_out(hostile: Hostile) -> None:
    """Its token stands at its head, so half of it looks like a form with less in it: a name cut short, a box that was not ticked."""
    half = f"form_token={await token_of(hostile.ann)}&name=A+long+na&role=member&enabled".encode()
    before = await hostile.rows()

    async def unheard(message: Any) -> None:
        raise AssertionError(message)

    for method, route in ROUTES:
        if method == "POST":
            pieces = iter([{"type": "http.request", "body": half, "more_body": True}, {"type": "http.disconnect"}])

            async def receive(pieces: Any = pieces) -> Any:
                return next(pieces)

            await hostile.house.app(scope_of(method, hostile.ann, hostile.path(route)), receive, unheard)
    assert await hostile.rows() == before
    assert "A long na" not in (await hostile.ann.get("/app/settings/workspace")).text


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "", "tidings.example", "http://tidings.example.evil"])
async def test_odd_origins_are_refused(hostile: Hostile, origin: str) -> None:
    answer = await hostile.ann.post("/app/bots/new", data={"name": "Bot", "form_token": await token_of(hostile.ann)}, headers={"origin": origin})
    assert answer.status_code == 403
    assert "another site" in answer.text


def scope_of(method: str, client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """What a server says of a request, for what a client of httpx can't do."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = [(b"host", b"tidings.example"), (b"cookie", cookies.encode())]
    where = {"scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers}
    return {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "client": ("192.0.2.9", 1), "server": None, **where}


class Stream:
    """A browser that listens to what a page sends as it happens."""

    def __init__(self, hostile: Hostile, client: httpx.AsyncClient, path: str, *, gone: bool = False) -> None:
        self.path = path
        self._gone = gone
        self.status = 0
        self.heard = b""
        self._more = asyncio.Event()
        self.over: asyncio.Task[None] = asyncio.ensure_future(self._runs(hostile, scope_of("GET", client, path)))

    async def _runs(self, hostile: Hostile, scope: dict[str, Any]) -> None:
        await hostile.house.app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.heard += message.get("body", b"")
        self._more.set()

    async def says(self, what: bytes) -> None:
        """Waits for it."""
        async with asyncio.timeout(60):
            while what not in self.heard and not self.over.done():
                self._more.clear()
                await self._more.wait()

    async def ends(self) -> None:
        """Without a fault, which would be raised here."""
        await asyncio.wait_for(self.over, 60)


@pytest.mark.parametrize(
    ("address", "status"),
    [("/app/bots/live?cursor=x", 422), ("/app/bots/{bot_id}/data-sources/live?cursor=x", 422), ("/app/deliveries/live?day=2026-02-30", 404)],
)
async def test_what_is_wrong_with_the_address_of_a_stream_is_said_before_it_begins(hostile: Hostile, address: str, status: int) -> None:
    assert (await hostile.ann.get(address.format(**hostile.ids))).status_code == status


@pytest.mark.parametrize("address", ["/app/bots", "/app/activity", "/app/data-sources/{data_source_id}", "/app/data-sources/{data_source_id}/snapshots"])
async def test_an_odd_place_in_a_list_is_refused_in_words_of_a_page(hostile: Hostile, address: str) -> None:
    answer = await hostile.ann.get(f"{address.format(**hostile.ids)}?cursor=x")
    assert answer.status_code == 422
    assert "There is no such place in this list." in answer.text
    assert "ursor of" not in answer.text


async def test_streams_end_with_what_they_show(hostile: Hostile) -> None:
    lasts = "/app/deliveries/{delivery_id}/live"  # what was sent stays readable after its webhook is gone
    streams = [Stream(hostile, hostile.ann, hostile.path(route)) for _, route in ROUTES if live(route) and "{" in route.path and route.path != lasts]
    for each in streams:
        await each.says(b"event: fragment")
    for what, name in (("inbox", "inbox_id"), ("webhooks", "webhook_id"), ("data-sources", "data_source_id"), ("bots", "bot_id")):
        await hostile.ann.post(f"/app/{what}/{hostile.ids[name]}/delete", data={"form_token": await token_of(hostile.ann)})
    for each in streams:
        await each.ends()
        again = Stream(hostile, hostile.ann, each.path)
        await again.ends()
        assert again.status == 404, each.path


async def test_streams_end_with_the_session_and_are_bounded(hostile: Hostile) -> None:
    for _ in range(15):
        await Stream(hostile, hostile.bob, "/app/bots/live", gone=True).ends()
    streams = [Stream(hostile, hostile.bob, "/app/bots/live") for _ in range(15)]
    for each in streams:
        await each.says(b"event: fragment")
    assert sorted(each.status for each in streams) == [200] * 12 + [503] * 3
    user = await id_of(hostile.house, "bob@example.com")
    await hostile.ann.post(f"/app/settings/members/{user}/remove", data={"form_token": await token_of(hostile.ann)})
    for each in streams:
        await each.ends()


async def test_streams_end_with_the_role_that_they_began_with(hostile: Hostile) -> None:
    path = f"/app/settings/members/{await id_of(hostile.house, 'bob@example.com')}/role"
    for role in ("owner", "member"):
        stream = Stream(hostile, hostile.bob, f"/app/webhooks/{hostile.ids['webhook_id']}/live")
        await stream.says(b"event: fragment")
        answer = await hostile.ann.post(path, data={"form_token": await token_of(hostile.ann), "role": role})
        assert answer.status_code == 303
        await stream.ends()

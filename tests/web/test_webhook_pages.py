"""The Webhooks tab: what it makes, whom it tells secrets, what it refuses; on both databases."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from tests.web.test_sign_in import browsing, house, signed_in, token_in
from tests.web.world import World
from tidings import clock
from tidings.model.bots import Bot, DataSource
from tidings.model.ids import new_id
from tidings.model.webhooks import Hook
from tidings.store import bots, data_sources
from tidings.store.tables import members
from tidings.store.transactions import Tx
from tidings.web.pages.source_choice import CHOICES
from tidings.web.server import create_app
from tidings.webhooks import hooks

__all__ = ["house"]  # the fixture

TARGET = "https://8.8.8.8/hook?token=abc"


@dataclass(frozen=True, slots=True)
class Ann:
    """Ann's browser at the Webhooks tab of a bot of hers that has one data source."""

    house: World
    client: httpx.AsyncClient
    workspace_id: str
    bot: Bot
    source: DataSource

    @property
    def root(self) -> str:
        return f"/app/bots/{self.bot.id}/webhooks"

    async def sees(self, more: str = "", status: int = 200) -> str:
        page = await self.client.get(self.root + more)
        assert page.status_code == status, page.text
        return page.text

    async def sends(self, more: str = "", status: int = 303, /, **fields: str) -> httpx.Response:
        """A form of the tab, or of the page at another address."""
        token = token_in(await self.client.get("/app/bots"))
        answer = await self.client.post(more if more.startswith("/app/") else self.root + more, data={"form_token": token, **fields})
        assert answer.status_code == status, answer.text
        return answer

    async def hooks(self) -> tuple[Hook, ...]:
        services = self.house.services
        return (await hooks.page(services.db, services.secretbox, self.workspace_id, self.bot.id, limit=50, cursor=None)).items

    async def trigger(self) -> Hook:
        await self.sends(type="sync_trigger", dataSourceId=self.source.id)
        return (await self.hooks())[-1]

    async def outgoing(self, kind: str = "sync_success") -> Hook:
        await self.sends(type=kind, targetUrl=TARGET)
        return (await self.hooks())[-1]


@pytest.fixture
async def ann(house: World) -> AsyncIterator[Ann]:
    async with browsing(house) as client:
        await signed_in(client)
        token = token_in(await client.get("/app/bots/new"))
        bot_id = (await client.post("/app/bots/new", data={"name": "Testing bot", "form_token": token})).headers["location"].rpartition("/")[2]
        workspace_id: str = await house.services.db.read(lambda tx: tx.execute(members.select()).one().workspace_id)
        bot = await house.services.db.read(bots.get, workspace_id, bot_id)
        source = DataSource(new_id(), workspace_id, bot_id, "Help <centre>", "folder", {}, paused=False, created_at=clock.now())
        await house.services.db.write(data_sources.create, source)
        yield Ann(house, client, workspace_id, bot, source)


async def test_a_trigger_is_set_up_and_its_url_works(ann: Ann) -> None:
    assert "Help &lt;centre&gt;" in await ann.sees("?setup=sync_trigger")
    hook = await ann.trigger()
    page = await ann.sees(f"?hook={hook.id}")
    assert f'value="http://tidings.example{hook.trigger_path}"' in page
    assert hook.secret not in await ann.sees()  # masked until the hook is opened
    assert (await ann.house.nobody("GET", hook.trigger_path)).json() == {"success": True}
    assert "Last used" in await ann.sees()


async def test_a_new_secret_ends_the_former_url(ann: Ann) -> None:
    hook = await ann.trigger()
    offered = (await ann.sends(f"/{hook.id}", 200, dataSourceId=ann.source.id, secret=hook.secret, overlap="0", generate="yes")).text
    found = re.search(r'name="secret" type="text" value="([0-9a-f]{32})"', offered)
    assert found
    assert found[1] != hook.secret
    assert (await ann.hooks())[0].secret == hook.secret  # not before Update
    await ann.sends(f"/{hook.id}", dataSourceId=ann.source.id, secret=found[1], overlap="0", postOnly="yes")
    (changed,) = await ann.hooks()
    assert (changed.secret, changed.post_only) == (found[1], True)
    await ann.house.nobody("POST", hook.trigger_path, 404)
    await ann.house.nobody("POST", changed.trigger_path, 200)
    await ann.sends(f"/{hook.id}", dataSourceId=ann.source.id, secret="one-of-my-own-secrets", overlap="3600")
    await ann.house.nobody("POST", changed.trigger_path, 200)  # for an hour yet
    assert "The former URL stops working" in await ann.sees(f"?hook={hook.id}")


async def test_an_outgoing_hook_is_set_up_and_changed(ann: Ann) -> None:
    hook = await ann.outgoing()
    assert (hook.type, hook.target_url, hook.data_source_id) == ("sync_success", TARGET, None)
    await ann.sends(f"/{hook.id}", targetUrl="https://8.8.4.4/", dataSourceId=ann.source.id, secret=hook.secret, overlap="0")
    (changed,) = await ann.hooks()
    assert (changed.target_url, changed.data_source_id, changed.secret, changed.rotation) == ("https://8.8.4.4/", ann.source.id, hook.secret, None)


async def test_who_misses_a_webhook_is_sent_where_the_settings_say(ann: Ann) -> None:
    assert "Ask for it" not in await ann.sees()
    services = ann.house.services
    settings = services.settings.model_copy(update={"requests_url": "mailto:support@example.com?subject=Webhook"})
    transport = httpx.ASGITransport(app=create_app(replace(services, settings=settings)))
    async with httpx.AsyncClient(transport=transport, base_url="http://tidings.example", cookies=ann.client.cookies) as client:
        page = await client.get(ann.root)
    assert '<a href="mailto:support@example.com?subject=Webhook" rel="noopener noreferrer">Ask for it</a>' in page.text


async def test_a_hook_is_switched_off_and_on_from_the_tab(ann: Ann) -> None:
    hook = await ann.trigger()
    back = {"from": "tab"}
    assert (await ann.sends(f"/app/webhooks/{hook.id}/enabled", enabled="no", **back)).headers["location"].startswith(ann.root)
    assert (await ann.hooks())[0].state == "disabled"
    assert 'aria-checked="false"' in await ann.sees()
    await ann.sends(f"/app/webhooks/{hook.id}/enabled", enabled="yes", **back)
    assert (await ann.hooks())[0].state == "ok"


async def test_a_test_is_sent_from_the_tab_and_stands_there(ann: Ann) -> None:
    hook, other = await ann.outgoing(), await ann.outgoing("sync_failure")
    where = (await ann.sends(f"/app/webhooks/{hook.id}/test", **{"from": "tab"})).headers["location"]
    assert where.startswith(ann.root)
    test = re.search(r"test=([0-9a-f-]{36})", where)
    assert test
    assert "On its way" in await ann.sees(f"?hook={hook.id}&test={test[1]}")
    await ann.sees(f"?hook={other.id}&test={test[1]}", 404)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"type": "sync_trigger"}, "needs the data source"),
        ({"type": "sync_trigger", "dataSourceId": "nonsense"}, "no data source of this bot"),
        ({"type": "sync_trigger", "dataSourceId": "01999999-9999-7999-8999-999999999999"}, "no data source of this bot"),
        ({"type": "sync_success"}, "about-targetUrl"),
        ({"type": "sync_success", "targetUrl": "http://127.0.0.1/<b>"}, "127.0.0.1"),
        ({"type": "sync_failure", "targetUrl": "https://8.8.8.8/" + "x" * 3000}, "2048 is the most"),
    ],
)
async def test_what_can_not_be_taken_is_told_at_its_field(fields: dict[str, str], sentence: str, ann: Ann) -> None:
    page = (await ann.sends("", 422, **fields)).text
    assert sentence in page
    assert 'aria-invalid="true"' in page
    typed = fields.get("targetUrl", "").replace("<", "&lt;").replace(">", "&gt;")
    assert typed in page
    assert await ann.hooks() == ()


@pytest.mark.parametrize(
    ("change", "field"), [({"secret": "short"}, "secret"), ({"secret": "s" * 600}, "secret"), ({"secret": "s" * 20, "overlap": "5"}, "overlap")]
)
async def test_a_refused_change_keeps_what_was_typed(change: dict[str, str], field: str, ann: Ann) -> None:
    hook = await ann.trigger()
    page = (await ann.sends(f"/{hook.id}", 422, **{"dataSourceId": ann.source.id, "overlap": "0", **change})).text
    assert f'value="{change["secret"]}"' in page
    assert 'aria-invalid="true"' in page
    assert (await ann.hooks())[0].secret == hook.secret


async def test_the_guard_is_asked_while_a_target_is_typed(ann: Ann) -> None:
    for url, said in (("https://8.8.8.8/", "Webhooks may be sent there"), ("http://169.254.169.254/", "error"), ("", "It is sent a POST")):
        assert said in (await ann.sends("/explain", 200, targetUrl=url)).text


async def test_members_see_no_secrets_and_change_nothing(ann: Ann) -> None:
    hook, outgoing = await ann.trigger(), await ann.outgoing()
    await ann.house.services.db.write(lambda tx: tx.execute(update(members).values(role="member")).rowcount)
    for more in ("", f"?hook={hook.id}", f"?hook={outgoing.id}", "?setup=sync_trigger"):
        page = await ann.sees(more)
        for secret in (hook.secret, outgoing.secret, TARGET, "8.8.8.8", "Setup", "Update"):
            assert secret not in page, more
    for more in ("", "/explain", f"/{hook.id}"):
        await ann.sends(more, 403, type="sync_trigger", dataSourceId=ann.source.id)
    assert len(await ann.hooks()) == 2


async def test_requests_need_the_token_of_the_form(ann: Ann) -> None:
    hook = await ann.trigger()
    for more in ("", "/explain", f"/{hook.id}"):
        await ann.sends(more, 403, form_token="0" * 64, type="sync_trigger", dataSourceId=ann.source.id)
    assert await ann.hooks() == (hook,)


async def test_long_targets_are_shortened_in_the_list_and_whole_in_the_form(ann: Ann) -> None:
    target = f"https://8.8.8.8/{'a' * 1000}{'&' * 900}/end-of-it"
    for _ in range(25):
        await ann.sends(type="sync_success", targetUrl=target)
    tab = await ann.sees()
    assert len(tab.encode()) < 60_000
    assert tab.count("/end-of-it</a>") == 25
    assert html.escape(target) in await ann.sees(f"?hook={(await ann.hooks())[-1].id}")


async def test_hooks_of_others_are_not_there(ann: Ann) -> None:
    theirs = (await ann.house.stranger.made("/bots", {"name": "Secret bot"}))["id"]
    made = await ann.house.stranger.made(f"/bots/{theirs}/webhooks", {"type": "sync_success", "targetUrl": TARGET})
    assert (await ann.client.get(f"/app/bots/{theirs}/webhooks/live")).status_code == 404
    other = await ann.house.services.db.write(bots.create, ann.workspace_id, "Another bot")
    own = await ann.outgoing()
    for bot_id, hook_id in ((theirs, made["id"]), (ann.bot.id, made["id"]), (other.id, own.id), (ann.bot.id, "nonsense")):
        at: dict[str, Any] = {"data": {"form_token": token_in(await ann.client.get("/app/bots")), "enabled": "no"}}
        assert (await ann.client.get(f"/app/bots/{bot_id}/webhooks?hook={hook_id}")).status_code == 404
        assert (await ann.client.post(f"/app/bots/{bot_id}/webhooks/{hook_id}", **at)).status_code == 404
    assert await ann.hooks() == (own,)


async def test_a_bot_without_data_sources_says_what_to_do(ann: Ann) -> None:
    bot = await ann.house.services.db.write(bots.create, ann.workspace_id, "Empty bot")
    page = await ann.client.get(f"/app/bots/{bot.id}/webhooks?setup=sync_trigger")
    assert "This bot has no data source yet." in page.text


async def test_of_many_data_sources_one_is_chosen_by_its_name(ann: Ann) -> None:
    def more(tx: Tx) -> None:
        for number in range(CHOICES):
            name = "Twice" if number > CHOICES - 3 else f"Source {number}"
            data_sources.create(tx, DataSource(new_id(), ann.workspace_id, ann.bot.id, name, "folder", {}, paused=False, created_at=number))

    assert "<select" in await ann.sees("?setup=sync_trigger")
    await ann.house.services.db.write(more)
    page = await ann.sees("?setup=sync_trigger")
    assert 'name="dataSourceName"' in page
    assert page.count("<option>") == CHOICES
    offered = (await ann.client.get(f"{ann.root}/sources?dataSourceName=SOURCE+77")).text
    assert offered.strip() == "<option>Source 77</option>"
    for wrong, sentence in (
        ("Source", "No data source of this bot has this name."),
        ("Twice", "Several data sources have this name."),
        ("x" * 201, "200 is the most"),
    ):
        assert sentence in (await ann.sends("", 422, type="sync_trigger", dataSourceName=wrong)).text
    await ann.sends(type="sync_trigger", dataSourceName=" Source 77 ")
    (hook,) = await ann.hooks()
    page = await ann.sees(f"?hook={hook.id}")
    assert 'value="Source 77"' in page
    assert page.count("Source 77</span>") == 1  # the list names it too
    same = {"secret": hook.secret, "overlap": "0"}
    twice = await ann.house.services.db.read(data_sources.called, ann.bot.id, "Twice")
    for typed, chosen in ((ann.source.name, ann.source.id), (twice[0], twice[0]), ("Twice", twice[0])):
        await ann.sends(f"/{hook.id}", dataSourceName=typed, **same)
        assert (await ann.hooks())[0].data_source_id == chosen
    await ann.sends(f"/{hook.id}", dataSourceName="Source 5", **same)
    open_here = re.findall(r'name="shown_with" value="([^"]+)"', await ann.sees(f"?hook={hook.id}"))[0]
    await ann.sends(f"/{hook.id}", dataSourceName="Source 7", **same)
    await ann.sends(f"/{hook.id}", dataSourceName="Source 5", **same, shown_with=open_here)  # nobody typed into it
    assert 'name="dataSourceName" list="sources-offered" value="Source 7"' in await ann.sees(f"?hook={hook.id}")
    both = (await ann.sends(f"/{hook.id}", 422, dataSourceName="Source 6", **same, shown_with=open_here)).text
    assert "it is “Source 7” now" in both
    assert 'value="Source 6"' in both
    await ann.sends(type="sync_success", targetUrl=TARGET, dataSourceName="")
    assert (await ann.hooks())[1].data_source_id is None

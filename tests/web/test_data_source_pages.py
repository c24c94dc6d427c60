"""The pages of data sources: what they show, who may do what, and a form made from any schema; on both databases."""

import re
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import pytest
from pydantic import Field
from sqlalchemy import update

from tests.web.test_both_changed import shown_with
from tests.web.test_sign_in import EMAIL, browsing, house, signed_in, token_in  # noqa: F401 - `house` is a fixture
from tests.web.world import World
from tidings.connectors import registry
from tidings.connectors.base import Config
from tidings.connectors.folder import FolderConnector
from tidings.errors import FieldError, Invalid
from tidings.model import credentials
from tidings.store import data_sources as stored
from tidings.store.tables import members, snapshots
from tidings.web.pages.config_forms import at_fields, blank, config_of, fields_of, flat
from tidings.web.pages.forms import Form


class Browser:
    """Ann's browser, with the token of her forms."""

    def __init__(self, client: httpx.AsyncClient, token: str, bot: str) -> None:
        self.client, self.token, self.bot = client, token, bot

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.client.post(path, data={"form_token": self.token, **fields})

    async def made(self, path: str) -> str:
        """The address of a new folder data source."""
        answer = await self.post(f"{self.bot}/data-sources/new", **{"type": "folder", "name": "Runbooks", "config.path": path})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]


@pytest.fixture
async def ann(house: World) -> AsyncIterator[Browser]:  # noqa: F811 - the fixture
    """Ann, signed in, with a bot."""
    async with browsing(house) as client:
        await signed_in(client)
        token = token_in(await client.get("/app/bots/new"))
        bot = (await client.post("/app/bots/new", data={"name": "Bot", "form_token": token})).headers["location"]
        yield Browser(client, token, bot)


def root(world: World) -> str:
    return str(world.services.settings.local_roots[0])


async def test_a_data_source_is_added_looked_at_paused_and_deleted(house: World, ann: Browser) -> None:  # noqa: F811
    assert "No data source yet" in (await ann.get(f"{ann.bot}/data-sources")).text
    kinds = (await ann.get(f"{ann.bot}/data-sources/new")).text
    assert re.findall(r'\?type=(\w+)"', kinds) == ["website", "files", "folder", "feed", "notion", "git", "sql", "youtube"]
    for connector in registry.kinds():
        assert (await ann.get(f"{ann.bot}/data-sources/new?type={connector.kind}")).status_code == 200
    source = await ann.made(root(house))
    data_source_id = source.rpartition("/")[2]
    assert "A sync is queued." in (await ann.get(source)).text
    await house.with_row(data_source_id, "Some text.")
    await house.with_row(data_source_id, "Some text.", error="It can't be read.")
    await house.ended_sync(data_source_id, "failed", code="source_unreachable", reason="The folder is gone.")
    page = (await ann.get(source)).text
    assert "The folder is gone." in page
    assert page.count("It can&#39;t be read.") == 1
    assert "The folder is gone." in (await ann.get(f"{ann.bot}/data-sources")).text
    assert "It can&#39;t be read." not in (await ann.get(f"{source}?state=ok")).text
    assert "No row is like that." in (await ann.get(f"{source}?q=nothing-like-it")).text
    for odd in ("q=a%00b", "q=%FF", "state=other", "cursor=x", "before=x", "before=%00"):
        assert (await ann.get(f"{source}?{odd}")).status_code in {200, 404, 422}
    assert (await ann.post(f"{source}/pause")).status_code == 303
    assert "It is paused" in (await ann.get(source)).text
    await ann.post(f"{source}/sync")
    assert "Resume it first." in (await ann.get(source)).text
    await ann.post(f"{source}/resume")
    await ann.post(f"{source}/sync")
    view = (await ann.get(source)).text
    cancel = next(part for part in view.split('"') if part.endswith("/cancel"))
    await ann.post(cancel)
    assert "The sync was cancelled" in (await ann.get(source)).text
    await ann.post(cancel)
    assert "This sync has ended already" in (await ann.get(source)).text
    assert "Runbooks" in (await ann.get(f"{source}/delete")).text
    deleted = await ann.post(f"{source}/delete")
    assert deleted.headers["location"] == f"{ann.bot}/data-sources"
    assert (await ann.get(source)).status_code == 404


async def test_a_sync_without_one_row_that_could_be_read_is_no_success_to_people(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    await house.with_row(source[-36:], "Some text.", error="The server answers 503.")
    await house.services.db.write(lambda tx: tx.execute(update(snapshots).values(rows=0)).rowcount)
    await house.ended_sync(
        source[-36:], failed=1, results={"totalTokens": 0, "modifiedRows": 0, "totalDocuments": 0, "unmodifiedRows": 0, "totalDataSourceRows": 0}
    )
    page = (await ann.get(source)).text
    assert "Its only row could not be read: The server answers 503." in page
    assert "No row read" in page
    assert "Fresh" not in page
    assert "No row read" in (await ann.get(f"{ann.bot}/data-sources")).text
    assert "Not one row could be read: 1 row failed" in (await ann.get(next(part for part in page.split('"') if part.startswith("/app/syncs/")))).text
    assert "Not one row could be read. The server answers 503." in (await ann.get("/app/bots")).text


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_is_kept(ann: Browser) -> None:
    sent = {
        "type": "folder",
        "name": "Papers & more",
        "config.path": "relative/path",
        "config.include": "*.md\n" + "x" * 300,
        "config.options.key": "an-id",
        "config.options.secret": "hush",
    }
    answer = await ann.post(f"{ann.bot}/data-sources/new", **sent)
    assert answer.status_code == 422
    assert "Papers &amp; more" in answer.text
    assert "relative/path" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "hush" not in answer.text
    assert '<details class="group" open>' in answer.text
    unknown = await ann.post(f"{ann.bot}/data-sources/new", type="nothing", name="x")
    assert unknown.status_code == 404
    missing = await ann.post(f"{ann.bot}/data-sources/new", type="feed", name="")
    assert missing.text.count('aria-invalid="true"') >= 1


async def test_members_look_and_sync_and_change_nothing(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    await house.services.db.write(lambda tx: tx.execute(update(members).values(role="member")).rowcount)
    assert (await ann.get(source)).status_code == 200
    assert "Delete" not in (await ann.get(source)).text
    assert (await ann.post(f"{source}/sync")).status_code == 303
    assert (await ann.get(f"{source}/settings")).status_code == 403
    for path in (f"{source}/settings/name", f"{source}/settings/config", f"{source}/settings/schedule", f"{source}/settings/schedule/next"):
        assert (await ann.post(path)).status_code == 403
    for path in (f"{source}/pause", f"{source}/resume", f"{source}/delete", f"{source}/syncs/{source[-36:]}/cancel", f"{ann.bot}/data-sources/new"):
        assert (await ann.post(path)).status_code == 403
    assert (await ann.get(f"{ann.bot}/data-sources/new")).status_code == 403


async def test_tokens_are_asked_for_and_others_see_nothing(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    for path in (f"{source}/sync", f"{source}/pause", f"{source}/delete", f"{ann.bot}/data-sources/new"):
        assert (await ann.client.post(path, data={})).status_code == 403
    bot = (await house.stranger.made("/bots", {"name": "Theirs"}))["id"]
    body = {"name": "Theirs", "type": "folder", "config": {"path": root(house)}}
    theirs = (await house.stranger.made(f"/bots/{bot}/data-sources", body))["id"]
    for path in (
        f"/app/bots/{bot}/data-sources",
        f"/app/data-sources/{theirs}",
        f"/app/data-sources/{theirs}/live",
        f"/app/data-sources/{theirs}/rows/live",
        f"/app/data-sources/{theirs}/settings",
    ):
        assert (await ann.get(path)).status_code == 404
    for end in ("sync", "pause", "delete", "settings/name", "settings/config", "settings/schedule", "settings/schedule/next"):
        assert (await ann.post(f"/app/data-sources/{theirs}/{end}")).status_code == 404


class _Inner(Config):
    token: str | None = None


class _Everything(Config):
    word: str
    count: int = Field(5, ge=1)
    ratio: float | None = None
    yes: bool = True
    no: bool = False
    mode: Literal["one", "two"] = "one"
    many: list[str] = Field([])
    inner: _Inner = _Inner()
    table: dict[str, int] = Field({})


class _AnyConnector(FolderConnector):
    kind = "any"
    config_type = _Everything
    secret_fields = frozenset({"inner.token"})


def test_a_form_is_made_of_a_schema_and_a_config_of_a_form() -> None:
    fields = fields_of(_AnyConnector())
    assert [(field.key, field.kind) for field in flat(fields)] == [
        ("word", "text"),
        ("count", "number"),
        ("ratio", "number"),
        ("yes", "switch"),
        ("no", "switch"),
        ("mode", "choice"),
        ("many", "lines"),
        ("token", "secret"),
        ("table", "json"),
    ]
    untouched = blank(fields)
    assert config_of(fields, Form(untouched)) == {}  # so that a later default counts for it too
    typed = {"config.word": " a ", "config.count": "7", "config.ratio": "0.5", "config.no": "on", "config.mode": "two", "config.many": "a\n\n b "}
    typed |= {"config.inner.token": "t", "config.table": '{"a": 1}'}
    made: dict[str, Any] = config_of(fields, Form(typed))
    assert made == {
        "word": "a",
        "count": 7,
        "ratio": 0.5,
        "yes": False,
        "no": True,
        "mode": "two",
        "many": ["a", "b"],
        "inner": {"token": "t"},
        "table": {"a": 1},
    }
    assert _Everything.model_validate(made).count == 7
    assert config_of(fields, Form({**untouched, "config.count": "many"})) == {"count": "many"}  # refused by the connector, in its words


def test_errors_are_led_to_the_field_that_a_form_has() -> None:
    found = at_fields(Invalid(FieldError("config.include.2", "Too long."), FieldError("config.other", "Unknown.")), {"name", "config.include"})
    assert [error.field for error in found.errors] == ["config.include", "config.other"]


async def test_settings_are_changed_and_credentials_stay(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    assert "What it reads" in (await ann.get(f"{source}/settings")).text
    assert (await ann.post(f"{source}/settings/name", name=" ")).status_code == 422
    assert (await ann.post(f"{source}/settings/name", name="Handbook")).status_code == 303
    assert "<h1>Handbook</h1>" in (await ann.get(source)).text
    refused = await ann.post(f"{source}/settings/config", **{"config.path": "/nowhere"})
    assert refused.status_code == 422
    assert 'value="/nowhere"' in refused.text
    tried = await ann.post(f"{source}/settings/config", **{"config.path": root(house), "do": "try"})
    assert "a.md" in tried.text
    await house.ended_sync(source.rpartition("/")[2])
    assert (await ann.post(f"{source}/settings/config", **{"config.path": root(house), "config.exclude": "b.md\n"})).status_code == 303
    assert "A sync is queued." in (await ann.get(source)).text
    assert "b.md" in (await ann.get(f"{source}/settings")).text
    git = await ann.post(f"{ann.bot}/data-sources/new", type="git", name="Code", **{"config.url": "https://8.8.8.8/a/b", "config.token": "hush-hush"})
    code = git.headers["location"]
    page = (await ann.get(f"{code}/settings")).text
    assert "hush-hush" not in page
    assert "One is kept" in page
    data_source_id = code.rpartition("/")[2]

    async def token() -> str | None:
        kept = await house.services.db.read(lambda tx: stored.get(tx, stored.workspace_of(tx, data_source_id), data_source_id))
        opened = credentials.opened(house.services.secretbox, data_source_id, kept.config, {"token"})
        return opened.get("token")

    assert await token() == "hush-hush"
    await ann.post(f"{code}/settings/config", **{"config.url": "https://8.8.8.8/a/c", "config.token": ""})
    assert await token() == "hush-hush"
    await ann.post(f"{code}/settings/config", **{"config.url": "https://8.8.8.8/a/c", "config.token": "", "drop.config.token": "on"})
    assert await token() is None


TOLD = (  # the end of the address, what there is, what somebody else and what Ann makes of it, what she is told
    ("name", {"name": "Code"}, {"name": "Theirs"}, {"name": "Mine"}, "it is “Theirs” now"),
    ("config", {"config.url": "https://8.8.8.8/a/b"}, {"config.url": "https://8.8.8.8/a/c"}, {"config.url": "https://8.8.8.8/a/d"}, "a/c” now"),
    ("config", {"config.token": ""}, {"config.token": "theirs"}, {"config.token": "mine"}, "it may be another one now"),
    ("schedule", {"starts": "asked"}, {"starts": "every", "every": "4"}, {"starts": "cron", "cron": "0 5 * * *"}, "it is “Every 4 h” now"),
    ("schedule", {"window": ""}, {"window": "on", "opens": "20:00"}, {"window": "on", "opens": "21:00"}, "it is from 20:00 to 06:00 now"),
    ("schedule", {"fresh": ""}, {"fresh": "2", "fresh_unit": "days"}, {"fresh": "3"}, "it is “2 d” now"),
)


async def test_what_somebody_else_has_changed_too_is_told_before_it_is_overwritten(ann: Browser) -> None:
    git = {"config.url": "https://8.8.8.8/a/b", "config.token": "hush-hush"}
    code: str = (await ann.post(f"{ann.bot}/data-sources/new", type="git", name="Code", **git)).headers["location"]
    for end, was, theirs, mine, told in TOLD:
        here = f"{code}/settings/{end}"
        assert (await ann.post(here, **was)).status_code == 303, was
        open_here = shown_with((await ann.get(f"{code}/settings")).text, here)
        assert "hush" not in open_here
        assert (await ann.post(here, **theirs)).status_code == 303
        as_it_is = shown_with((await ann.get(f"{code}/settings")).text, here)
        if end == "config":
            assert told in (await ann.post(here, **mine, shown_with=open_here, do="try")).text
        refused = await ann.post(here, **mine, shown_with=open_here)
        assert (refused.status_code, told in refused.text) == (422, True), told
        assert (await ann.post(here, **was, shown_with=open_here)).status_code == 303  # nobody typed
        assert shown_with((await ann.get(f"{code}/settings")).text, here) == as_it_is
        assert (await ann.post(here, **mine, shown_with=shown_with(refused.text, here))).status_code == 303


async def test_what_did_not_come_of_a_form_stays(ann: Browser) -> None:
    web = {"config.url": "https://8.8.8.8/", "config.maxPages": "7"}
    source: str = (await ann.post(f"{ann.bot}/data-sources/new", type="website", name="Site", **web)).headers["location"]
    await ann.post(f"{source}/settings/schedule", starts="every", every="4", every_unit="hours", window="on", opens="20:00", closes="21:00", fresh="2")
    for end in ("name", "config", "schedule"):
        answer = await ann.post(f"{source}/settings/{end}")
        assert (answer.status_code, "did not come whole" in answer.text) == (422, True)
    assert (await ann.post(f"{source}/settings/schedule", fresh="3")).status_code == 303
    assert (await ann.post(f"{source}/settings/config", **{"config.url": "https://8.8.8.8/docs"})).status_code == 303
    page = (await ann.get(f"{source}/settings")).text
    assert "Every 4 h, between 20:00 and 21:00" in page
    assert 'name="config.maxPages" type="text" value="7"' in page


async def test_a_schedule_is_typed_shown_and_kept(house: World, ann: Browser) -> None:  # noqa: F811
    source = await ann.made(root(house))
    here = f"{source}/settings/schedule"
    every = {"starts": "every", "every": "1.5", "every_unit": "hours", "fresh": "2", "fresh_unit": "days", "time_zone": "UTC"}
    assert "Every 1 h 30 min." in (await ann.post(f"{here}/next", **every)).text
    assert (await ann.post(here, **every)).status_code == 303
    page = (await ann.get(source)).text
    assert "Every 1 h 30 min" in page
    assert "A sync succeeds every 2 d: " in page
    shown = (await ann.get(f"{source}/settings")).text
    assert 'value="90"' in shown
    assert shown.count("<li>") == 3
    cron = {"starts": "cron", "cron": "0 3 * * 1-5", "time_zone": "Europe/Berlin", "window": "on", "opens": "02:00", "closes": "05:00"}
    assert "(Europe/Berlin)" in (await ann.post(f"{here}/next", **cron)).text
    assert (await ann.post(here, **cron)).status_code == 303
    assert "At 03:00 on Monday through Friday, between 02:00 and 05:00 (Europe/Berlin)" in (await ann.get(source)).text
    for field, wrong in (("cron", "daily"), ("time_zone", "Mars/Base"), ("opens", "25:00"), ("closes", "02:00"), ("fresh", "soon"), ("fresh", "0")):
        answer = await ann.post(here, **{**cron, "fresh_unit": "hours", field: wrong})
        assert answer.status_code == 422, field
        assert f'id="about-{field}" class="small error"' in answer.text, field
        assert "error" in (await ann.post(f"{here}/next", **{**cron, "fresh_unit": "hours", field: wrong})).text
    assert (await ann.post(here, starts="every", every="", every_unit="hours")).status_code == 422
    assert (await ann.post(here, starts="asked")).status_code == 303
    assert "Only when somebody asks for a sync" in (await ann.get(source)).text

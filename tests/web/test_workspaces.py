"""Set-up, API keys and plans: what the command line and the API do with them."""

import asyncio
import secrets

import pytest
from sqlalchemy import insert, select

from tests.web.world import World, a_bot, a_folder, opened, settings_in
from tidings import clock
from tidings.errors import Conflict, Invalid, NotFound
from tidings.model.ids import new_id
from tidings.model.workspaces import allowance_of
from tidings.settings import Settings
from tidings.store import tables
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces import keys, plans
from tidings.workspaces.setup import is_set_up, setup

PASSWORD = "correct horse battery"


async def test_set_up_once(database: Database, settings: Settings) -> None:
    assert not await is_set_up(database)
    made = await asyncio.gather(*(setup(database, settings, f"ann{n}@example.com", PASSWORD, "W") for n in range(3)), return_exceptions=True)
    (done,) = [each for each in made if not isinstance(each, BaseException)]
    assert [type(each) for each in made if isinstance(each, BaseException)] == [Conflict, Conflict]
    workspace_id, key = done
    caller = await keys.caller_of(database, key)
    assert caller is not None
    assert (caller.workspace_id, caller.role) == (workspace_id, "operator")
    assert await is_set_up(database)
    (person,) = await database.read(lambda tx: tx.execute(select(tables.users.c.email, tables.users.c.password_hash)).all())
    assert person.password_hash.startswith("$argon2id$")
    kept = await database.read(lambda tx: str(tx.execute(select(tables.api_keys)).all()))
    assert key not in kept


@pytest.mark.parametrize(
    ("email", "password", "name", "fields"),
    [
        ("", PASSWORD, "W", ["email"]),
        ("ann", PASSWORD, "W", ["email"]),
        ("ann@", PASSWORD, "W", ["email"]),
        ("a b@c", PASSWORD, "W", ["email"]),
        ("a@b\0", PASSWORD, "W", ["email"]),
        ("a@" + "b" * 300, PASSWORD, "W", ["email"]),
        ("a@b", "1234567", "W", ["password"]),
        ("a@b", "x" * 1025, "W", ["password"]),
        ("a@b", PASSWORD, "  ", ["workspace"]),
        ("a@b", PASSWORD, "x" * 201, ["workspace"]),
        ("a", "b", "\n", ["email", "password", "workspace"]),
    ],
)
async def test_set_up_refuses(database: Database, settings: Settings, *, email: str, password: str, name: str, fields: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        await setup(database, settings, email, password, name)
    assert [error.field for error in refused.value.errors] == fields
    assert not await is_set_up(database)


async def test_keys(world: World) -> None:
    db, workspace_id = world.services.db, world.owner.workspace_id
    name = secrets.token_hex(4)
    made, key = await keys.create(db, workspace_id, f" {name} ", "member")
    assert (made.name, made.role, made.revoked_at, key.startswith("tdk_")) == (name, "member", None, True)
    assert made in await keys.all_of_them(db)
    await keys.revoke(db, made.id)
    await keys.revoke(db, made.id)
    assert await keys.caller_of(db, key) is None
    with pytest.raises(NotFound):
        await keys.revoke(db, new_id())
    with pytest.raises(NotFound):
        await keys.revoke(db, "nonsense")
    with pytest.raises(NotFound):
        await keys.create(db, new_id(), "x", "owner")
    with pytest.raises(Invalid):
        await keys.create(db, workspace_id, "x", "king")  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await keys.create(db, None, "x", "owner")  # there are two workspaces


async def test_a_key_before_the_set_up(database: Database) -> None:
    with pytest.raises(NotFound, match="tidings setup"):
        await keys.create(database, None, "x", "owner")


async def test_plans(settings: Settings) -> None:
    names = {"small": 1000, "large": None}
    async with opened(settings_in(settings), plans=names, default_plan="small") as world:
        db, now = world.services.db, world.services.settings
        seen = (await world.member("GET", "/workspace", 200)).json()
        assert seen["plan"] == {"name": "small", "storageTokensPerMonth": 1000}
        seen = (await world.operator("PATCH", "/workspace", 200, json={"plan": "large"})).json()
        assert seen["plan"] == {"name": "large", "storageTokensPerMonth": None}
        await world.operator("PATCH", "/workspace", 200, json={"plan": "large"})  # is so already: nothing happened
        (told,) = [item for item in (await world.member("GET", "/activity", 200)).json()["items"] if item["kind"] != "key_created"]
        assert (told["kind"], told["sentence"]) == ("plan_changed", "The workspace was put on the plan large; it was on small.")
        assert "plan_changed" not in (await world.stranger("GET", "/activity", 200)).text
        with pytest.raises(Invalid):
            await plans.change(db, now, world.owner.workspace_id, plan="huge")
        with pytest.raises(NotFound):
            await plans.change(db, now, new_id(), plan="small")
        without = now.model_copy(update={"plans": {"small": 1000}})
        view = await plans.view(db, without, world.owner.workspace_id)
        assert (view.workspace.plan, view.allowance) == ("large", 1000)


def test_a_plan_that_is_gone_counts_as_the_default_one() -> None:
    assert allowance_of("a", {"a": 5, "b": 7}, "b") == 5
    assert allowance_of("gone", {"a": 5, "b": 7}, "b") == 7
    assert allowance_of("gone", {"a": 5, "b": None}, "b") is None


async def test_usage_is_told_by_day_bot_and_data_source(world: World) -> None:
    source = await a_folder(world, world.owner, await a_bot(world.owner))
    workspace_id, bot_id = world.owner.workspace_id, source["botId"]
    charged = {"workspace_id": workspace_id, "bot_id": bot_id, "data_source_id": source["id"], "storage_tokens": 7}

    def charge(tx: Tx) -> None:
        tx.execute(insert(tables.usage).values(workspace_id=workspace_id, month="2026-02", storage_tokens=14))
        tx.execute(insert(tables.usage_by_day), [{**charged, "day": day} for day in ("2026-02-01", "2026-02-28")])

    await world.services.db.write(charge)
    await world.owner("DELETE", f"/data-sources/{source['id']}", 204)
    seen = (await world.member("GET", "/usage?month=2026-02", 200)).json()
    assert seen == {
        "month": "2026-02",
        "storageTokens": 14,
        "byDay": [{"day": "2026-02-01", "storageTokens": 7}, {"day": "2026-02-28", "storageTokens": 7}],
        "byBot": [{"botId": bot_id, "bot": seen["byBot"][0]["bot"], "deleted": False, "storageTokens": 14}],
        "byDataSource": [{"dataSourceId": source["id"], "dataSource": source["name"], "botId": bot_id, "deleted": True, "storageTokens": 14}],
    }
    assert (await world.stranger("GET", "/usage?month=2026-02", 200)).json()["storageTokens"] == 0
    assert (await world.member("GET", "/usage", 200)).json()["month"] == clock.month(clock.now())
    await world.member("GET", "/usage?month=2026-13", 422)

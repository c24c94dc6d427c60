"""Trigger URLs under pressure: which refusal wins, the rate under calls at once, secrets that change while calls come."""

import asyncio
import contextlib
import json
import random
import secrets
from typing import Any

from sqlalchemy import update

from tests.flows.trigger_web import Web
from tests.flows.webhook_house import House, Travel
from tidings import clock
from tidings.model.webhooks import Hook
from tidings.settings import Settings
from tidings.store.database import open_database
from tidings.store.tables import data_sources
from tidings.store.transactions import Tx
from tidings.store.triggers import MINUTE


async def set_source(house: House, **values: Any) -> None:
    def write(tx: Tx) -> None:
        tx.execute(update(data_sources).where(data_sources.c.id == house.source.id).values(**values))

    await house.db.write(write)


async def test_which_answer_wins_of_all_that_fit(house: House) -> None:
    """Everything that can be wrong is wrong at once; then the reasons are taken away, the first one first."""
    hook, web = await house.trigger_hook(), Web(house, rate=1)
    assert (await web(hook.trigger_path)).status == 200  # the rate is used up
    await set_source(house, deleted_at=1, paused=True)
    hook = await house.change(hook, enabled=False, post_only=True)
    path, method = hook.trigger_path + "x", "PUT"
    pieces: tuple[bytes, ...] = (b"x" * 2**20, b"y")
    headers = {"Sec-Purpose": "prefetch"}
    won = []

    async def ask() -> None:
        answer = await web(path, method, headers=headers, pieces=pieces)
        assert answer.is_refusal(answer.status)
        won.append((answer.status, answer.headers.get("allow"), json.loads(answer.body)["reason"].partition(".")[0]))

    await ask()
    method = "GET"
    await ask()
    headers = {}
    await ask()
    pieces = (b"",)
    await ask()
    path = hook.trigger_path
    await ask()
    await house.change(hook, post_only=False)
    await ask()
    await house.change(hook, enabled=True)
    await ask()
    await set_source(house, paused=False)
    await ask()
    await set_source(house, deleted_at=None)
    await ask()
    assert [(status, allow) for status, allow, _ in won] == [
        (405, "GET, POST"),
        (403, None),
        (413, None),
        (404, None),
        (405, "POST"),
        (403, None),
        (403, None),
        (410, None),
        (429, None),
    ]
    assert ["fetches ahead" in won[1][2], "disabled" in won[5][2], "paused" in won[6][2]] == [True, True, True]
    assert len(await house.queued()) == 1


async def test_the_rate_holds_in_every_minute_whatever_comes_at_once(house: House, settings: Settings) -> None:
    """Bursts of calls, on PostgreSQL through two processes' doors; then each minute that can be laid over what was accepted is looked at."""
    travel, rate = Travel(), random.randrange(3, 8)
    hook = await house.trigger_hook()
    accepted: list[tuple[int, int]] = []  # (before, after) the burst in which a call was accepted
    with contextlib.ExitStack() as stack:
        doors = [Web(house, rate)]
        if settings.database_url is not None:
            doors.append(Web(house, rate, stack.enter_context(contextlib.closing(open_database(settings)))))
        for _ in range(25):
            before = clock.now()
            answers = await asyncio.gather(*(random.choice(doors)(hook.trigger_path) for _ in range(random.randrange(1, 2 * rate))))
            assert {answer.status for answer in answers} <= {200, 429}
            accepted += [(before, clock.now())] * sum(answer.status == 200 for answer in answers)
            travel.forward(random.choice([0, 1, 7, 20, 45]))
        assert len(accepted) > rate
        assert [later for (_, later), (earlier, _) in zip(accepted[rate:], accepted, strict=False) if later - earlier < MINUTE] == []
        travel.forward(61)
        answers = await asyncio.gather(*(random.choice(doors)(hook.trigger_path) for _ in range(3 * rate)))
        assert sum(answer.status == 200 for answer in answers) == rate
        for door in doors:
            await door.urls.aclose()


async def test_no_call_with_a_secret_that_counts_fails_while_it_is_changed(house: House) -> None:
    hook, web = await house.trigger_hook(), Web(house)
    counting: list[Hook] = [hook]
    over = asyncio.Event()
    tried = 0

    async def call() -> None:
        nonlocal tried
        while not over.is_set():
            chosen = random.choice(counting)
            answer = await web(chosen.trigger_path)
            assert answer.status == 200 or chosen not in counting, "a secret that counted all the time was refused"
            tried += 1

    async def change() -> None:
        for turn in range(30):
            # An own secret that was the former one before is taken back now and then.
            secret = counting[-2].secret if turn % 5 == 4 and len(counting) > 1 else "generate"
            before = counting[-1]
            del counting[:-1]  # the former one goes with this change
            counting.append(await house.change(before, secret=secret, overlap_seconds=random.randrange(60, 7 * 86_400)))
            await asyncio.sleep(random.random() / 50)
        over.set()

    await asyncio.gather(change(), *(call() for _ in range(8)))
    assert tried > 100
    assert [(await web(one.trigger_path)).status for one in counting] == [200, 200]
    assert (await web(hook.trigger_path)).status == 404
    final = await house.change(counting[-1], secret=secrets.token_hex(8))
    assert [(await web(one.trigger_path)).status for one in (*counting, final)] == [404, 404, 200]

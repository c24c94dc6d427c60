"""Sources that hang, wherever they can: what becomes of the rows, of the sync, and of one that is cancelled meanwhile."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.flows.engine import LET_GO, Engine, engine_over
from tests.flows.source_of_texts import Stage, Texts, TextsSource
from tidings import clock
from tidings.connectors.base import Listed, Outcome, Unlistable, Wanted
from tidings.errors import LeaseLost, SourceUnreachable
from tidings.settings import Settings
from tidings.store import leases, syncs
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.syncs.patience import Patience
from tidings.syncs.run import SourceToSync, run_sync

STAGES: tuple[Stage, ...] = ("open", "list", "fetch", "close")
SHORT = Patience(open=0.1, batch=0.1, row=0.02, close=0.1)


def texts_of(count: int, **options: Any) -> Texts:
    """`count` rows, each with a text of its own."""
    return Texts({f"row {n}": f"This is what row {n} says." for n in range(count)}, **options)


@asynccontextmanager
async def engine_of(texts: Texts, database: Database, settings: Settings, home: Path, **limits: Any) -> AsyncIterator[Engine]:
    """An engine over `texts`."""
    async with engine_over(database, settings, home, open_source=texts.open, **limits) as engine:
        try:
            yield engine
        finally:
            texts.let_go.set()


class Grouped(TextsSource):
    """Holds a group of tasks from one batch of its listing to the next."""

    def __init__(self, texts: Texts) -> None:
        super().__init__(texts)
        self.ended: list[str] = []

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.look_ahead())
            async for batch in super().list_rows():
                yield batch

    async def look_ahead(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("listing")

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        got = await super().fetch(wanted)
        if self.held.hangs is None:
            raise SourceUnreachable("It went away.")
        return got

    async def aclose(self) -> None:
        self.ended.append("source")


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_a_listing_holds_ends_with_it(database: Database, settings: Settings, home: Path, *, cancelled: bool) -> None:
    source = Grouped(texts_of(5_000, versions=False, hangs="fetch" if cancelled else None))  # more than is under way at once, so that the listing waits

    async def open_grouped(_: Held) -> SourceToSync:
        return SourceToSync(source, "print", "settings")

    async with engine_over(database, settings, home, open_source=open_grouped) as engine:
        running = asyncio.create_task(engine.sync())
        if cancelled:
            await source.held.hung.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            assert ((await running).code, (await running).reason) == ("source_unreachable", "It went away.")
        assert source.ended == ["listing", "source"]


@pytest.mark.parametrize("stubborn", [False, True])
async def test_rows_that_stall_fail_alone(database: Database, settings: Settings, home: Path, *, stubborn: bool) -> None:
    texts = texts_of(30, hanging_rows={"row 3", "row 20"}, stubborn=stubborn)
    async with engine_of(texts, database, settings, home, patience=SHORT) as engine:
        ended = await engine.sync()
        assert (ended.state, ended.counts.added, ended.counts.failed) == ("succeeded", 28, 2)
        failed = {key: row.error for key, row in (await engine.rows()).items() if row.error}
        assert set(failed) == {"row 3", "row 20"}
        assert all("did not give this row within 0.02 seconds" in (why or "") for why in failed.values())
        texts.hanging_rows.clear()
        assert (await engine.sync()).counts.added == 2


async def test_a_source_may_say_that_its_rows_take_long(database: Database, settings: Settings, home: Path) -> None:
    class Slow(TextsSource):
        row_seconds = 60.0

        async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
            await asyncio.sleep(len(wanted) * 3 * SHORT.row)
            return await super().fetch(wanted)

    async def open_slow(_: Held) -> SourceToSync:
        return SourceToSync(Slow(texts_of(10)), "print", "settings")

    async with engine_over(database, settings, home, open_source=open_slow, patience=SHORT) as engine:
        ended = await engine.sync()
        assert (ended.state, ended.counts.added, ended.counts.failed) == ("succeeded", 10, 0)


async def test_a_source_that_stalls_at_every_row_is_not_waited_for_row_by_row(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(30, hangs="fetch")
    async with engine_of(texts, database, settings, home, patience=SHORT) as engine:
        ended = await engine.sync()
        assert (ended.state, ended.code) == ("failed", "too_many_failed_rows")
        assert "did not give this row" in (ended.reason or "")
        portions = sum(len(keys) > 1 for keys in texts.asked)
        assert sum(len(keys) == 1 for keys in texts.asked) <= 3 * portions


@pytest.mark.parametrize("stage", ["open", "list"])
async def test_a_source_that_stalls_as_a_whole_fails_the_sync(database: Database, settings: Settings, home: Path, stage: Stage) -> None:
    async with engine_of(texts_of(3, hangs=stage), database, settings, home, patience=SHORT) as engine:
        ended = await engine.sync()
        assert (ended.state, ended.code) == ("failed", "source_unreachable")
        assert "0.1 seconds" in (ended.reason or "")


async def test_a_source_that_does_not_close_costs_nothing(database: Database, settings: Settings, home: Path) -> None:
    async with engine_of(texts_of(3, hangs="close", stubborn=True), database, settings, home, patience=SHORT) as engine:
        assert (await engine.sync()).counts.added == 3


@pytest.mark.parametrize("stubborn", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_run_over_its_time_ends_with_timeout_wherever_it_hangs(
    database: Database, settings: Settings, home: Path, stage: Stage, *, stubborn: bool
) -> None:
    texts = texts_of(3, hangs=stage, stubborn=stubborn)
    async with engine_of(texts, database, settings, home, limit=3 * clock.SECOND) as engine:
        ended = await engine.sync()
        assert texts.hung.is_set()
        assert (ended.state, ended.code) == ("failed", "timeout")
        assert await engine.rows() == {}


@pytest.mark.parametrize("stubborn", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_cancelled_sync_lets_go_wherever_it_hangs(database: Database, settings: Settings, home: Path, stage: Stage, *, stubborn: bool) -> None:
    texts = texts_of(3, hangs=stage, stubborn=stubborn)
    async with engine_of(texts, database, settings, home) as engine:
        held = await engine.claim()
        running = asyncio.create_task(run_sync(engine.work, held))
        await texts.hung.wait()
        await database.write(syncs.cancel, engine.workspace, held.sync_id)
        async with asyncio.timeout(LET_GO):
            with pytest.raises(LeaseLost):
                await running
        texts.hangs = None
        assert (await engine.sync()).state == "succeeded"


CANCEL = """
import sys
from tidings.settings import load_settings
from tidings.store import syncs
from tidings.store.database import open_database
import asyncio, contextlib

with contextlib.closing(open_database(load_settings())) as db:
    asyncio.run(db.write(syncs.cancel, sys.argv[1], sys.argv[2]))
print("cancelled", flush=True)
"""


async def test_another_process_cancels(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(3, hangs="fetch", stubborn=True)
    async with engine_of(texts, database, settings, home) as engine:
        held = await engine.claim()
        running = asyncio.create_task(run_sync(engine.work, held))
        await texts.hung.wait()
        environment = {**os.environ, "TIDINGS_HOME": str(home), **({"TIDINGS_DATABASE_URL": settings.database_url} if settings.database_url else {})}
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", CANCEL, engine.workspace, held.sync_id, stdout=subprocess.PIPE, env=environment)
        assert other.stdout is not None
        assert await other.stdout.readline() == b"cancelled\n"
        async with asyncio.timeout(LET_GO):
            with pytest.raises(LeaseLost):
                await running
        await other.wait()


def readers_at_work() -> bool:
    """Whether a process that reads documents has been at it for a while."""
    return any(one.cpu_times().user > 0.2 for one in psutil.Process().children(recursive=True) if one.ppid() != os.getpid())


async def test_cancelled_while_a_huge_row_is_read(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({"huge.md": "\n\n".join(f"## Part {n}\n\nWords of part {n}, and others. " * 3 for n in range(300_000))})
    async with engine_of(texts, database, settings, home) as engine:
        held = await engine.claim()
        running = asyncio.create_task(run_sync(engine.work, held))
        while not readers_at_work():  # noqa: ASYNC110 - nothing tells that the bytes have arrived there
            await asyncio.sleep(0.01)
        await database.write(syncs.cancel, engine.workspace, held.sync_id)
        async with asyncio.timeout(LET_GO):
            with pytest.raises(LeaseLost):
                await running
        assert await engine.rows() == {}


async def test_stopping_hands_over_what_hangs(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(3, hangs="fetch", stubborn=True)
    async with engine_of(texts, database, settings, home) as engine:
        held = await engine.claim()
        running = asyncio.create_task(run_sync(engine.work, held))
        await texts.hung.wait()
        running.cancel()
        async with asyncio.timeout(LET_GO):
            with pytest.raises(asyncio.CancelledError):
                await running
        await database.write(leases.hand_over, held)
        texts.hangs = None
        taken = await database.write(leases.claim, "next", clock.SECOND * 30)
        assert taken is not None
        assert (await run_sync(engine.work, taken)).counts.added == 3

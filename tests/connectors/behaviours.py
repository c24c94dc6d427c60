"""One suite of behaviours that every connector passes, through whole syncs on both databases.

A connector's tests say what its sources live in, a `Place`, and get the suite by inheriting it:

    class TestFolder(Behaviours):
        @pytest.fixture
        async def place(self, settings, tmp_path): yield FolderPlace(...)

What a kind can't have by its nature is declared by its place, in `lacks`, with the reason; where it does something else instead, the suite checks that.
"""

import asyncio
import secrets
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, ClassVar, Literal

import pytest
from sqlalchemy import select

from tests.flows.engine import Engine, engine_of
from tidings import clock
from tidings.connectors.base import Connector
from tidings.errors import LeaseLost
from tidings.knowledge import search
from tidings.model.ids import new_id
from tidings.model.syncs import Sync
from tidings.model.targets import Targets
from tidings.settings import Settings
from tidings.store import leases, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.store.transactions import Tx
from tidings.syncs.run import run_sync

Lack = Literal[
    "knows unchanged rows",  # an unchanged row is read again; its text is not made again
    "sees removals",  # what vanished at the source stays
    "looks rows up",  # rows that somebody names are not to be had without a whole listing
    "can be refused",  # there is nothing that could refuse to show it
    "reads row by row",  # the listing brings the rows' contents, so a sync that goes on has them listed again
]
SHORT_LEASE = 3 * clock.SECOND  # renewed every second, which is when a sync that waits learns that it was cancelled


class Place(ABC):
    """Where the rows of one data source live, and what can go wrong there. It remembers which contents it gave away."""

    connector: Connector[Any]
    config: Mapping[str, Any]
    tls: ssl.SSLContext | None = None  # whom to trust, where that is not whom the machine trusts
    lacks: ClassVar[Mapping[Lack, str]] = {}
    down: ClassVar[str] = "source_unreachable"  # the code of a sync while the source is down
    many: ClassVar[int] = 80  # rows of a source that a sync is killed in the middle of,
    at_once: ClassVar[int] = 0  # contents that it is asked for at the same time; 0: they come in one answer, or without a network
    part: ClassVar[int] = 60  # and how many of their contents it has got by then: so many that some are staged

    def __init__(self) -> None:
        self.data_source = new_id()

    def settings(self, settings: Settings) -> Settings:
        """The settings under which the place may be reached."""
        return settings.model_copy(update={"allowed_networks": (ip_network("127.0.0.0/8"),)})

    @property
    @abstractmethod
    def reads(self) -> list[str]:
        """The keys of the rows whose contents the connector was given; of a kind that lists contents, anything for each whole listing."""

    async def settle(self) -> None:
        """Waits until what was put does not count as just touched."""
        return

    @abstractmethod
    async def put(self, name: str, text: str) -> str:
        """Makes or changes the row `name`; its key."""

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Takes the row away."""

    @abstractmethod
    async def spoil(self, name: str) -> None:
        """Makes the row, which is there already, one that can't be had or read; `put` mends it."""

    @abstractmethod
    async def take_down(self) -> None:
        """The source does not answer any more."""

    @abstractmethod
    async def bring_back(self) -> None:
        """It does again."""

    async def refuse(self) -> None:
        """The source refuses us: wrong credentials, no permission."""
        raise NotImplementedError

    @abstractmethod
    async def hold(self, after: int = 0) -> None:
        """Lets so many contents through, then keeps whoever asks for one waiting."""

    @abstractmethod
    async def release(self) -> None:
        """Lets them go on."""

    @property
    def waiting(self) -> int:
        """How many wait, of a kind whose contents are asked for one by one."""
        raise NotImplementedError

    @property
    def holding(self) -> bool:
        """Whether somebody waits."""
        return self.waiting > 0


def sentence(text: str | None) -> bool:
    """Whether this can be shown to people."""
    return text is not None and (text[0].isupper() or text.startswith("http")) and text.endswith(".") and "Traceback" not in text


async def until(happened: Callable[[], bool | Awaitable[bool]], seconds: float = 200) -> None:
    """Waits for a condition; the limit only ends a test that would hang."""
    async with asyncio.timeout(seconds):
        while not (now if isinstance(now := happened(), bool) else await now):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


def stored_keys(tx: Tx) -> list[str]:
    """The keys of all versions of rows that were ever stored."""
    return list(tx.execute(select(t.rows.c.key).join(t.versions, t.versions.c.row_n == t.rows.c.n)).scalars())


def lease_of(tx: Tx, sync_id: str) -> int:
    """When the lease of a sync ends."""
    return int(tx.execute(select(t.syncs.c.lease_until).where(t.syncs.c.id == sync_id)).scalar_one())


@asynccontextmanager
async def engine_at(place: Place, db: Database, settings: Settings, **limits: Any) -> AsyncIterator[Engine]:
    """An engine over what is in the place; at the end nobody is kept waiting there."""
    async with engine_of(db, place.settings(settings), place.connector, place.config, data_source=place.data_source, tls=place.tls, **limits) as engine:
        try:
            yield engine
        finally:
            await place.release()


async def filled(place: Place, count: int) -> dict[str, str]:
    """`count` rows, each with a word that is in no other; the word by the row's name."""
    words = {f"page{n:04}": f"marker{secrets.token_hex(6)}" for n in range(count)}
    for name, word in words.items():
        await place.put(name, f"This page speaks of {word} at some length.")
    return words


async def finds(engine: Engine, word: str) -> bool:
    """Whether the word is in a published document."""
    return bool(await engine.db.read(search.search, engine.bot, word, 10))


def counted(sync: Sync) -> tuple[int, int, int]:
    """Rows that a sync added, changed and removed; the sync has succeeded."""
    assert sync.state == "succeeded", sync.reason
    return sync.counts.added, sync.counts.changed, sync.counts.removed


class Behaviours:
    """The suite. A subclass has a fixture `place`."""

    async def test_first_and_unchanged(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, 12)
        await place.settle()
        async with engine_at(place, database, settings) as engine:
            first = await engine.sync()
            assert counted(first) == (12, 0, 0)
            rows = await engine.rows()
            assert len(rows) == 12
            assert all(row.error is None and row.documents > 0 for row in rows.values())
            assert first.results is not None
            assert first.results.total_tokens == sum(row.tokens for row in rows.values()) > 0
            assert [word for word in words.values() if not await finds(engine, word)] == []
            read = len(place.reads)
            unchanged = await engine.sync()
            assert counted(unchanged) == (0, 0, 0)
            assert unchanged.results is not None
            assert (unchanged.results.total_tokens, unchanged.results.unmodified_rows) == (0, 12)
            assert "knows unchanged rows" in place.lacks or place.reads[read:] == []
            assert await engine.rows() == rows

    async def test_changed_added_and_removed(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, 12)
        async with engine_at(place, database, settings) as engine:
            await engine.sync()
            before = await engine.rows()
            changed = await place.put("page0003", "Now this page tells of a heron.")
            added = await place.put("page0012", "And this one tells of a kingfisher.")
            await place.remove("page0007")
            sync = await engine.sync()
            after = await engine.rows()
            assert await finds(engine, "heron")
            assert await finds(engine, "kingfisher")
            assert not await finds(engine, words["page0003"])
            stays = "sees removals" in place.lacks
            assert await finds(engine, words["page0007"]) is stays
            assert counted(sync) == (1, 1, 0 if stays else 1)
            assert added in after.keys() - before.keys()
            assert len(after) == (13 if stays else 12)
            assert {before[key].id for key in before.keys() & after.keys()} <= {row.id for row in after.values()}
            manifest = await engine.changes(sync)
            assert (manifest.pop(changed), manifest.pop(added)) == ("changed", "added")
            assert list(manifest.values()) == ([] if stays else ["removed"])

    async def test_rows_that_somebody_names_are_looked_up(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, 12)
        async with engine_at(place, database, settings) as engine:
            await engine.sync()
            named = await place.put("page0003", "Now this page tells of a heron.")
            also_changed = await place.put("page0004", "And this one, of which nobody speaks, of a kingfisher.")
            missing = await place.put("page0007", "This is here no longer than until it is asked for.")
            await place.remove("page0007")
            sync = await engine.sync(targets=Targets((named, missing)))
            whole = "looks rows up" in place.lacks
            assert sync.state == "succeeded", sync.reason
            assert (sync.targets is None) is whole
            assert await finds(engine, "kingfisher") is whole
            assert await finds(engine, "heron")
            stays = "sees removals" in place.lacks
            assert await finds(engine, words["page0007"]) is stays
            assert await engine.changes(sync) == {named: "changed"} | ({} if stays else {missing: "removed"}) | ({also_changed: "changed"} if whole else {})

    async def test_an_unreadable_row_is_named_and_ends_no_sync(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, 12)
        async with engine_at(place, database, settings) as engine:
            await engine.sync()
            key = await place.put("page0005", f"This page still speaks of {words['page0005']}.")
            await engine.sync()
            await place.spoil("page0005")
            spoiled = await engine.sync()
            assert counted(spoiled) == (0, 0, 0)
            assert spoiled.counts.failed == 1
            assert (await engine.changes(spoiled)) == {key: "failed"}
            row = (await engine.rows())[key]
            assert sentence(row.error)
            assert row.documents > 0  # its last good version stays
            assert await finds(engine, words["page0005"])
            await place.put("page0005", "Mended, it speaks of a wagtail.")
            mended = await engine.sync()
            assert (counted(mended), mended.counts.failed) == ((0, 1, 0), 0)
            assert (await engine.rows())[key].error is None

    async def test_a_source_that_is_down_fails_the_sync_and_changes_nothing(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, 12)
        async with engine_at(place, database, settings) as engine:
            await engine.sync()
            rows = await engine.rows()
            await place.take_down()
            failed = await engine.sync()
            assert (failed.state, failed.code) == ("failed", place.down)
            assert sentence(failed.reason)
            assert await engine.rows() == rows
            assert await finds(engine, words["page0000"])
            await place.bring_back()
            assert counted(await engine.sync()) == (0, 0, 0)

    async def test_a_slow_source_is_waited_for_and_stays_readable(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, 12)
        async with engine_at(place, database, settings, lease=SHORT_LEASE) as engine:
            await engine.sync()
            await place.put("page0000", "Slowly it comes to speak of a bittern.")
            await place.hold()
            held = await engine.claim()
            running = asyncio.create_task(run_sync(engine.work, held))
            await until(lambda: place.holding or running.done())
            leased = await database.read(lease_of, held.sync_id)

            async def renewed() -> bool:
                return await database.read(lease_of, held.sync_id) > leased

            await until(renewed)
            assert await finds(engine, words["page0000"])  # readers have the whole former snapshot
            assert not running.done()
            await place.release()
            assert counted(await running) == (0, 1, 0)
            assert await finds(engine, "bittern")

    async def test_what_a_slow_source_has_is_asked_for_together(self, database: Database, settings: Settings, place: Place) -> None:
        if not place.at_once:
            pytest.skip("its contents come in one answer, or without a network")
        await filled(place, min(60, place.many))
        async with engine_at(place, database, settings) as engine:
            await place.hold()
            held = await engine.claim()
            running = asyncio.create_task(run_sync(engine.work, held))
            await until(lambda: place.waiting >= place.at_once or running.done())
            assert place.waiting == place.at_once
            await place.release()
            assert counted(await running) == (min(60, place.many), 0, 0)

    async def test_a_source_that_refuses_us_fails_the_sync_with_the_reason(self, database: Database, settings: Settings, place: Place) -> None:
        if reason := place.lacks.get("can be refused"):
            assert not place.connector.secret_fields
            pytest.skip(reason)
        await filled(place, 12)
        async with engine_at(place, database, settings) as engine:
            await engine.sync()
            rows = await engine.rows()
            await place.refuse()
            failed = await engine.sync()
            assert (failed.state, failed.code) == ("failed", "source_rejected")
            assert sentence(failed.reason)
            given = [str(place.config[name]) for name in place.connector.secret_fields if name in place.config]
            assert [secret for secret in given if secret in str(failed.reason)] == []
            assert await engine.rows() == rows

    async def test_a_cancelled_sync_lets_go_of_its_source(self, database: Database, settings: Settings, place: Place) -> None:
        await filled(place, 12)
        async with engine_at(place, database, settings, lease=SHORT_LEASE) as engine:
            await engine.sync()
            rows = await engine.rows()
            await place.put("page0000", "This is to come later, and speaks of a plover.")
            await place.hold()
            held = await engine.claim()
            running = asyncio.create_task(run_sync(engine.work, held))
            await until(lambda: place.holding or running.done())
            await database.write(syncs.cancel, engine.workspace, held.sync_id)
            async with asyncio.timeout(200):
                with pytest.raises(LeaseLost):
                    await running
            assert await engine.rows() == rows
            await place.release()
            assert counted(await engine.sync()) == (0, 1, 0)

    async def test_a_sync_that_was_killed_goes_on_with_what_it_staged(self, database: Database, settings: Settings, place: Place) -> None:
        words = await filled(place, place.many)
        async with engine_at(place, database, settings) as engine:
            await place.hold(after=place.part)
            held = await engine.claim()
            running = asyncio.create_task(run_sync(engine.work, held))
            await until(lambda: place.holding or running.done())

            async def some_staged() -> bool:
                return bool(await database.read(stored_keys))

            await until(some_staged)
            running.cancel()  # as a dying process would end
            with pytest.raises(asyncio.CancelledError):
                await running
            while (taken := await self._taken_over(engine)) is None:  # noqa: ASYNC110 - nothing tells: a last write of its threads holds the row for a moment
                await asyncio.sleep(0.02)
            assert (taken.sync_id, taken.takeovers) == (held.sync_id, 1)
            staged = set(await database.read(stored_keys))  # no more of the first attempt's is let in
            assert len(staged) < place.many
            assert await engine.rows() == {}
            await place.release()
            read = len(place.reads)
            assert counted(await run_sync(engine.work, taken)) == (place.many, 0, 0)
            assert len(await engine.rows()) == place.many
            assert len(await database.read(stored_keys)) == place.many  # none was stored twice
            assert "reads row by row" in place.lacks or staged.isdisjoint(place.reads[read:])
            assert [word for word in words.values() if not await finds(engine, word)] == []

    async def _taken_over(self, engine: Engine) -> Held | None:
        await engine.db.write(leases.void)
        return await engine.db.write(leases.claim, "another", engine.work.lease)

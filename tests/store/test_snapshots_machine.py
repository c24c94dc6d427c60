"""Random histories of syncs (of all rows or some; failures, kills, resumes, cancels, rollbacks, sweeps, zombies) against a plain model, on both databases.

STORE_HISTORIES says how many (60 without it, half of them on each database).
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete, insert, select, update

from tests.postgres import create_database, drop_database
from tests.store.histories import Item, Run, Shown, judge
from tidings.errors import Conflict, LeaseLost
from tidings.knowledge import search
from tidings.model.bots import Cursor
from tidings.model.ids import new_id
from tidings.model.syncs import Progress, Sync
from tidings.model.targets import Targets
from tidings.model.verdicts import Failed, Stored, Verdict
from tidings.settings import load_settings
from tidings.store import history, known, leases, quarantine, rows, snapshots, staging, sweep, syncs
from tidings.store import tables as t
from tidings.store.database import open_database
from tidings.store.known import Staging
from tidings.store.transactions import Tx
from tidings.syncs.plan_changes import Plan, plan_row

# Few keys and few texts, so that histories come back to what was there before.
KEYS = st.sampled_from(["a.md", "b.md", "dir/c.md"])
WORDS = ["alder", "birch"]
TEXTS = st.sampled_from([(), ("alder",), ("birch", "alder"), ("birch", "birch")])
HISTORIES = int(os.environ.get("STORE_HISTORIES") or 60) // 2  # on each database
KEEP = 3
LEASE = 30_000_000


class Histories(RuleBasedStateMachine):
    """The machine. `open_` gives the database of one history; the loop runs its coroutines."""

    open_: Callable[[], contextlib.AbstractContextManager[Any]]

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.loop = asyncio.new_event_loop()
        self.db = self.stack.enter_context(type(self).open_())
        self.source: dict[str, Item] = {}
        self.editions = 0
        self.snapshots: dict[int, dict[str, Shown]] = {0: {}}  # by number, those that are kept
        self.number = 0
        self.undone: Counter[tuple[str, tuple[str, ...]]] = Counter()  # paid for and rolled back
        self.paid: Counter[tuple[str, tuple[str, ...]]] = Counter()  # of these, those that the next sync has parked
        self.at_hand: Counter[tuple[str, tuple[str, ...]]] = Counter()  # of these, those that a sync in vain has taken and the next one parks again
        self.swept_next = False  # the latest sync succeeded, so nobody will ask for what is parked
        self.ids: dict[str, str] = {}
        self.charged = 0
        self.run: Run | None = None
        self.zombies: list[Staging] = []
        self.workspace, self.bot, self.data_source = new_id(), new_id(), new_id()
        self.announced: list[str] = []

    @property
    def published(self) -> dict[str, tuple[str, ...]]:
        """What readers see: words by key."""
        return {key: shown.words for key, shown in self.snapshots[self.number].items()}

    def write(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.loop.run_until_complete(self.db.write(fn, *args, **kwargs))

    def read(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.loop.run_until_complete(self.db.read(fn, *args, **kwargs))

    def teardown(self) -> None:
        self.stack.close()
        self.loop.close()

    @initialize()
    def make(self) -> None:
        def rows_of(tx: Tx) -> None:
            first = (t.documents, t.versions, t.changes, t.rows, t.snapshots, t.sync_refs, t.syncs)
            for table in (*first, t.usage, t.usage_by_day, t.data_sources, t.bots, t.workspaces):
                tx.execute(delete(table))
            tx.execute(insert(t.workspaces).values(id=self.workspace, name="W", plan="p", created_at=1))
            tx.execute(insert(t.bots).values(id=self.bot, workspace_id=self.workspace, name="B", created_at=1))
            source = {"id": self.data_source, "name": "D", "type": "folder", "config": {}}
            tx.execute(insert(t.data_sources).values(**source, workspace_id=self.workspace, bot_id=self.bot, created_at=1))

        self.write(rows_of)

    # What happens at the source

    @rule(edits=st.dictionaries(KEYS, st.tuples(TEXTS, st.sampled_from([True, True, False])), min_size=1))
    def edit(self, edits: dict[str, tuple[tuple[str, ...], bool]]) -> None:
        for key, (words, readable) in edits.items():
            self.editions += 1
            self.source[key] = Item(words, self.editions, readable)

    @rule(key=KEYS)
    def remove_at_source(self, key: str) -> None:
        self.source.pop(key, None)

    # What happens to syncs

    @rule()
    def request_a_follow_up(self) -> None:
        self.write(syncs.request, self.data_source, "hook")

    @precondition(lambda self: self.run is None)
    @rule(force=st.sampled_from([False, False, True]), dry_run=st.sampled_from([False, False, True]))
    def begin(self, *, force: bool, dry_run: bool = False, targets: Targets | None = None) -> None:
        self.write(syncs.request, self.data_source, "api", force=force, dry_run=dry_run, targets=targets)
        held = self.write(leases.claim, "worker", LEASE)
        assert held is not None
        assert held.takeovers == 0
        while self.write(known.park, held):
            pass
        self.run = Run(held, self.write(known.begin, held))
        self.paid += self.undone
        self.undone.clear()
        self.at_hand.clear()

    @precondition(lambda self: self.run is not None)
    @rule(keys=st.sets(KEYS, min_size=1))
    def stage(self, keys: set[str]) -> None:
        assert self.run is not None
        self.settle(self.run, {key: item for key, item in self.source.items() if key in keys and self.run.about(key)})

    @precondition(lambda self: self.run is not None)
    @rule(words=TEXTS)
    def hold_back(self, words: tuple[str, ...]) -> None:
        assert self.run is not None
        back = [key for key, found in self.run.settled.items() if found == words and self.published.get(key, words) != words]
        assert self.write(quarantine.hold_back, self.run.staging, " ".join(words), "It is held back.") == len(back)
        self.run.settled.update(dict.fromkeys(back))

    @precondition(lambda self: self.run is not None)
    @rule()
    def kill_and_resume(self) -> None:
        assert self.run is not None
        self.zombies.append(self.run.staging)
        self.write(leases.void)
        held = self.write(leases.claim, "another", LEASE)
        assert held.sync_id == self.run.held.sync_id
        assert held.fence == self.run.held.fence + 1
        assert held.target_n == self.run.staging.target
        self.run = Run(held, self.write(known.begin, held), self.run.settled, self.run.repeated)

    @precondition(lambda self: self.zombies)
    @rule(words=TEXTS)
    def zombie_writes(self, words: tuple[str, ...]) -> None:
        with pytest.raises(LeaseLost):
            self.write(staging.settle, self.zombies[-1], [judge("zombie.md", None, Item(words, 0), "0", force=False)])
        with pytest.raises(LeaseLost):
            self.write(snapshots.publish, self.zombies[-1], Progress(), lambda _plan: None, lambda _tx, _sync: None, cursor=Cursor(None, ""))

    @precondition(lambda self: self.run is not None)
    @rule(limit=st.sampled_from([None, None, None, 0]))
    def finish(self, limit: int | None) -> None:
        assert self.run is not None
        run, before = self.run, self.published
        self.settle(run, {key: item for key, item in self.source.items() if run.about(key)})
        self.stage_removals(run)
        after = {key: words for key, words in before.items() if key in self.source or key in run.settled or not run.about(key)}
        after.update({key: words for key, words in run.settled.items() if words is not None})
        charge = self.read(lambda tx: tx.execute(select(t.syncs.c.charge).where(t.syncs.c.id == run.held.sync_id)).scalar_one())
        allowance = None if limit is None else self.charged + limit
        sync: Sync = self.write(snapshots.publish, run.staging, Progress(), lambda _plan: allowance, self.announce, cursor=Cursor(None, ""))
        self.end(swept=sync.state == "succeeded" and not sync.dry_run)
        modified = {key for key in after if after[key] != before.get(key)}
        assert charge == sum(sum(map(len, after[key])) for key in modified if (key, after[key]) not in run.repeated)
        if limit is not None and charge > limit:
            assert (sync.state, sync.code, sync.reason) == ("failed", "over_plan_limit", "Over plan storage token limit, please upgrade plan")
            return
        assert sync.results is not None
        assert sync.results.modified_rows == len(modified)
        assert sync.results.unmodified_rows == len(after) - len(modified)
        assert sync.results.total_data_source_rows == len(after)
        assert sync.results.total_documents == sum(len(words) for words in after.values())
        assert sync.results.total_tokens == charge
        assert (sync.counts.added, sync.counts.removed) == (len(after.keys() - before.keys()), len(before.keys() - after.keys()))
        assert (sync.id in self.announced) is not sync.dry_run
        if sync.dry_run:
            return
        self.charged += sync.results.total_tokens
        self.paid -= run.repeated
        if after != before:
            self.snapshots[self.number + 1] = {
                key: Shown(after[key], self.number + 1) if key in modified else self.snapshots[self.number][key] for key in after
            }
            self.number += 1

    @precondition(lambda self: self.run is not None)
    @rule()
    def fail(self) -> None:
        assert self.run is not None
        self.write(snapshots.fail, self.run.held, snapshots.Failure("source_unreachable", "It was gone."), Progress(), self.announce)
        self.end(swept=False)

    @precondition(lambda self: self.run is not None)
    @rule()
    def cancel(self) -> None:
        assert self.run is not None
        self.write(syncs.cancel, self.workspace, self.run.held.sync_id)
        self.zombies.append(self.run.staging)
        self.end(swept=False)

    def end(self, *, swept: bool) -> None:
        assert self.run is not None
        if self.run.staging.held.targets is None:  # what is parked waits for a sync of all
            self.swept_next = swept
        self.at_hand = Counter() if swept else self.run.repeated
        self.run = None

    # Whole syncs in one step, so that histories of several are common

    @precondition(lambda self: self.run is None)
    @rule(keys=st.sets(KEYS, min_size=1), cancelled=st.booleans())
    def sync_that_ends_badly(self, *, keys: set[str], cancelled: bool) -> None:
        self.begin(force=False)
        self.stage(keys)
        if cancelled:
            self.cancel()
        else:
            self.fail()

    @precondition(lambda self: self.run is None)
    @rule()
    def sync_that_succeeds(self) -> None:
        self.begin(force=False)
        self.finish(None)

    @precondition(lambda self: self.run is None)
    @rule(keys=st.sets(KEYS, min_size=1), killed=st.booleans(), failed=st.sampled_from([False, False, True]))
    def sync_of_some_rows(self, *, keys: set[str], killed: bool, failed: bool) -> None:
        self.begin(force=False, targets=Targets(tuple(sorted(keys))))
        if killed:
            self.stage(keys)
            self.kill_and_resume()
        if failed:
            self.fail()
        else:
            self.finish(None)

    # The way back

    @precondition(lambda self: self.run is None and self.number - 1 in self.snapshots and self.number > 1)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([n for n in self.snapshots if 0 < n < self.number]))
        self.write(history.roll_back, self.workspace, self.data_source, number)
        versions = {(key, shown) for n, rows_ in self.snapshots.items() if n > number for key, shown in rows_.items() if shown.since > number}
        self.undone += Counter((key, shown.words) for key, shown in versions)
        self.snapshots = {n: shown for n, shown in self.snapshots.items() if n <= number}
        self.number = number
        self.write(syncs.request, self.data_source, "hook")
        assert self.write(leases.claim, "worker", LEASE) is None, "it is paused"
        self.write(lambda tx: tx.execute(update(t.data_sources).values(paused=False)))

    @precondition(lambda self: self.run is not None and self.number > 1)
    @rule()
    def no_way_back_while_a_sync_runs(self) -> None:
        with pytest.raises(Conflict):
            self.write(history.roll_back, self.workspace, self.data_source, max(self.number - 1, min(self.snapshots.keys() - {0})))

    @rule()
    def sweep_all(self) -> None:
        for one in (lambda tx: sweep.old_versions(tx, KEEP), sweep.parked_versions, sweep.empty_rows):
            while self.write(one):
                pass
        self.snapshots = {n: shown for n, shown in self.snapshots.items() if n > self.number - KEEP}
        if self.run is None and self.swept_next:
            self.paid &= self.at_hand

    # What readers see, at any moment

    @invariant()
    def readers_see_the_published_snapshot(self) -> None:
        page, texts = self.read(self.shown)
        seen = {row.key: row for row in page if row.title is not None}
        assert set(seen) == set(self.published)
        for key, words in self.published.items():
            row = seen[key]
            assert (row.documents, row.tokens) == (len(words), sum(map(len, words)))
            assert self.ids.setdefault(key, row.id) == row.id
            assert texts[key] == "\n\n".join(words)
        self.ids = {key: id_ for key, id_ in self.ids.items() if key in self.published}

    def shown(self, tx: Tx) -> tuple[Sequence[rows.RowView], dict[str, str | None]]:
        """The rows, and the texts of those that are published."""
        page = rows.page(tx, self.data_source, limit=200, cursor=None).items
        return page, {row.key: rows.get(tx, self.workspace, row.id).text for row in page if row.key in self.published}

    @invariant()
    def search_finds_published_words_only(self) -> None:
        found = self.read(lambda tx: [search.search(tx, self.bot, word, 50) for word in WORDS])
        for word, hits in zip(WORDS, found, strict=True):
            assert {hit.row_id for hit in hits} == {self.ids[key] for key, words in self.published.items() if word in words}

    @invariant()
    def sums_are_true(self) -> None:
        charged, sizes = self.read(self.sums)
        assert charged == [self.charged] * 2
        size = sizes.get(self.data_source, snapshots.Size())
        words = list(self.published.values())
        assert (size.rows, size.documents, size.tokens) == (len(words), sum(map(len, words)), sum(len(w) for row in words for w in row))

    def sums(self, tx: Tx) -> tuple[list[int], Mapping[str, snapshots.Size]]:
        """What was charged, in all and by day, and how much is published."""
        charged = [sum(tx.execute(select(table.c.storage_tokens)).scalars()) for table in (t.usage, t.usage_by_day)]
        return charged, snapshots.sizes(tx, [self.data_source])

    @invariant()
    def the_history_is_whole(self) -> None:
        kept, page, back = self.read(self.kept)
        assert [(one.number, one.current) for one in kept] == sorted(((n, n == self.number) for n in self.snapshots if n), reverse=True)
        if len(kept) > 1:
            old, new = self.snapshots[kept[-1].number], self.snapshots[self.number]
            changed = {key for key in old.keys() & new.keys() if old[key].words != new[key].words}
            kinds = dict.fromkeys(new.keys() - old.keys(), "added") | dict.fromkeys(old.keys() - new.keys(), "removed") | dict.fromkeys(changed, "changed")
            assert {each.key: each.kind for each in page} == kinds
            assert {each.key for each in back} == kinds.keys()

    def kept(self, tx: Tx) -> tuple[Sequence[history.Snapshot], Sequence[history.Difference], Sequence[history.Difference]]:
        """The snapshots that are kept, and what differs between the oldest and the newest of them, both ways."""
        kept = history.page(tx, self.data_source, limit=200, cursor=None).items
        if len(kept) < 2:
            return kept, (), ()
        there = history.compare(tx, self.data_source, kept[-1].number, self.number, limit=200, cursor=None)
        back = history.compare(tx, self.data_source, self.number, kept[-1].number, limit=200, cursor=None)
        return kept, there.items, back.items

    # How a run goes about it, with the product's own decisions

    def settle(self, run: Run, listed: dict[str, Item]) -> None:
        parked = self.read(known.any_parked, self.data_source)
        rows_ = self.read(known.known_rows, run.staging, list(listed), parked=parked)
        verdicts: list[Verdict] = []
        for key, item in listed.items():
            row, validator = rows_.get(key), str(item.edition)
            plan = plan_row(validator, row, "print", force=run.held.force)
            assert (plan is Plan.SETTLED) == (row is not None and row.settled)
            if plan is Plan.SETTLED:
                assert key in run.settled
            elif plan is Plan.STILL_UNREADABLE:
                assert row is not None
                assert row.error is not None
                verdicts.append(Failed(key, row, row.error, unfetched=False, error_validator=row.error_validator))
            elif plan is not Plan.UNCHANGED:
                verdicts.append(judge(key, row, item, validator, force=run.held.force))
        self.write(staging.settle, run.staging, verdicts)
        for verdict in verdicts:
            if isinstance(verdict, Failed):
                run.settled[verdict.key] = None
            elif isinstance(verdict, Stored):
                words = run.settled[verdict.key] = listed[verdict.key].words
                if self.paid[verdict.key, words]:
                    run.repeated[verdict.key, words] = 1

    def stage_removals(self, run: Run) -> None:
        gone = [(n, key) for n, key in self.read(known.visible_rows, run.staging, 0, 1000) if key not in self.source and run.about(key)]
        if gone:
            self.write(staging.remove, run.staging, gone)

    def announce(self, _tx: Tx, sync: Sync) -> None:
        self.announced.append(sync.id)


@pytest.mark.timeout(900)  # a minute on a machine that does nothing else
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_random_histories(kind: str, request: pytest.FixtureRequest, home: Path) -> None:
    """Every history leaves readers, sums and ids as the plain model says, at every step."""
    server = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    url = create_database(server) if server else None
    settings_ = load_settings(home=home, database_url=url)
    with contextlib.closing(open_database(settings_)) as first:
        first.migrate()

    class OnThisDatabase(Histories):
        open_ = staticmethod(lambda: contextlib.closing(open_database(settings_)))

    examples = settings(max_examples=HISTORIES, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(OnThisDatabase, settings=examples)
    if server and url:
        drop_database(server, url)

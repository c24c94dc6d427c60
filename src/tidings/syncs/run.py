"""One sync from its claim to its end: begin, bring the rows, guard, remove what vanished, publish."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import structlog

from tidings import clock
from tidings.clock import Micros
from tidings.connectors.base import LONGEST_CURSOR, Found, Source, storable
from tidings.errors import LeaseLost, SourceError, SourceUnreachable, TidingsError
from tidings.model.bots import Cursor
from tidings.model.syncs import FailureCode, Sync, SyncWarning
from tidings.model.targets import Targets
from tidings.store import known, leases, quarantine, snapshots, staging, usage
from tidings.store.database import Database
from tidings.store.known import Staging
from tidings.store.leases import Held
from tidings.store.snapshots import OVER_PLAN, Announce, Failure
from tidings.store.usage import Allowance
from tidings.syncs.canary import Search
from tidings.syncs.guard import SAME_TEXT, SAME_TEXT_OTHERS, judge_fetching, judge_quarantine, judge_removals, judge_stop, quarantine_warning
from tidings.syncs.patience import RUN_GRACE, Patience, Stalled, let_go, within
from tidings.syncs.pipeline import Pipeline, Tally
from tidings.text.pool import TextPool

TAKEOVERS = 5  # after so many a sync fails: what kills its workers will kill the next one too
PROGRESS_SECONDS = 0.5
CONFIRM_SECONDS = 1.0  # a sync that was cancelled, and nothing told so, is asked about at least as often
SCAN_BATCH = 1_000
REMOVE_BATCH = 50
MOST_WARNINGS, LONGEST_WARNING = 10, 1_000  # of a source; characters

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SourceToSync:
    """A data source, opened: its connector, what marks the text that it makes, and what marks the settings that its cursor holds under."""

    source: Source
    fingerprint: str
    mark: str


@dataclass(frozen=True, slots=True)
class Work:
    """What running a sync takes. `open_source` reads the data source's settings and opens its connector."""

    db: Database
    pool: TextPool
    open_source: Callable[[Held], Coroutine[Any, Any, SourceToSync]]
    allowance: Allowance
    announce: Announce
    search: Search
    lease: Micros
    limit: Micros  # how long a sync may take
    removal_share: float
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Staged:
    """A snapshot that can be published, where its source's next listing goes on, and what is to be said of it."""

    staging: Staging
    cursor: Cursor | None
    warnings: Sequence[SyncWarning]


class _Stopped(TidingsError):
    """The sync can't publish; `code` and the sentence say why."""


async def run_sync(work: Work, held: Held) -> Sync:
    """Runs a claimed sync to its end, succeeded or failed, and returns it. LeaseLost when it was cancelled or taken over
    meanwhile; other errors mean that it should be tried again."""
    tally = Tally()
    if held.takeovers > TAKEOVERS:
        reason = (
            f"This sync was interrupted {held.takeovers} times, by a fault or because its worker died, so it was given up. "
            "The log of the workers says why; start a sync again when that is mended."
        )
        return await work.db.write(snapshots.fail, held, Failure("internal", reason), tally.progress(), work.announce)
    left = (held.started_at + work.limit - clock.now()) / clock.SECOND
    try:
        async with asyncio.timeout(max(left, 0)) as deadline:
            return await _run(work, held, tally)
    except TimeoutError:
        if not deadline.expired():
            raise
        hours = work.limit / clock.SECOND / 3600
        reason = f"The sync took longer than {hours:g} hours and was stopped. Raise TIDINGS_SYNC_HOURS, or split the source into smaller ones."
        return await work.db.write(snapshots.fail, held, Failure("timeout", reason), tally.progress(), work.announce)
    except (_Stopped, SourceError) as error:
        code: FailureCode = error.code  # type: ignore[assignment]  # these classes carry codes of the contract only
        return await work.db.write(snapshots.fail, held, Failure(code, str(error)), tally.progress(), work.announce)


async def _run(work: Work, held: Held, tally: Tally) -> Sync:
    try:
        staged = await _while_held(work, held, tally)
    except BaseExceptionGroup as group:
        raise _cause(group) from group
    # The lease is not renewed any more: a renewal that came after the end would look like a lost lease.
    return await work.db.write(
        snapshots.publish, staged.staging, tally.progress(), work.allowance, work.announce, cursor=staged.cursor, warnings=staged.warnings
    )


async def _while_held(work: Work, held: Held, tally: Tally) -> Staged:
    """Stages everything while the lease is kept; stops, whatever the source does, when it is lost or the run is cancelled."""
    work_, keeping = asyncio.create_task(_stage(work, held, tally)), asyncio.create_task(_keep(work, held, tally))
    try:
        await asyncio.wait({work_, keeping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        staged = work_.done()
        await let_go(keeping, RUN_GRACE)
        if not staged:
            await let_go(work_, RUN_GRACE)
    return work_.result() if staged else keeping.result()


async def _keep(work: Work, held: Held, tally: Tally) -> NoReturn:
    """Renews the lease, and tells how far the run is, until the lease is lost. LeaseLost."""
    ended = work.db.listen("ended")
    told, renewed, confirmed = tally.progress(), 0.0, 0.0
    while True:
        woken = await ended.wait(PROGRESS_SECONDS)
        now, progress = asyncio.get_running_loop().time(), tally.progress()
        if progress != told or now - renewed > work.lease / clock.SECOND / 3:
            await work.db.write(leases.renew, held, work.lease, progress if progress != told else None)
            told, renewed, confirmed = progress, now, now
        elif woken or now - confirmed > CONFIRM_SECONDS:
            await work.db.read(leases.look, held)
            confirmed = now


async def _stage(work: Work, held: Held, tally: Tally) -> Staged:
    staging_ = await _begin(work, held)
    opened = await _open(work, held)
    try:
        check_plan = partial(_check_plan, work, staging_, tally)
        pipeline = Pipeline(work.db, work.pool, opened.source, staging_, opened.fingerprint, held.force, work.patience, tally, check_plan)
        targeted = await _bring_targets(work, pipeline)
        if not targeted:
            await pipeline.run(opened.source.list_rows())
        tally.read_at, tally.phase = clock.now(), "publishing"
        await _check_fetching(work, staging_, tally)
        texts, warnings = await _hold_back(work, staging_, tally)
        warnings += [] if targeted else _left_out(opened.source)
        if targeted or opened.source.complete:
            await _remove_missing(work, staging_, tally, texts, targeted=targeted)
        elif reason := judge_stop(None, texts):
            raise _Stopped(reason, code="removal_guard")
    finally:
        await _close(work, held, opened.source)
    return Staged(staging_, None if targeted else _cursor(opened), warnings)


async def _open(work: Work, held: Held) -> SourceToSync:
    try:
        return await within(work.patience.open, work.open_source(held))
    except Stalled:
        raise SourceUnreachable(f"The source did not open within {work.patience.open:g} seconds. See whether it answers, then sync again.") from None


async def _close(work: Work, held: Held, source: Source) -> None:
    try:
        await within(work.patience.close, source.aclose())
    except Stalled:
        _log.warning("the source did not close in time; it is left behind", sync=held.sync_id, seconds=work.patience.close)


async def _bring_targets(work: Work, pipeline: Pipeline) -> bool:
    """Brings up to date the rows that somebody asked for. False where all is to be listed: nobody did, the source can't look them up, or they name none."""
    held = pipeline.staging.held
    if held.targets is None:
        return False
    found = await _find(work, pipeline.source, held.targets)
    if found is not None:
        await pipeline.run(_at_once(found))
        if pipeline.tally.rows_seen or pipeline.tally.gone:
            return True
    await work.db.write(leases.widen, held)
    return False


async def _find(work: Work, source: Source, targets: Targets) -> Sequence[Found] | None:
    try:
        return await within(work.patience.batch, source.find_rows(targets))
    except Stalled:
        waited = f"{work.patience.batch:g} seconds"
        raise SourceUnreachable(
            f"The source stalled: it did not look up the rows asked for within {waited}. See whether it answers, then sync again."
        ) from None


async def _at_once(found: Sequence[Found]) -> AsyncIterator[Sequence[Found]]:
    yield found


def _left_out(source: Source) -> list[SyncWarning]:
    return [SyncWarning("left_out", storable(str(sentence))[:LONGEST_WARNING]) for sentence in source.warnings[:MOST_WARNINGS]]


def _cursor(opened: SourceToSync) -> Cursor:
    at = opened.source.cursor
    if at is not None and len(at) > LONGEST_CURSOR:
        _log.warning("the cursor of a connector is too long to be kept, so the next sync lists from the beginning", characters=len(at))
        at = None
    return Cursor(at, opened.mark)


async def _begin(work: Work, held: Held) -> Staging:
    """Puts aside what an earlier sync left, unless this one was taken over and goes on with it."""
    if held.target_n is None:
        while await work.db.write_bulk(known.park, held):
            pass
    return await work.db.write(known.begin, held)


async def _check_plan(work: Work, staging_: Staging, tally: Tally, charge: int) -> None:
    """Stops a run as soon as it has staged more than the plan has left; publishing looks again, under a lock."""
    if charge > tally.left and not staging_.held.dry_run:  # which is to tell what all of it would cost
        tally.left = await work.db.read(usage.left, staging_.held.workspace_id, work.allowance)
        if charge > tally.left and charge - await work.db.read(quarantine.charge_of_shared, staging_, SAME_TEXT_OTHERS) > tally.left:
            raise _Stopped(OVER_PLAN, code="over_plan_limit")


async def _check_fetching(work: Work, staging_: Staging, tally: Tally) -> None:
    unfetched, commonest = await work.db.read(known.fetch_failures, staging_.held)
    reason = judge_fetching(tally.rows_seen, unfetched, commonest)
    if reason is not None:
        raise _Stopped(reason, code="too_many_failed_rows")


async def _hold_back(work: Work, staging_: Staging, tally: Tally) -> tuple[str | None, list[SyncWarning]]:
    """Takes back the texts that many rows came to share. What speaks against going on without all that is held back, and what is to be said of it."""
    for text_hash in await work.db.read(quarantine.shared_texts, staging_, SAME_TEXT_OTHERS):
        while taken_back := await work.db.write_bulk(quarantine.hold_back, staging_, text_hash, SAME_TEXT):
            tally.rows_failed += taken_back
    rows, held_back = await work.db.read(quarantine.held_back, staging_)
    return judge_quarantine(rows, held_back, work.removal_share), [SyncWarning("quarantined", quarantine_warning(held_back))] if held_back else []


async def _remove_missing(work: Work, staging_: Staging, tally: Tally, texts: str | None, *, targeted: bool) -> None:
    """Stages the removal of the published rows that the source does not list any more, or that somebody asked for and that it does not have. Where a guard
    stops that, or the sync for its `texts`, both are said at once, for one approval to cover both."""
    if targeted:
        gone = [(row.n, key) for key, row in tally.gone.items() if row.visible is not None and not row.settled]
    else:
        gone = [row async for row in _unseen(work, staging_, tally)]
    if reason := judge_stop(await _remove(work, staging_, gone, None if targeted else tally.rows_seen), texts):
        raise _Stopped(reason, code="removal_guard")
    if not targeted:
        await _forget_errors(work, staging_, tally)
    elif failing := [row.n for row in tally.gone.values() if row.error is not None]:
        await work.db.write(staging.forget_errors, staging_, failing)


async def _remove(work: Work, staging_: Staging, gone: list[tuple[int, str]], listed: int | None) -> str | None:
    """Stages removals, or lists them where the guard says something against it, and returns that. `listed`: how many rows the source has; None where it was
    not listed: all that are published and not among these."""
    if not gone:
        return None
    facts = await work.db.read(known.removal_facts, staging_)
    # Those that are staged already, before the sync was taken over, passed the guard then, but without what is gone now.
    unapproved = facts.unapproved + sum(key not in facts.approved for _, key in gone)
    left = facts.rows - facts.staged - len(gone) if listed is None else listed
    reason = judge_removals(facts.rows, left, unapproved, work.removal_share)
    stage = staging.remove if reason is None else staging.list_removals
    for start in range(0, len(gone), REMOVE_BATCH):
        await work.db.write_bulk(stage, staging_, gone[start : start + REMOVE_BATCH])
    return reason


async def _unseen(work: Work, staging_: Staging, tally: Tally) -> AsyncIterator[tuple[int, str]]:
    """The published rows that were not listed: both sides are walked in the order of row numbers."""
    seen = iter(sorted(tally.seen))
    next_seen = next(seen, None)
    after = 0
    while page := await work.db.read(known.visible_rows, staging_, after, SCAN_BATCH):
        for n, key in page:
            while next_seen is not None and next_seen < n:
                next_seen = next(seen, None)
            if next_seen != n:
                yield n, key
        after = page[-1][0]


async def _forget_errors(work: Work, staging_: Staging, tally: Tally) -> None:
    """Errors of rows that are not listed any more say nothing to anybody."""
    seen = set(tally.seen)
    after = 0
    while page := await work.db.read(known.failing_rows, staging_, after, SCAN_BATCH):
        unseen = [n for n in page if n not in seen]
        if unseen:
            await work.db.write(staging.forget_errors, staging_, unseen)
        after = page[-1]


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that tells most, of several stages that fell together: a lost lease first, then what the source said."""
    errors = [_cause(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    return next((error for kind in (LeaseLost, SourceError, Exception) for error in errors if isinstance(error, kind)), errors[0])

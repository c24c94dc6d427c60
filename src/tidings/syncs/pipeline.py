"""From the listing of a source to staged rows: list -> plan -> fetch -> extract -> stage, through bounded queues, so that
memory does not grow with the source."""

import asyncio
import hashlib
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tidings import clock
from tidings.aside import aside
from tidings.clock import Micros
from tidings.connectors.base import UNCHANGED, Fetched, Found, Gone, Listed, Outcome, Source, Unlistable, Wanted, in_batches, storable
from tidings.errors import RowError, RowNotFetched, RowNotRead, SourceUnreachable
from tidings.model.syncs import Progress
from tidings.model.verdicts import Failed, KnownRow, KnownVersion, Seen, Stored, StoredDocument, Verdict
from tidings.store import known, staging
from tidings.store.database import Database
from tidings.store.known import Staging
from tidings.syncs.guard import judge_change
from tidings.syncs.patience import Patience, Stalled, within
from tidings.syncs.plan_changes import Content, Plan, Text, judge_bytes, judge_failure, judge_text, judge_vouched, plan_row, staged_as, vouchable
from tidings.text.documents import Extracted
from tidings.text.documents import Source as Bytes
from tidings.text.pool import TextPool

HANDS = 3  # portions that are fetched and read at once
UNDER_WAY = 7  # portions that are fetched, read or waiting to be staged: several are staged by one commit
SMALLEST_PORTION, LARGEST_PORTION = 8, 32  # rows
PORTION_BYTES = 2_000_000
SHORT_TEXT = 256_000  # characters of a portion that may wait in memory while its hand goes on; a longer one is staged first
STAGE_ROWS = 32  # a write is to be short, about 6 ms: others wait behind it
STAGE_DOCUMENTS = 64
UNASKED = "The source says that this row is unchanged, although nothing of it is stored. Look after the connector of this data source, then sync again."
STALLS = 3  # rows of a portion that may stall, each tried alone, before the others are given up with them


class Tally:
    """How far a run is. `seen` holds the numbers of known rows that the source listed: 8 bytes each; `gone` the known rows, by key, that somebody asked for
    and that the source does not have; `left` is what the plan had left (storage tokens) when it was last asked."""

    def __init__(self) -> None:
        self.phase = "listing"
        self.rows_seen = 0
        self.rows_done = 0
        self.rows_failed = 0
        self.listed_at: Micros | None = None
        self.read_at: Micros | None = None
        self.left = 0.0
        self.seen: array[int] = array("q")
        self.gone: dict[str, KnownRow] = {}

    def progress(self) -> Progress:
        """For people."""
        total = None if self.listed_at is None else self.rows_seen
        return Progress(self.phase, self.rows_seen, self.rows_done, self.rows_failed, total, self.listed_at, self.read_at)


@dataclass(frozen=True, slots=True)
class Missing:
    """A listed row that must be fetched, with what is stored of it."""

    wanted: Wanted
    known: KnownRow | None


class Portions:
    """What is to be fetched, cut when it is taken: the more rows were listed by then, the larger may a portion be."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._batches: asyncio.Queue[list[Missing] | None] = asyncio.Queue(1)
        self._rest: list[Missing] = []
        self._under_way = 0
        self._one_is_done = asyncio.Event()
        self._taking = asyncio.Lock()

    async def put(self, batch: list[Missing] | None) -> None:
        """Adds what a batch of the listing leaves to do, once an earlier one was taken; None after the last."""
        await self._batches.put(batch)

    async def take(self) -> list[Missing] | None:
        """The next portion, once so many others are done that it may go on its way; None at the end."""
        async with self._taking:
            while self._under_way >= portions_at_once(self._tally.rows_seen):
                self._one_is_done.clear()
                await self._one_is_done.wait()
            if not self._rest:
                batch = await self._batches.get()
                if batch is None:
                    self._batches.put_nowait(None)  # for whoever asks next
                    return None
                self._rest = batch
            rows = len(next(in_batches((each.wanted for each in self._rest), rows=portion_of(self._tally.rows_seen), size=PORTION_BYTES)))
            portion, self._rest = self._rest[:rows], self._rest[rows:]
            self._under_way += 1
            return portion

    def done(self) -> None:
        """A portion is staged."""
        self._under_way -= 1
        self._one_is_done.set()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the stages of one run share."""

    db: Database
    pool: TextPool
    source: Source
    staging: Staging
    fingerprint: str
    force: bool
    patience: Patience
    tally: Tally
    charged: Callable[[int], Awaitable[None]]  # is told, after each write, what the sync would be charged so far
    under_way: set[str] = field(default_factory=set)  # keys not staged yet: a source may list a key twice

    async def run(self, listing: AsyncIterator[Sequence[Found]]) -> None:
        """Brings every listed row up to date and stages it; ends when the last one is staged. SourceError, LeaseLost."""
        to_do = Portions(self.tally)
        async with asyncio.TaskGroup() as stages:
            stages.create_task(self._list(listing, to_do))
            for _ in range(HANDS):
                stages.create_task(self._work_off(to_do, stages))

    async def _list(self, listing: AsyncIterator[Sequence[Found]], to_do: "Portions") -> None:
        """Plans what the source lists, batch by batch; what is settled by that alone is staged at once."""
        parked = await self.db.read(known.any_parked, self.staging.held.data_source_id)
        try:
            while (batch := await self._next_batch(listing)) is not None:
                fresh = {each.key: each for each in batch if each.key not in self.under_way}
                rows = await self.db.read(known.known_rows, self.staging, list(fresh), parked=parked)
                self.tally.gone.update((key, rows[key]) for key, each in fresh.items() if isinstance(each, Gone) and key in rows)
                missing, verdicts = self._plan({key: each for key, each in fresh.items() if not isinstance(each, Gone)}, rows)
                self.under_way.update(missing)
                await self._stage(verdicts)
                if missing:
                    await to_do.put(list(missing.values()))
        finally:  # also where a stage fell, or the run was cancelled, while rows were handed on
            await self._close(listing)
        self.tally.listed_at, self.tally.phase = clock.now(), "reading"
        await to_do.put(None)

    async def _next_batch(self, batches: AsyncIterator[Sequence[Found]]) -> Sequence[Found] | None:
        """None at the end. The listing stays in this task: a connector may hold a group of tasks from one batch to the next."""
        try:
            async with asyncio.timeout(self.patience.batch) as deadline:
                return await anext(batches, None)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            waited = f"{self.patience.batch:g} seconds"
            raise SourceUnreachable(f"The source stalled: it has not listed any more rows for {waited}. See whether it answers, then sync again.") from error

    async def _close(self, listing: AsyncIterator[Sequence[Found]]) -> None:
        """Ends what a listing still holds, in the task that it ran in, and before its source is closed."""
        if isinstance(listing, AsyncGenerator):
            try:
                async with asyncio.timeout(self.patience.close):
                    await listing.aclose()
            except* (TimeoutError, GeneratorExit):  # a group of tasks wraps the one that ends it
                pass

    def _plan(self, listed: dict[str, Listed | Unlistable], rows: dict[str, KnownRow]) -> tuple[dict[str, Missing], list[Verdict]]:
        missing: dict[str, Missing] = {}
        verdicts: list[Verdict] = []
        for key, each in listed.items():
            row = rows.get(key)
            self.tally.rows_seen += 1
            if row is not None:
                self.tally.seen.append(row.n)
            if isinstance(each, Unlistable):
                if row is None or not row.settled:
                    verdicts.append(Failed(key, row, storable(str(each.error)), isinstance(each.error, RowNotFetched), None))
                continue
            match plan_row(each.validator, row, self.fingerprint, force=self.force):
                case Plan.SETTLED | Plan.UNCHANGED:
                    self.tally.rows_done += 1
                case Plan.RECOVERED:
                    assert row is not None
                    assert row.visible is not None
                    verdicts.append(Seen(key, row, row.visible.content_hash, self.fingerprint, each.validator))
                case Plan.STAGED:
                    assert row is not None
                    assert each.validator is not None
                    kept = staged_as(row, each.validator, self.fingerprint)
                    assert kept is not None
                    verdicts.append(_guarded(judge_vouched(key, row, kept)))
                case Plan.STILL_UNREADABLE:
                    assert row is not None
                    assert row.error is not None
                    verdicts.append(Failed(key, row, row.error, unfetched=False, error_validator=row.error_validator))
                case Plan.FETCH:
                    vouchable_ = vouchable(row, self.fingerprint, force=self.force)
                    missing[key] = Missing(Wanted(each, None if vouchable_ is None else vouchable_.validator), row)
        return missing, verdicts

    async def _work_off(self, to_do: "Portions", stages: asyncio.TaskGroup) -> None:
        """Fetches and reads portions until there are no more; one of short texts is staged while the next one is fetched."""

        async def stage(verdicts: Sequence[Verdict]) -> None:
            await self._stage(verdicts)
            to_do.done()

        while (portion := await to_do.take()) is not None:
            verdicts = await self._read(portion)
            if length_of(verdicts) > SHORT_TEXT:
                await stage(verdicts)
            else:
                stages.create_task(stage(verdicts))

    async def _read(self, group: Sequence[Missing]) -> list[Verdict]:
        """The verdicts on a batch: bytes first, text only where the bytes are new."""
        verdicts: list[Verdict] = []
        unread: list[tuple[Missing, Fetched, Content]] = []
        for each, got in zip(group, await self._fetch([each.wanted for each in group]), strict=True):
            key, row = each.wanted.row.key, each.known
            if isinstance(got, RowError):
                verdicts.append(self._failure(each, got, each.wanted.row.validator))
            elif got is UNCHANGED:
                version = vouchable(row, self.fingerprint, force=self.force)
                if row is None or version is None:
                    verdicts.append(self._failure(each, RowNotFetched(UNASKED), None))
                else:
                    verdicts.append(_guarded(judge_vouched(key, row, version)))
            else:
                content = Content(await aside(len(got.content), partial(hash_of, got)), self.fingerprint, got.validator)
                verdict = judge_bytes(key, row, content, force=self.force)
                if verdict is None:
                    unread.append((each, got, content))
                else:
                    verdicts.append(_guarded(verdict))
        texts = await self.pool.extract([Bytes(got.content, got.filename, got.media_type, got.title, got.url, got.select, got.remove) for _, got, _ in unread])
        for (each, got, content), text in zip(unread, texts, strict=True):
            verdicts.append(await aside(_size_of(text), partial(self._judge, each, got, content, text)))
        return verdicts

    async def _fetch(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        """What the source gives. Where it stalls, the rows are asked for one by one, so that those that do it are the only ones to fail."""
        seconds = self.source.row_seconds or self.patience.row
        try:
            return await within(seconds * len(wanted), self.source.fetch(wanted))
        except Stalled:
            given_up = RowNotFetched(
                f"The source did not give this row within {seconds:g} seconds, so it was given up. "
                "See whether the source hangs; the next sync asks for it again."
            )
            if len(wanted) == 1:
                return [given_up]
        outcomes: list[Outcome] = []
        for one in wanted:
            enough = sum(outcome is given_up for outcome in outcomes) >= STALLS
            try:
                outcomes += [given_up] if enough else await within(seconds, self.source.fetch([one]))
            except Stalled:
                outcomes.append(given_up)
        return outcomes

    def _judge(self, each: Missing, got: Fetched, content: Content, extracted: Extracted | RowNotRead) -> Verdict:
        if isinstance(extracted, RowNotRead):
            return self._failure(each, extracted, got.validator)
        listed = each.wanted.row
        title = storable(got.title or extracted.title or listed.title or listed.key.rsplit("/", 1)[-1])
        documents = tuple(StoredDocument(heading_of(title, one.heading), one.text, one.tokens) for one in extracted.documents)
        url = got.url or listed.url
        text = Text(title, None if url is None else storable(url), extracted.text_hash, documents)
        return _guarded(judge_text(listed.key, each.known, content, text))

    def _failure(self, each: Missing, error: RowError, validator: str | None) -> Verdict:
        unfetched = isinstance(error, RowNotFetched)
        return judge_failure(each.wanted.row.key, each.known, storable(str(error)), unfetched=unfetched, validator=validator, fingerprint=self.fingerprint)

    async def _stage(self, verdicts: Sequence[Verdict]) -> None:
        """Commits verdicts in short writes."""
        parts = _stageable([await self._shortened(verdict) for verdict in verdicts])
        async with asyncio.TaskGroup() as writes:
            for part in parts:
                writes.create_task(self._settle(part))

    async def _settle(self, part: Sequence[Verdict]) -> None:
        charge = await self.db.write_bulk(staging.settle, self.staging, part)
        failed = sum(isinstance(verdict, Failed) for verdict in part)
        self.tally.rows_failed += failed
        self.tally.rows_done += len(part) - failed
        self.under_way.difference_update(verdict.key for verdict in part)
        await self.charged(charge)

    async def _shortened(self, verdict: Verdict) -> Verdict:
        """A row with very many documents is staged in pieces, parked and out of everybody's sight, so that no write is long."""
        if not isinstance(verdict, Stored) or len(verdict.documents) <= STAGE_DOCUMENTS:
            return verdict
        version_n = await self.db.write_bulk(staging.open_version, self.staging, verdict)
        for start in range(0, len(verdict.documents), STAGE_DOCUMENTS):
            piece = verdict.documents[start : start + STAGE_DOCUMENTS]
            await self.db.write_bulk(staging.add_documents, self.staging, version_n, start, piece)
        kept = KnownVersion(version_n, "", "", "", None, verdict.title, verdict.url, verdict.tokens, len(verdict.documents))
        return replace(verdict, documents=(), reuse=kept)


def hash_of(got: Fetched) -> str:
    """What decides whether a row is the same: its bytes, and the title that its source gives it beside them."""
    hashed = hashlib.sha256(got.content)
    if got.title is not None:
        hashed.update(b"\0" + got.title.encode("utf-8", "replace"))
    return hashed.hexdigest()


def _guarded(verdict: Verdict) -> Verdict:
    """The verdict, or the row's failure where its new text is held back. Its bytes are looked at again next time."""
    reason = judge_change(verdict) if isinstance(verdict, Stored) else None
    if reason is None:
        return verdict
    assert isinstance(verdict, Stored)
    return Failed(verdict.key, verdict.row, reason, unfetched=False, error_validator=None, quarantined=verdict.text_hash)


def heading_of(title: str, path: str) -> str:
    """The headings above a document, its row's title first: what it is found by, beside its text."""
    if not path:
        return title
    return path if path.startswith(title) else f"{title} > {path}"


def portion_of(listed: int) -> int:
    """How many rows travel together when so many are listed. What is in the air, fetched and not yet staged, is what a crash
    makes a sync do twice: about a twentieth of its rows, or 24 of a small one."""
    return min(max(SMALLEST_PORTION, listed // (20 * HANDS)), LARGEST_PORTION)


def portions_at_once(listed: int) -> int:
    """How many portions may be in the air then."""
    return min(max(HANDS, listed // 20 // portion_of(listed)), UNDER_WAY)


def _size_of(text: Extracted | RowNotRead) -> int:
    return sum(len(document.text) for document in text.documents) if isinstance(text, Extracted) else 0


def length_of(verdicts: Sequence[Verdict]) -> int:
    """The characters of their texts."""
    return sum(len(document.text) for verdict in verdicts if isinstance(verdict, Stored) for document in verdict.documents)


def _stageable(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """Verdicts in batches that make short writes."""
    batches: list[list[Verdict]] = []
    size = 0
    for verdict in verdicts:
        weight = len(verdict.documents) if isinstance(verdict, Stored) else 0
        if not batches or len(batches[-1]) == STAGE_ROWS or size + weight > STAGE_DOCUMENTS:
            batches.append([])
            size = 0
        batches[-1].append(verdict)
        size += weight
    return batches

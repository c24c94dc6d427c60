"""What has to hold when everything has come to rest, however often the server was killed on the way."""

import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.faults.client import ENDED, Log, Source, newest, search
from tests.faults.phases import Peek
from tests.faults.receiver import Receiver
from tests.faults.server import Api
from tidings import clock
from tidings.clock import Micros

REST_SECONDS = 90.0
LOOKED_UP = 40  # files of each data source that are looked up by search, and as many former versions

STUCK_SECONDS = 30.0  # beyond the lease: the start of those who take it over, their poll, and a machine that is busy
_DUE = {
    "running sync": "SELECT id, lease_until FROM syncs WHERE state = 'running'",
    "delivery": "SELECT id, coalesce(lease_until, next_attempt_at) FROM deliveries WHERE state = 'pending'",
}
_NUMBERED = """
    SELECT d.sequence, e.seq FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.webhook_id = ? AND d.sequence IS NOT NULL ORDER BY d.sequence
"""

Wanted = Literal["sync_success", "sync_failure"]


@dataclass(frozen=True, slots=True)
class Hook:
    """An outgoing hook; `name` is its path at the receiver. Without a data source it wants to hear of all of its bot's."""

    id: str
    name: str
    type: Wanted
    data_source_id: str | None
    envelope: str

    def wants(self, sync: Mapping[str, Any]) -> bool:
        """Whether it is owed word of an ended sync."""
        kind = {"succeeded": "sync_success", "failed": "sync_failure"}.get(sync["state"])
        return kind == self.type and self.data_source_id in {None, sync["dataSourceId"]}


def judge_overdue(peek: Peek, since: Micros) -> None:
    """Nothing lies about: work whose lease ran out is taken over, what is due goes out. `since`: when whoever does it came up."""
    for what, query in _DUE.items():
        for id_, due in peek.rows(query):
            late = (clock.now() - max(due, since)) / clock.SECOND
            assert late < STUCK_SECONDS, f"The {what} {id_} has been due for {late:.1f} s and nobody takes it"


def await_rest(api: Api, sources: Sequence[Source], seconds: float = REST_SECONDS, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Waits until no sync is queued or running, and nothing is owed to any receiver; looks at what happens `meanwhile`."""
    until = time.monotonic() + seconds
    while True:
        syncs = [sync for source in sources for state in ("queued", "running") for sync in api.get(f"/data-sources/{source.id}/syncs", state=state)["items"]]
        owed = api.get("/deliveries", state="pending")["items"]
        if not syncs and not owed:
            return
        assert time.monotonic() < until, f"After {seconds:g} s there is no rest: {syncs} {owed}"
        meanwhile()
        time.sleep(0.1)


def syncs_of(api: Api, sources: Iterable[Source]) -> dict[str, Any]:
    """Every sync of the data sources, by id."""
    return {sync["id"]: sync for source in sources for sync in api.pages(f"/data-sources/{source.id}/syncs")}


def judge_calls(log: Log, syncs: Mapping[str, Any]) -> None:
    """Every accepted call led to a sync that ended, and that carries its ref; no sync that was ever seen is gone."""
    assert log.wrong == []
    assert {id_: sync["state"] for id_, sync in syncs.items() if sync["state"] not in ENDED} == {}
    assert log.sync_ids - set(syncs) == set()
    for accepted in log.accepted:
        assert accepted.ref in syncs[accepted.sync_id]["refs"], f"{accepted.ref} is not on sync {accepted.sync_id}"
    known = {accepted.ref for accepted in log.accepted} | set(log.unanswered)
    assert {ref for sync in syncs.values() for ref in sync["refs"]} - known == set(), "Some sync carries a ref that nobody sent"
    assert {sync["code"] for sync in syncs.values()} <= {None, "source_unreachable", "internal"}, "Some sync failed for a reason of its own"


def judge_rows(api: Api, log: Log, source: Source, syncs: Mapping[str, Any]) -> None:
    """The rows are the folder's files exactly, under the ids they always had, in the numbers that the last success told."""
    rows = {row["key"]: row for row in api.pages(f"/data-sources/{source.id}/rows")}
    there = {file.key for file in source.folder.present}
    last = max((sync for sync in syncs.values() if sync["dataSourceId"] == source.id), key=lambda sync: str(sync["id"]))
    assert set(rows) == there, f"Rows too many: {[rows[key] for key in set(rows) - there]}, too few: {there - set(rows)}, after {last}"
    assert {key: row["error"] for key, row in rows.items() if row["error"] is not None} == {}
    moved = {key: row["id"] for key, row in rows.items() if log.row_ids.get((source.id, key), row["id"]) != row["id"]}
    assert moved == {}
    told = max((sync for sync in syncs.values() if sync["dataSourceId"] == source.id and sync["state"] == "succeeded"), key=lambda sync: str(sync["id"]))
    shown = api.get(f"/data-sources/{source.id}")
    assert shown["rows"] == len(rows) == told["results"]["totalDataSourceRows"]
    assert shown["documents"] == sum(row["documents"] for row in rows.values()) == told["results"]["totalDocuments"]
    assert shown["storageTokens"] == sum(row["tokens"] for row in rows.values())


def judge_search(api: Api, bot: str, source: Source, dice: random.Random) -> None:
    """What is there is found, as it is now and not otherwise; what was there is not."""
    present = source.folder.present
    for file in dice.sample(present, min(LOOKED_UP, len(present))):
        assert newest(api, bot, file) == len(file.markers) - 1
        row = {hit["rowId"] for hit in search(api, bot, file.markers[-1])}
        assert len(row) == 1, f"{file.key} is found as {row}"
        assert api.get(f"/rows/{row.pop()}")["key"] == file.key
    former = [marker for file in source.folder.files.values() for marker in (file.markers if file.removed else file.markers[:-1])]
    for marker in dice.sample(former, min(LOOKED_UP, len(former))):
        assert search(api, bot, marker) == [], f"{marker} is found, though it is not there any more"


def judge_webhooks(receiver: Receiver, hooks: Sequence[Hook], syncs: Mapping[str, Any]) -> None:
    """Each hook was told of each ended sync that it wants, each time with the same id and the same bytes, and of nothing else; numbered without gaps."""
    assert receiver.wrong == []
    events: dict[str, set[str]] = defaultdict(set)
    for each in receiver.arrivals:
        events[each.id].add(each.headers["tidings-sync-id"])
    assert {id_: several for id_, several in events.items() if len(several) != 1} == {}, "One webhook-id stands for several events"
    for hook in hooks:
        bodies: dict[str, set[bytes]] = defaultdict(set)
        told: dict[str, set[str]] = defaultdict(set)
        numbers: dict[str, set[int]] = defaultdict(set)
        arrivals = [each for each in receiver.arrivals if each.hook == hook.name]
        for each in arrivals:
            bodies[each.id].add(each.body)
            told[each.headers["tidings-sync-id"]].add(each.id)
            numbers[each.id].add(int(each.headers["tidings-sequence"]))
        owed = {id_ for id_, sync in syncs.items() if hook.wants(sync)}
        assert set(told) == owed, f"{hook.name} was told of {len(told)} syncs and owed {len(owed)}"
        assert {sync: ids for sync, ids in told.items() if len(ids) != 1} == {}
        assert {id_: len(several) for id_, several in bodies.items() if len(several) != 1} == {}
        taken = {id_ for name, id_ in receiver.taken() if name == hook.name}
        assert taken == set(bodies), "Something was given up on before the receiver took it"
        assert sorted(number for each in numbers.values() for number in each) == list(range(1, len(owed) + 1))
        for sync_id, ids in told.items():
            _judge_body(json.loads(next(iter(bodies[next(iter(ids))]))), hook, syncs[sync_id])


def count_repeats(peek: Peek, receiver: Receiver, hooks: Sequence[Hook], at_risk: Mapping[tuple[str, str], int]) -> int:
    """POSTs beyond the attempts that were written down. Each is of an attempt that was in flight at a kill: `at_risk`, (hook, event) -> at how many."""
    ids = {hook.name: hook.id for hook in hooks}
    arrived = Counter((ids[each.hook], each.id) for each in receiver.arrivals)
    query = "SELECT d.webhook_id, d.event_id, count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE a.status IS NOT NULL"
    for hook, event, written in peek.rows(f"{query} GROUP BY d.webhook_id, d.event_id"):
        arrived[hook, event] -= written
    assert {one: more for one, more in arrived.items() if more > at_risk.get(one, 0)} == {}, "Something was sent again that no kill had interrupted"
    assert {one: more for one, more in arrived.items() if more < 0} == {}, "Attempts were written down that nobody received"
    return arrived.total()


def _judge_body(body: dict[str, Any], hook: Hook, sync: Mapping[str, Any]) -> None:
    said = body["data"] if hook.envelope == "standard" else body
    assert said["success"] is (sync["state"] == "succeeded")
    assert said.get("results") == sync["results"]
    assert said.get("reason") == sync["reason"]
    if hook.envelope == "standard":
        assert said["syncId"] == sync["id"]


def judge_store(peek: Peek) -> None:
    """The database agrees with itself."""
    results = {id_: json.loads(kept) if isinstance(kept, str) else kept for id_, kept in peek.rows("SELECT id, results FROM syncs WHERE state = 'succeeded'")}
    charged = sum(each["totalTokens"] for each in results.values())
    assert sum(row[0] for row in peek.rows("SELECT storage_tokens FROM usage")) == charged, "The usage is not the sum of what the syncs charged"
    for id_, tokens, modified in peek.rows(
        "SELECT sync_id, sum(tokens), sum(CASE WHEN kind IN ('added', 'changed') THEN 1 ELSE 0 END) FROM changes GROUP BY sync_id"
    ):
        if id_ in results:
            assert (results[id_]["totalTokens"], results[id_]["modifiedRows"]) == (tokens, modified), f"The manifest of {id_} does not say what its results say"
    assert peek.one("SELECT count(*) FROM (SELECT sync_id, row_n FROM changes GROUP BY sync_id, row_n HAVING count(*) > 1) AS twice") == 0
    assert peek.one("SELECT count(*) FROM syncs WHERE owner IS NOT NULL OR lease_until IS NOT NULL") == 0
    judge_snapshots(peek)
    _judge_numbers(peek)


def judge_snapshots(peek: Peek) -> None:
    """Every kept snapshot holds what it says, version by version and document by document."""
    for source, n, rows, documents, tokens in peek.rows("SELECT data_source_id, n, rows, documents, tokens FROM snapshots"):
        seen = "FROM versions v WHERE v.data_source_id = ? AND v.from_n <= ? AND v.to_n > ?"
        held = peek.rows(f"SELECT count(*), count(DISTINCT v.row_n), sum(v.documents), sum(v.tokens) {seen}", source, n, n)[0]
        assert held == (rows, rows, documents, tokens), f"Snapshot {n} of {source} says {(rows, documents, tokens)} and holds {held}"
        pieces = "SELECT count(*), sum(d.tokens) FROM documents d WHERE d.version_n IN (SELECT v.n "
        assert peek.rows(f"{pieces}{seen})", source, n, n)[0] == (documents, tokens)


def _judge_numbers(peek: Peek) -> None:
    """Events, deliveries and attempts are numbered without gaps; nothing is owed any more."""
    events = [row[0] for row in peek.rows("SELECT seq FROM events ORDER BY seq")]
    assert events == list(range(1, len(events) + 1))
    assert peek.one("SELECT event_seq FROM workspaces") == len(events)
    ended = peek.one("SELECT count(*) FROM syncs WHERE state IN ('succeeded', 'failed')")
    assert ended == len(events), "An ended sync has no event, or two"
    for hook, last in peek.rows("SELECT id, sequence FROM webhooks WHERE type <> 'sync_trigger'"):
        numbered = peek.rows(_NUMBERED, hook)
        assert [row[0] for row in numbered] == list(range(1, last + 1))
        assert [row[1] for row in numbered] == sorted({row[1] for row in numbered}), "The order of a hook's deliveries is not that of the events"
    assert peek.rows("SELECT id, state, reason FROM deliveries WHERE sequence IS NOT NULL AND (state <> 'delivered' OR owner IS NOT NULL)") == []
    assert peek.rows("SELECT id, state, reason FROM deliveries WHERE sequence IS NULL AND state <> 'discarded'") == []  # they say why a hook was not told
    tried = "SELECT count(a.n), min(a.number), max(a.number), d.attempt_count FROM deliveries d LEFT JOIN attempts a ON a.delivery_id = d.id"
    for count, first, last, said in peek.rows(f"{tried} WHERE d.sequence IS NOT NULL GROUP BY d.id, d.attempt_count"):
        assert (count, first, last) == (said, 1, said), "The attempts of a delivery are not numbered 1, 2, 3, ..."


def judge_file(path: Path) -> None:
    """A SQLite file whose server has ended is sound, its full-text index included."""
    with sqlite3.connect(path, isolation_level=None) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
        file.execute("INSERT INTO documents_text (documents_text, rank) VALUES ('integrity-check', 1)")
    file.close()

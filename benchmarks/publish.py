"""How long it takes to make a staged sync visible, whatever its size: the closing transaction, with its event and deliveries, beside a bare commit.

    python benchmarks/publish.py [--documents 100000] [--rounds 5] [--database-url postgresql://...]

Ours: `--documents` documents are staged as a sync stages them, then published in one transaction, to ten hooks; once more for each round with a tenth of
them changed. The ceiling: the two statements that make a snapshot visible (one row updated, one inserted), on a table of their own, through the same
writer. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert, text

from tidings import clock
from tidings.model.bots import Cursor
from tidings.model.ids import new_id
from tidings.model.syncs import Progress
from tidings.model.verdicts import KnownRow, Stored, StoredDocument
from tidings.settings import load_settings
from tidings.store import known, leases, snapshots, staging, syncs, tables
from tidings.store.database import Database, open_database
from tidings.store.known import Staging
from tidings.store.transactions import Tx
from tidings.webhooks.announce import announce

DOCUMENTS_OF_ROW = 10
ROWS_AT_ONCE = 50
HOOKS = 10
LEASE = 3600 * clock.SECOND


def row(number: int, generation: int, known_row: KnownRow | None) -> Stored:
    """One row with its documents."""
    mark = f"{number} {generation}"
    made = tuple(StoredDocument(f"Part {part}", f"document {part} of row {mark}", 8) for part in range(DOCUMENTS_OF_ROW))
    return Stored(f"row-{number}", known_row, mark, mark, "f", None, f"Row {number}", None, 8 * DOCUMENTS_OF_ROW, made)


def make_source(tx: Tx) -> str:
    """A workspace with a bot, a data source and the hooks that are told; the data source's id."""
    workspace, bot, source = new_id(), new_id(), new_id()
    tx.execute(insert(tables.workspaces).values(id=workspace, name="W", plan="unlimited", created_at=1))
    tx.execute(insert(tables.bots).values(id=bot, workspace_id=workspace, name="B", created_at=1))
    facts = {"id": source, "workspace_id": workspace, "bot_id": bot, "name": "D", "type": "files", "config": {}, "created_at": 1}
    tx.execute(insert(tables.data_sources).values(facts))
    hooks = {"workspace_id": workspace, "bot_id": bot, "type": "sync_success", "target_url": "https://example.com/", "envelope": "plain", "created_at": 1}
    tx.execute(insert(tables.webhooks), [{"id": new_id(), **hooks} for _ in range(HOOKS)])
    tx.execute(text("CREATE TABLE bare (n BIGINT PRIMARY KEY, published BIGINT)"))
    tx.execute(text("INSERT INTO bare VALUES (0, 0)"))
    return source


async def stage(db: Database, source: str, numbers: range, generation: int) -> Staging:
    """A sync that has staged these rows."""
    await db.write(syncs.request, source, "api")
    held = await db.write(leases.claim, "benchmark", LEASE)
    assert held is not None
    while await db.write_bulk(known.park, held):
        pass
    begun = await db.write(known.begin, held)
    for start in range(numbers.start, numbers.stop, ROWS_AT_ONCE):
        some = range(start, min(start + ROWS_AT_ONCE, numbers.stop))
        stored = await db.read(known.known_rows, begun, [f"row-{number}" for number in some], parked=False)
        await db.write_bulk(staging.settle, begun, [row(number, generation, stored.get(f"row-{number}")) for number in some])
    return begun


async def publish(db: Database, begun: Staging) -> float:
    """Milliseconds of the closing transaction, its commit included."""
    since = time.perf_counter()
    ended = await db.write(snapshots.publish, begun, Progress("publishing", 0, 0, 0, 0), lambda _plan: None, announce, cursor=Cursor(None, ""))
    taken = (time.perf_counter() - since) * 1e3
    assert ended.state == "succeeded"
    return taken


async def bare(db: Database, number: int) -> float:
    """Milliseconds of the two statements alone."""

    def both(tx: Tx) -> None:
        tx.execute(text("UPDATE bare SET published = :n WHERE n = 0"), {"n": number})
        tx.execute(text("INSERT INTO bare VALUES (:n, :n)"), {"n": number})

    since = time.perf_counter()
    await db.write(both)
    return (time.perf_counter() - since) * 1e3


async def measure(db: Database, documents: int, rounds: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    rows = documents // DOCUMENTS_OF_ROW
    source = await db.write(make_source)
    first = await publish(db, await stage(db, source, range(rows), 0))
    later, ceiling = [], []
    for number in range(1, rounds + 1):
        ceiling.append(await bare(db, number))
        later.append(await publish(db, await stage(db, source, range(rows // 10), number)))
    return {"first_ms": round(first, 1), "later_ms": round(statistics.median(later), 1), "bare_ms": round(statistics.median(ceiling), 1)}


def main() -> None:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as home:
        db = open_database(load_settings(home=Path(home), database_url=options.database_url))
        try:
            db.migrate()
            figures = asyncio.run(measure(db, options.documents, options.rounds))
        finally:
            db.close()
    print(f"{options.documents:,} documents became visible in {figures['first_ms']} ms, later ones beside them (a tenth changed) in {figures['later_ms']} ms")
    print(f"two bare statements and their commit: {figures['bare_ms']} ms; ratio: {figures['later_ms'] / figures['bare_ms']:.1f}")
    facts = {"benchmark": "publish", "database": "postgresql" if options.database_url else "sqlite", "documents": options.documents, **figures}
    print(json.dumps({**facts, "ratio": round(figures["later_ms"] / figures["bare_ms"], 2), "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

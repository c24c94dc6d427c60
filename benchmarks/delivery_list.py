"""How long each question of the list of deliveries takes among many.

    python benchmarks/delivery_list.py [--deliveries 100000] [--database-url postgresql://...]

Twenty hooks and data sources; of twenty deliveries seven say only that a hook does not listen, of a hundred others one was given up; fifty on a page.
The ceiling of the same run is one row by its id. The last line is JSON.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outgoing import Sender, another_database, sending
from sqlalchemy import insert, text

from tidings import clock
from tidings.model.bots import DataSource
from tidings.model.ids import first_id_of, new_id
from tidings.store import data_sources, delivery_views
from tidings.store import deliveries as stored
from tidings.store.delivery_views import Sought
from tidings.store.tables import deliveries

HOOKS = SOURCES = 20
DAYS = 10
SHOWN = 50
ROUNDS = 9


async def filled(sender: Sender, count: int) -> list[dict[str, Any]]:
    """So many deliveries over ten days, the oldest first, each event told to all hooks."""
    dice = random.Random(1)
    hooks = await sender.hooks(list(range(9000, 9000 + HOOKS)))
    sources = [DataSource(new_id(), sender.workspace_id, sender.bot_id, f"Source {n}", "folder", {}, paused=False, created_at=0) for n in range(SOURCES)]
    for source in sources:
        await sender.db.write(data_sources.create, source)
    begin, rows = clock.now() - DAYS * clock.DAY, list[dict[str, Any]]()
    for number in range(count):
        at = begin + number * DAYS * clock.DAY // count
        if number % HOOKS == 0:
            event_id, sync_id, source = new_id(), new_id(), sources[dice.randrange(SOURCES)]
        unwanted = number % HOOKS >= HOOKS - 7
        state = "discarded" if unwanted else "exhausted" if dice.random() < 0.01 else "delivered"
        row = sender.row(hooks[number % HOOKS], number // HOOKS + 1, at) | {"id": first_id_of(at)[:14] + new_id()[14:], "created_at": at}
        named = {"event_id": event_id, "sync_id": sync_id, "data_source_id": source.id, "state": state, "next_attempt_at": None}
        rows.append(row | named | ({"sequence": None} if unwanted else {}))
    for first in range(0, count, 2000):
        await sender.db.write(lambda tx, some: tx.execute(insert(deliveries), some), rows[first : first + 2000])
    with sender.db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # as it does by itself
            connection.execute(text("ANALYZE deliveries"))
            connection.commit()
    return rows


async def took(sender: Sender, look: Callable[..., Any], *given: Any, **more: Any) -> float:
    """The median of some rounds, in milliseconds."""
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        await sender.db.read(look, sender.workspace_id, *given, **more)
        seconds.append(time.perf_counter() - begin)
    return round(statistics.median(seconds) * 1000, 1)


async def measure(count: int, url: str | None) -> dict[str, float]:
    """Milliseconds by question."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        async with sending(Path(folder), url) as sender:
            rows = await filled(sender, count)
            old, day = rows[count // 2], rows[count // 2]["created_at"]
            hook = {"webhook_id": rows[0]["webhook_id"]}
            questions: dict[str, tuple[Sought, str | None]] = {
                "newest": (Sought(wanted=True), None),
                "from the middle on": (Sought(wanted=True), old["id"]),
                "given up": (Sought(state="exhausted", wanted=True), None),
                "pending (none)": (Sought(state="pending", wanted=True), None),
                "not for the hook": (Sought(state="discarded", wanted=False), None),
                "of a hook": (Sought(**hook, wanted=True), None),
                "of a hook, given up": (Sought(**hook, state="exhausted"), None),
                "of a data source": (Sought(data_source_id=old["data_source_id"]), None),
                "of a sync": (Sought(sync_id=old["sync_id"]), None),
                "of a webhook-id": (Sought(event_id=old["event_id"]), None),
                "of a day": (Sought(wanted=True, since=day, before=day + clock.DAY), None),
                "discarded (none wanted)": (Sought(state="discarded", wanted=True), None),
            }
            asked = {name: await took(sender, delivery_views.page, sought, limit=SHOWN, cursor=cursor) for name, (sought, cursor) in questions.items()}
            return asked | {"what an id is": await took(sender, delivery_views.what_is, old["event_id"]), "ceiling": await took(sender, stored.get, old["id"])}


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--deliveries", type=int, default=100_000)
    options.add_argument("--database-url")
    given = options.parse_args()
    with another_database(given.database_url) as url:
        found = asyncio.run(measure(given.deliveries, url))
    for name, milliseconds in found.items():
        print(f"{name:26} {milliseconds:8.1f} ms")
    print(json.dumps({"benchmark": "delivery_list", "database": "postgresql" if url else "sqlite", "deliveries": given.deliveries, "milliseconds": found}))


if __name__ == "__main__":
    main()

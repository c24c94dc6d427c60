"""Durable deliveries a second, beside the bare ceilings of the same run.

    python benchmarks/deliver.py [--deliveries 20000] [--endpoints 1,50] [--rounds 3] [--finished 1000000] [--database-url postgresql://...]

Ours: one dispatcher (uvloop, one process) that claims, signs, posts, and settles each delivery and its attempt in the database, every commit on disk.
The ceilings send the same signed bodies to the same receiver, without a database: a raw loop of asyncio and httptools, and the HTTP client that the
dispatcher uses. The receiver is one other process. Rounds of all alternate, the medians count. With `--finished` also
the same on a database that holds so many deliveries that are done. The last line is JSON.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httptools
import uvloop
from outgoing import ALLOWED, BODY, another_database, receiving, sending
from sqlalchemy import literal_column, select

from tidings import clock
from tidings.model.ids import new_id
from tidings.outbound import Outbound
from tidings.settings import load_settings
from tidings.store.database import Database
from tidings.store.tables import deliveries
from tidings.store.transactions import Tx
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement."""

    per_second: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Where:
    """The database of a round: PostgreSQL by its URL, else SQLite in a folder, a new one where none is named."""

    database_url: str | None
    folder: str | None = None


# -- the ceilings ------------------------------------------------------------------------------------------------------------------------------------------


class Raw(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int]
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: Any) -> None:
        """Ready."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """An answer, or a piece of one."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """A whole answer."""
        self._answer.set_result(self._parser.get_status_code())

    def post(self, request: bytes) -> asyncio.Future[int]:
        """Sends a request; its status."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer


def signed(key: bytes) -> dict[str, str]:
    """The headers that each delivery has, as the dispatcher makes them."""
    event_id, timestamp = new_id(), clock.now() // clock.SECOND
    return {
        "Content-Type": "application/json",
        "User-Agent": "benchmark",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign((key,), event_id, timestamp, BODY.encode()),
        "Tidings-Event": "sync.success",
        "Tidings-Sync-Id": event_id,
        "Tidings-Attempt": "1",
        "Tidings-Sequence": "1",
    }


async def raw_loop(ports: list[int], count: int) -> None:
    """The fastest honest loop: sign, write, parse the answer."""
    key, body, left = parse_signing_secret(new_signing_secret()), BODY.encode(), [count]
    loop = asyncio.get_running_loop()

    async def send(port: int) -> None:
        _, connection = await loop.create_connection(Raw, "127.0.0.1", port)
        head = f"POST /hook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
        while left[0] > 0:
            left[0] -= 1
            headers = "".join([f"{name}: {value}\r\n" for name, value in signed(key).items()])
            if await connection.post(f"{head}{headers}\r\n".encode() + body) != 204:
                raise RuntimeError("the receiver did not answer 204")

    await asyncio.gather(*(send(ports[number % len(ports)]) for number in range(AT_ONCE)))


async def client_loop(ports: list[int], count: int) -> None:
    """The client of the dispatcher, guard and deadline included, without a database."""
    key, body, left = parse_signing_secret(new_signing_secret()), BODY.encode(), [count]
    settings = load_settings(allowed_networks=ALLOWED)
    outbound = Outbound(settings.allowed_networks, client=settings.http_client)

    async def send(number: int) -> None:
        while left[0] > 0:
            left[0] -= 1
            answer = await outbound.post(f"http://127.0.0.1:{ports[(left[0] + number) % len(ports)]}/hook", signed(key), body, 15)
            if answer.status != 204:
                raise RuntimeError("the receiver did not answer 204")

    try:
        await asyncio.gather(*(send(number) for number in range(AT_ONCE)))
    finally:
        await outbound.aclose()


# -- ours --------------------------------------------------------------------------------------------------------------------------------------------------


async def ours(ports: list[int], count: int, where: Where, measured: Callable[[Awaitable[None]], Awaitable[Round]]) -> Round:
    """One dispatcher on a database in which so many deliveries are due."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        async with sending(Path(where.folder or folder), where.database_url) as sender:
            await sender.owe(await sender.hooks(ports), count)
            async with sender.dispatching():
                return await measured(_until_delivered(sender.db))


async def fill(where: Where, finished: int) -> None:
    """A database in which so many deliveries are done."""
    async with sending(Path(where.folder or ""), where.database_url) as sender:
        (hook_id,) = await sender.hooks([8080])
        await sender.finish(hook_id, finished, clock.now() - finished)


def _pending(tx: Tx) -> bool:
    return tx.execute(select(deliveries.c.id).where(deliveries.c.state == literal_column("'pending'")).limit(1)).first() is not None


async def _until_delivered(db: Database) -> None:
    while await db.read(_pending):  # noqa: ASYNC110 - in the database is where it counts
        await asyncio.sleep(0.02)


# -- measuring ---------------------------------------------------------------------------------------------------------------------------------------------


def run_one(kind: str, ports: list[int], count: int, where: Where, pipe: Connection) -> None:
    """One round of one kind, in a process of its own."""

    async def measured(work: Awaitable[None]) -> Round:
        used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await work
        elapsed, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        return Round(count / elapsed, cpu / count * 1e6)

    async def run() -> Round:
        if kind in {"ours", "among"}:
            return await ours(ports, count, where, measured)
        return await measured((raw_loop if kind == "raw" else client_loop)(ports, count))

    pipe.send(uvloop.run(run()))


def measure(kind: str, ports: list[int], count: int, where: Where) -> Round:
    """One round of one kind."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_one, args=(kind, ports, count, where, theirs))
    process.start()
    try:
        if not mine.poll(300):
            raise TimeoutError(f"a round of {kind} did not end")
        found: Round = mine.recv()
        return found
    finally:
        process.join(15)
        if process.is_alive():
            process.kill()


def compare(ports: list[int], options: argparse.Namespace, among: Where | None) -> dict[str, Any]:
    """All kinds against so many endpoints: their medians, printed."""
    rounds: dict[str, list[Round]] = {"ours": [], "client": [], "raw": []} | ({} if among is None else {"among": []})
    for number in range(options.rounds):
        for kind, kept in rounds.items():
            kept.append(measure(kind, ports, options.deliveries, among if kind == "among" and among is not None else Where(options.database_url)))
            print(f"{len(ports):3} endpoints, {kind:6} round {number + 1}: {kept[-1].per_second:8,.0f}/s {kept[-1].cpu_us:6.0f} us of CPU each", flush=True)
    mine, client, raw, *rest = (
        Round(statistics.median(one.per_second for one in kept), statistics.median(one.cpu_us for one in kept)) for kept in rounds.values()
    )
    ratio, of_client = mine.per_second / raw.per_second, mine.per_second / client.per_second
    print(f"deliveries, {len(ports)} endpoints: {mine.per_second:,.0f}/s, {mine.cpu_us:.0f} us of CPU each; ratio {ratio:.2f} to the raw loop")
    print(
        f"  raw asyncio POST loop {raw.per_second:,.0f}/s, {raw.cpu_us:.0f} us; the same client without us {client.per_second:,.0f}/s (ratio {of_client:.2f})"
    )
    beside = {"among_finished_per_second": round(rest[0].per_second), "ratio_among_finished": round(rest[0].per_second / mine.per_second, 3)} if rest else {}
    if rest:
        print(f"  among {options.finished:,} that are done: {rest[0].per_second:,.0f}/s (ratio {rest[0].per_second / mine.per_second:.2f})")
    return {
        **beside,
        "endpoints": len(ports),
        "deliveries_per_second": round(mine.per_second),
        "cpu_us": round(mine.cpu_us),
        "client_per_second": round(client.per_second),
        "client_cpu_us": round(client.cpu_us),
        "raw_per_second": round(raw.per_second),
        "raw_cpu_us": round(raw.cpu_us),
        "ratio": round(ratio, 3),
        "ratio_to_client": round(of_client, 3),
    }


def run_all(ports: list[int], counts: list[int], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each number of endpoints."""
    if not options.finished:
        return [compare(ports[:count], options, None) for count in counts]
    with another_database(options.database_url) as url, tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        among = Where(url, folder)
        asyncio.run(fill(among, options.finished))
        return [compare(ports[:count], options, among) for count in counts]


def main() -> None:
    """Measures all, prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--endpoints", default="1,50")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--finished", type=int, default=0)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    counts = [int(text) for text in options.endpoints.split(",")]
    with receiving(max(counts)) as receiver:
        results = run_all(receiver.ports, counts, options)
    about = {"benchmark": "deliver", "database": "postgresql" if options.database_url else "sqlite", "deliveries": options.deliveries}
    print(json.dumps({**about, "results": results, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

"""Durable deliveries a second, beside the bare ceilings of the same run.

    python benchmarks/deliver.py [--deliveries 20000] [--endpoints 1,50] [--rounds 3] [--database-url postgresql://...]

Ours: one dispatcher (uvloop, one process) that claims, signs, posts, and settles each delivery and its attempt in the database, every commit on disk.
The ceilings send the same signed bodies to the same receiver, without a database: a raw loop of asyncio and httptools, and the HTTP client that the
dispatcher uses. The receiver is one other process. Rounds of all alternate, the medians count. The last line is JSON.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import secrets
import socket
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
from sqlalchemy import insert, literal_column, select

from tidings import clock
from tidings.model.ids import new_id
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import load_settings
from tidings.store import bots, workspaces
from tidings.store.database import Database, open_database
from tidings.store.tables import deliveries
from tidings.store.transactions import Tx
from tidings.webhooks import hooks
from tidings.webhooks.hooks import HookInput
from tidings.webhooks.payloads import body as body_of
from tidings.webhooks.payloads import sample
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign
from tidings.worker.dispatch_loop import dispatch

AT_ONCE = 64
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
BODY = body_of("plain", "sync.success", 0, sample("sync.success", {}, 0))
ALLOWED = "127.0.0.0/8"


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement."""

    per_second: float
    cpu_us: float


# -- the receiver, a process of its own --------------------------------------------------------------------------------------------------------------------


class Receiving(asyncio.Protocol):
    """Answers 204 to each request, with as little work as can be."""

    def connection_made(self, transport: Any) -> None:
        """A caller."""
        self._transport = transport
        self._left = b""

    def data_received(self, data: bytes) -> None:
        """Requests, or pieces of them."""
        data = self._left + data if self._left else data
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            length = data.lower().find(b"content-length:", 0, end) + 15
            size = end + 4 + int(data[length : data.find(b"\r", length)])
            if len(data) < size:
                break
            self._transport.write(ANSWER)
            data = data[size:]
        self._left = data


def run_receiver(count: int, pipe: Connection) -> None:
    """Listens on so many ports, tells them, and serves until the pipe is closed."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(count)]
        for listener in listeners:
            await loop.create_server(Receiving, sock=listener)
        pipe.send([listener.getsockname()[1] for listener in listeners])
        await asyncio.to_thread(pipe.recv)

    uvloop.run(serve())


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
    outbound = Outbound(load_settings(allowed_networks=ALLOWED).allowed_networks)

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


async def ours(ports: list[int], count: int, database_url: str | None, measured: Callable[[Awaitable[None]], Awaitable[Round]]) -> Round:
    """One dispatcher on a database in which so many deliveries are due."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        settings = load_settings(home=Path(folder), database_url=database_url, allowed_networks=ALLOWED)
        db, stop = open_database(settings), asyncio.Event()
        db.migrate()
        box, outbound = SecretBox([secrets.token_bytes(32)]), Outbound(settings.allowed_networks)
        await _prepare(db, box, outbound, ports, count)
        running = asyncio.create_task(dispatch(db, settings, box, outbound, "benchmark", stop))
        try:
            return await measured(_until_delivered(db))
        finally:
            stop.set()
            await running
            await outbound.aclose()
            db.close()


async def _prepare(db: Database, box: SecretBox, outbound: Outbound, ports: list[int], count: int) -> None:
    workspace_id = await db.write(workspaces.create, "Benchmark", "unlimited")
    bot = await db.write(bots.create, workspace_id, "Testing bot")
    made = [
        await hooks.create(db, box, outbound, workspace_id, bot.id, HookInput("sync_success", target_url=f"http://127.0.0.1:{port}/hook")) for port in ports
    ]
    at = clock.now()
    rows = [
        {
            "id": new_id(),
            "workspace_id": workspace_id,
            "webhook_id": made[number % len(made)].id,
            "event_id": new_id(),
            "event": "sync.success",
            "sync_id": new_id(),
            "sequence": number // len(made) + 1,
            "state": "pending",
            "headers": {"Tidings-Event": "sync.success", "Tidings-Sync-Id": new_id()},
            "body": BODY,
            "next_attempt_at": at + number,
            "created_at": at,
        }
        for number in range(count)
    ]
    for first in range(0, count, 1000):
        await db.write(lambda tx, some: tx.execute(insert(deliveries), some), rows[first : first + 1000])


def _pending(tx: Tx) -> bool:
    return tx.execute(select(deliveries.c.id).where(deliveries.c.state == literal_column("'pending'")).limit(1)).first() is not None


async def _until_delivered(db: Database) -> None:
    while await db.read(_pending):  # noqa: ASYNC110 - in the database is where it counts
        await asyncio.sleep(0.02)


# -- measuring ---------------------------------------------------------------------------------------------------------------------------------------------


def run_one(kind: str, ports: list[int], count: int, database_url: str | None, pipe: Connection) -> None:
    """One round of one kind, in a process of its own."""

    async def measured(work: Awaitable[None]) -> Round:
        used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await work
        elapsed, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        return Round(count / elapsed, cpu / count * 1e6)

    async def run() -> Round:
        if kind == "ours":
            return await ours(ports, count, database_url, measured)
        return await measured((raw_loop if kind == "raw" else client_loop)(ports, count))

    pipe.send(uvloop.run(run()))


def measure(kind: str, ports: list[int], count: int, database_url: str | None) -> Round:
    """One round of one kind."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_one, args=(kind, ports, count, database_url, theirs))
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


def compare(ports: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """All kinds against so many endpoints: their medians, printed."""
    rounds: dict[str, list[Round]] = {"ours": [], "client": [], "raw": []}
    for number in range(options.rounds):
        for kind, kept in rounds.items():
            kept.append(measure(kind, ports, options.deliveries, options.database_url))
            print(f"{len(ports):3} endpoints, {kind:6} round {number + 1}: {kept[-1].per_second:8,.0f}/s {kept[-1].cpu_us:6.0f} us of CPU each", flush=True)
    mine, client, raw = (Round(statistics.median(one.per_second for one in kept), statistics.median(one.cpu_us for one in kept)) for kept in rounds.values())
    ratio, of_client = mine.per_second / raw.per_second, mine.per_second / client.per_second
    print(f"deliveries, {len(ports)} endpoints: {mine.per_second:,.0f}/s, {mine.cpu_us:.0f} us of CPU each; ratio {ratio:.2f} to the raw loop")
    print(
        f"  raw asyncio POST loop {raw.per_second:,.0f}/s, {raw.cpu_us:.0f} us; the same client without us {client.per_second:,.0f}/s (ratio {of_client:.2f})"
    )
    return {
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


def main() -> None:
    """Measures all, prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--endpoints", default="1,50")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    counts = [int(text) for text in options.endpoints.split(",")]
    mine, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=run_receiver, args=(max(counts), theirs), daemon=True)
    receiver.start()
    ports = mine.recv()
    try:
        results = [compare(ports[:count], options) for count in counts]
    finally:
        mine.send("stop")
        receiver.join(5)
    about = {"benchmark": "deliver", "database": "postgresql" if options.database_url else "sqlite", "deliveries": options.deliveries}
    print(json.dumps({**about, "results": results, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

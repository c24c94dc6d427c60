"""How healthy endpoints fare beside 10,000 deliveries that are due at hostile ones, beside the same without these.

    python benchmarks/isolation.py [--hostile 10000] [--pace 200] [--seconds 15] [--burst 5000] [--rounds 2] [--database-url postgresql://...]

The hostile endpoints (one other process, four ports a kind) never answer, take the request and drip one byte a second, answer 500, reset, or stream a body
without end. Measured at ten healthy ones: p99 from commit to receipt at a steady pace, deliveries a second of a burst, and the memory of the dispatcher's
process. Rounds alternate, the medians count; the ratios are to the rounds without hostile deliveries. The last line is JSON.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import uvloop
from outgoing import Receiver, Sender, another_database, body_sent_now, percentile, receiving, sending
from sqlalchemy import insert, select

from tidings import clock
from tidings.logs import configure_logs
from tidings.store.tables import attempts, deliveries
from tidings.store.transactions import Tx

KINDS = ("silent", "drip", "error", "reset", "endless")
PORTS_A_KIND = 4
HEALTHY = 10


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement."""

    p50_ms: float
    p99_ms: float
    per_second: float
    grown_mb: float


# -- the hostile endpoints ---------------------------------------------------------------------------------------------------------------------------------


async def misbehave(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of this kind."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            if kind == "silent":
                await asyncio.sleep(3600)
            elif kind == "drip":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b"x")
                    await asyncio.sleep(1)
            elif kind == "error":
                writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            elif kind == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            else:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b"x" * 65536)
                    await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


def run_hostile(pipe: Connection) -> None:
    """Listens, tells the ports by kind, and misbehaves until it hears anything."""

    async def serve() -> None:
        ports: dict[str, list[int]] = {}
        for kind in KINDS:
            for _ in range(PORTS_A_KIND):
                listener = socket.create_server(("127.0.0.1", 0), backlog=512)
                await asyncio.start_server(lambda reader, writer, kind=kind: misbehave(kind, reader, writer), sock=listener)  # type: ignore[misc]
                ports.setdefault(kind, []).append(listener.getsockname()[1])
        pipe.send(ports)
        await asyncio.to_thread(pipe.recv)

    uvloop.run(serve())


@contextmanager
def hostile() -> Iterator[list[int]]:
    """The hostile endpoints' ports."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_hostile, args=(theirs,), daemon=True)
    process.start()
    try:
        yield [port for ports in mine.recv().values() for port in ports]
    finally:
        process.kill()


# -- measuring ---------------------------------------------------------------------------------------------------------------------------------------------


async def measure(sender: Sender, receiver: Receiver, bad_ports: list[int], options: argparse.Namespace) -> Round:
    """A steady pace, then a burst, at the healthy endpoints."""
    healthy = await sender.hooks(receiver.ports)
    if bad_ports:
        await sender.owe(await sender.hooks(bad_ports), options.hostile)
    sequence = 0

    def add(tx: Tx, number: int) -> None:
        tx.execute(insert(deliveries), [sender.row(healthy[number % len(healthy)], number + 1, clock.now(), body_sent_now())])
        tx.wake("deliveries")

    memory = psutil.Process().memory_info().rss
    async with sender.dispatching():
        await asyncio.sleep(3)  # the hostile ones have shown what they are
        receiver.ages()
        began, running = time.perf_counter(), []
        for sequence in range(int(options.pace * options.seconds)):
            await asyncio.sleep(max(0.0, began + sequence / options.pace - time.perf_counter()))
            running.append(asyncio.create_task(sender.db.write(add, sequence)))
        await asyncio.gather(*running)
        await asyncio.sleep(1)
        ages = receiver.ages()
        if len(ages) != len(running):
            raise RuntimeError(f"{len(ages)} arrived of {len(running)}")
        per_second = await burst(sender, healthy, sequence + 1, options.burst)
        grown = psutil.Process().memory_info().rss - memory
    return Round(percentile(ages, 0.5), percentile(ages, 0.99), per_second, grown / 1e6)


async def burst(sender: Sender, healthy: list[str], behind: int, count: int) -> float:
    """Deliveries a second, of so many that become due at once."""
    rows = [sender.row(healthy[number % len(healthy)], behind + number + 1, clock.now()) for number in range(count)]
    ids = {row["id"] for row in rows}

    def add(tx: Tx) -> None:
        tx.execute(insert(deliveries), rows)
        tx.wake("deliveries")

    def left(tx: Tx) -> bool:
        waiting = select(deliveries.c.id).where(deliveries.c.state == "pending", deliveries.c.webhook_id.in_(healthy)).limit(1)
        return tx.execute(waiting).first() is not None

    await sender.db.write(add)
    began = time.perf_counter()
    while await sender.db.read(left):  # noqa: ASYNC110 - in the database is where it counts
        await asyncio.sleep(0.02)
    elapsed = time.perf_counter() - began
    made = await sender.db.read(lambda tx: {row[0] for row in tx.execute(select(attempts.c.delivery_id).where(attempts.c.delivery_id.in_(list(ids)[:500])))})
    if len(made) != min(500, len(ids)):
        raise RuntimeError("a delivery of the burst has no attempt")
    return count / elapsed


def run_one(bad_ports: list[int], receiver: Receiver, options: argparse.Namespace, pipe: Connection) -> None:
    """One round, in a process of its own; its log is written as `serve` writes it, to nowhere."""
    configure_logs(Path(os.devnull).open("w"))  # noqa: SIM115 - for the life of the process

    async def run() -> Round:
        with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder, another_database(options.database_url) as url:
            async with sending(Path(folder), url) as sender:
                return await measure(sender, receiver, bad_ports, options)

    pipe.send(uvloop.run(run()))


def main() -> None:
    """Measures both, prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, default in (("hostile", int, 10_000), ("pace", int, 200), ("seconds", float, 15.0), ("burst", int, 5000), ("rounds", int, 2)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {"without": [], "with": []}
    with receiving(HEALTHY) as receiver, hostile() as bad_ports:
        for number in range(options.rounds):
            for kind, kept in rounds.items():
                mine, theirs = multiprocessing.Pipe()
                ports = bad_ports if kind == "with" else []
                process = multiprocessing.get_context("spawn").Process(target=run_one, args=(ports, receiver, options, theirs))
                process.start()
                if not mine.poll(300):
                    process.kill()
                    raise TimeoutError("a round did not end")
                kept.append(mine.recv())
                process.join(30)
                one = kept[-1]
                print(f"{kind:8} round {number + 1}: p50 {one.p50_ms:6.1f} ms, p99 {one.p99_ms:6.1f} ms", flush=True)
                print(f"                 a burst at {one.per_second:6,.0f}/s, memory grown by {one.grown_mb:.0f} MB", flush=True)
    without, beside = (Round(*(statistics.median(figures) for figures in zip(*map(astuple, kept), strict=True))) for kept in rounds.values())
    print(f"p99 at healthy endpoints beside {options.hostile:,} due at hostile ones: {beside.p99_ms:.1f} ms, without {without.p99_ms:.1f} ms")
    print(f"ratio: {beside.p99_ms / without.p99_ms:.2f}; of the burst's rate: {beside.per_second / without.per_second:.2f} ({beside.per_second:,.0f}/s)")
    about = {"benchmark": "isolation", "database": "postgresql" if options.database_url else "sqlite", "hostile": options.hostile}
    figures = {
        "p99_ms": round(beside.p99_ms, 2),
        "p99_ms_without": round(without.p99_ms, 2),
        "p99_ratio": round(beside.p99_ms / without.p99_ms, 2),
        "per_second": round(beside.per_second),
        "per_second_without": round(without.per_second),
        "rate_ratio": round(beside.per_second / without.per_second, 3),
        "grown_mb": round(beside.grown_mb),
        "grown_mb_without": round(without.grown_mb),
    }
    print(json.dumps({**about, **figures, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

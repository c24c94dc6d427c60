"""From the commit of an event to its receipt, at a steady pace, beside a bare POST of the same run.

    python benchmarks/latency.py [--pace 200] [--seconds 10] [--rounds 3] [--rows 1000000] [--database-url postgresql://...]

Ours: each delivery is committed on its own, and a dispatcher (uvloop, the same process) claims, signs, posts, and settles it; the time runs from within the
committing transaction, just before its commit, to the receiver's last byte. The ceiling: the same HTTP client posts the same body at the same pace. Then
the same once more with `--rows` deliveries in the tables that are done, at rest and while they are pruned. The receiver is one other process; rounds
alternate, the medians count. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from outgoing import Receiver, Sender, another_database, body_sent_now, percentile, receiving, sending
from sqlalchemy import insert

from tidings import clock
from tidings.store.tables import deliveries
from tidings.store.transactions import Tx
from tidings.webhooks.retention import prune
from tidings.worker.housekeeping import SHARE

AGO = 100 * clock.DAY  # when the finished ones were made


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement."""

    p50_ms: float
    p99_ms: float


async def paced(send: Callable[[int], Awaitable[Any]], pace: int, seconds: float) -> None:
    """Starts `send` so many times a second, whether the ones before have ended or not."""
    began, running = time.perf_counter(), []
    for number in range(int(pace * seconds)):
        await asyncio.sleep(max(0.0, began + number / pace - time.perf_counter()))
        running.append(asyncio.create_task(send(number)))  # type: ignore[arg-type]
    await asyncio.gather(*running)


async def measure(receiver: Receiver, send: Callable[[int], Awaitable[Any]], options: argparse.Namespace) -> Round:
    """The ages of what arrived, after a second to warm up."""
    await paced(send, options.pace, 1)
    await asyncio.sleep(0.5)
    receiver.ages()
    await paced(send, options.pace, options.seconds)
    await asyncio.sleep(0.5)
    ages = receiver.ages()
    if len(ages) != int(options.pace * options.seconds):
        raise RuntimeError(f"{len(ages)} arrived of {int(options.pace * options.seconds)}")
    return Round(percentile(ages, 0.5), percentile(ages, 0.99))


class Ours:
    """Commits deliveries for one hook."""

    def __init__(self, sender: Sender, hook_id: str) -> None:
        self._sender, self._hook_id, self._sequence = sender, hook_id, 0

    async def send(self, _number: int) -> None:
        """One more."""
        self._sequence += 1
        await self._sender.db.write(self._add, self._sequence)

    def _add(self, tx: Tx, sequence: int) -> None:
        row = self._sender.row(self._hook_id, sequence, clock.now(), body_sent_now())
        tx.execute(insert(deliveries), [row])
        tx.wake("deliveries")


async def bare(sender: Sender, port: int) -> Callable[[int], Awaitable[Any]]:
    """The client by itself."""
    headers = {"Content-Type": "application/json", "webhook-id": "x" * 36, "webhook-signature": "v1," + "x" * 44}
    return lambda _number: sender.outbound.post(f"http://127.0.0.1:{port}/hook", headers, body_sent_now().encode(), 15)


async def at_rest(receiver: Receiver, folder: Path, options: argparse.Namespace) -> dict[str, list[Round]]:
    """The bare client and ours, in turn, on a database that is empty."""
    rounds: dict[str, list[Round]] = {"bare": [], "ours": []}
    async with sending(folder, options.database_url) as sender:
        (hook_id,) = await sender.hooks(receiver.ports[:1])
        ours = Ours(sender, hook_id)
        for _ in range(options.rounds):
            rounds["bare"].append(await measure(receiver, await bare(sender, receiver.ports[0]), options))
            async with sender.dispatching():
                rounds["ours"].append(await measure(receiver, ours.send, options))
    return rounds


async def among(receiver: Receiver, folder: Path, url: str | None, options: argparse.Namespace) -> dict[str, list[Round]]:
    """Ours in the midst of what is done: at rest, then while that is pruned."""
    rounds: dict[str, list[Round]] = {"among": [], "pruning": []}
    async with sending(folder, url) as sender:
        old, hook_id = await sender.hooks([8080, receiver.ports[0]])
        await sender.finish(old, options.rows, clock.now() - AGO)
        ours = Ours(sender, hook_id)
        async with sender.dispatching():
            for _ in range(options.rounds):
                rounds["among"].append(await measure(receiver, ours.send, options))
            pruning = asyncio.create_task(prune_all(sender))
            for _ in range(options.rounds):
                rounds["pruning"].append(await measure(receiver, ours.send, options))
                if pruning.done():
                    raise RuntimeError("all was pruned before the end: measure with more rows")
            pruning.cancel()
            await asyncio.gather(pruning, return_exceptions=True)
    return rounds


async def prune_all(sender: Sender) -> None:
    """As housekeeping does it."""
    removed = 1
    while removed:
        began = time.perf_counter()
        removed = await sender.db.write_bulk(prune, clock.now() - 90 * clock.DAY)
        await asyncio.sleep(SHARE * (time.perf_counter() - began))


async def run(receiver: Receiver, options: argparse.Namespace) -> dict[str, Round]:
    """All kinds of rounds, their medians."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder, another_database(options.database_url) as url:
        rounds = await at_rest(receiver, Path(folder) / "rest", options)
        if options.rows:
            rounds |= await among(receiver, Path(folder) / "among", url, options)
    return {kind: Round(statistics.median(one.p50_ms for one in kept), statistics.median(one.p99_ms for one in kept)) for kind, kept in rounds.items()}


def main() -> None:
    """Measures all, prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    with receiving(1) as receiver:
        found = uvloop.run(run(receiver, options))
    names = {
        "bare": "the client alone",
        "ours": "commit to receipt",
        "among": f"among {options.rows:,} that are done",
        "pruning": "while these are pruned",
    }
    for kind, one in found.items():
        ratio = one.p99_ms / found["bare"].p99_ms
        print(f"{names[kind]}, {options.pace} a second: p50 {one.p50_ms:.1f} ms, p99 {one.p99_ms:.1f} ms (ratio to the client alone {ratio:.1f})")
    if "pruning" in found:
        print(f"p99 while pruning, to that at rest among as many: {found['pruning'].p99_ms / found['among'].p99_ms:.2f}")
    figures = {f"{kind}_{name}": round(getattr(one, name), 2) for kind, one in found.items() for name in ("p50_ms", "p99_ms")}
    about = {"benchmark": "latency", "database": "postgresql" if options.database_url else "sqlite", "pace": options.pace, "rows": options.rows}
    print(json.dumps({**about, **figures, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

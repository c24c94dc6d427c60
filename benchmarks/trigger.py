"""Calls of trigger URLs a second, beside the bare ceiling of the same run.

    python benchmarks/trigger.py [--seconds 5] [--callers 64] [--hooks 1000] [--rounds 3] [--database-url postgresql://...]

Ours: the app as `serve` runs it (uvicorn, one process, uvloop, httptools), each call merged into the queued sync of its data source and answered
after the commit is on disk. The ceiling: a bare ASGI function on the same server that inserts one row into SQLite (WAL, FULL), commits grouped. The callers
are one other process that keeps `--callers` connections busy. Rounds of both alternate, the medians count. The last line is JSON.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import queue
import resource
import secrets
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from tidings import clock
from tidings.model.bots import DataSource
from tidings.model.ids import new_id
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings, load_settings
from tidings.store import bots, data_sources, workspaces
from tidings.store.database import open_database
from tidings.web.server import create_app
from tidings.web.services import Services
from tidings.webhooks import hooks
from tidings.webhooks.hooks import HookInput

SUCCESS = b'{"success": true}'


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one server."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


# -- the servers, each in a process of its own ------------------------------------------------------------------------------------------------------------


def run_server(kind: str, folder: str, database_url: str | None, count: int, pipe: Connection) -> None:
    """Serves on a free port until the pipe says stop; tells its paths, then its seconds of CPU whenever it is asked."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(kind, Path(folder), database_url, count, pipe))


async def _serve(kind: str, folder: Path, database_url: str | None, count: int, pipe: Connection) -> None:
    outbound = Outbound()
    app, paths = await _ours(folder, database_url, count, outbound) if kind == "ours" else (_Bare(folder), ["/hook"])
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, loop="none", http="httptools", lifespan="off", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
        await asyncio.sleep(0.01)
    pipe.send((listener.getsockname()[1], paths))
    while await asyncio.to_thread(pipe.recv) != "stop":
        used = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send(used.ru_utime + used.ru_stime)
    server.should_exit = True
    await serving
    await outbound.aclose()


async def _ours(folder: Path, database_url: str | None, count: int, outbound: Outbound) -> tuple[Any, list[str]]:
    settings: Settings = load_settings(home=folder, database_url=database_url, trigger_rate=0)
    db = open_database(settings)
    db.migrate()
    box = SecretBox([secrets.token_bytes(32)])
    workspace_id = await db.write(workspaces.create, "Benchmark", settings.default_plan)
    bot = await db.write(bots.create, workspace_id, "Testing bot")
    paths = []
    for number in range(count):
        source = DataSource(new_id(), workspace_id, bot.id, f"Data source {number}", "folder", {}, paused=False, created_at=clock.now())
        await db.write(data_sources.create, source)
        hook = await hooks.create(db, box, outbound, workspace_id, bot.id, HookInput("sync_trigger", data_source_id=source.id))
        paths.append(hook.trigger_path)
    return create_app(Services(db, settings, box, outbound, "http://127.0.0.1")), paths


class _Bare:
    """The ceiling: one row inserted for each request, one commit for all that wait."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bare.sqlite"
        self._rows: queue.SimpleQueue[tuple[str, asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        stored = self._loop.create_future()
        self._rows.put((scope["path"], stored))
        await stored
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")]})
        await send({"type": "http.response.body", "body": SUCCESS})

    def _write(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE calls(n INTEGER PRIMARY KEY, path TEXT NOT NULL)"):
            db.execute(statement)
        while True:
            group = [self._rows.get()]
            while len(group) < 256:
                try:
                    group.append(self._rows.get_nowait())
                except queue.Empty:
                    break
            db.execute("BEGIN IMMEDIATE")
            for path, _ in group:
                db.execute("INSERT INTO calls(path) VALUES (?)", (path,))
            db.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._answer, group)

    @staticmethod
    def _answer(group: list[tuple[str, asyncio.Future[None]]]) -> None:
        for _, stored in group:
            if not stored.done():
                stored.set_result(None)


# -- the callers ------------------------------------------------------------------------------------------------------------------------------------------


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, requests: list[bytes], first: int, took: list[float]) -> None:
        self._requests, self._next, self._took = requests, first, took
        self._received = bytearray()
        self.going = True
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """The first request goes out at once."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._next = (self._next + 1) % len(self._requests)
        self._asked = time.perf_counter()
        self._transport.write(self._requests[self._next])

    def data_received(self, data: bytes) -> None:
        """An answer, or a piece of one."""
        self._received += data
        if not self._received.endswith(SUCCESS):
            if b" 200 " not in self._received[:16] and not self.ended.done():
                self.ended.set_exception(RuntimeError(f"not accepted: {bytes(self._received)!r}"))
            return
        self._received.clear()
        self._took.append(time.perf_counter() - self._asked)
        if self.going:
            self._ask()
        elif not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Only a mistake while the round goes on."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))


async def call(port: int, paths: list[str], callers: int, seconds: float, pipe: Connection) -> Round:
    """Keeps the connections busy for so long, after a second to warm up."""
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: benchmark\r\n\r\n".encode() for path in paths]
    took: list[float] = []
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda first=number * 7: Caller(requests, first, took), "127.0.0.1", port)  # type: ignore[misc]
        for number in range(callers)
    ]
    protocols: list[Caller] = [protocol for _, protocol in made]
    await asyncio.sleep(1)
    cpu_before, began = _cpu(pipe), time.perf_counter()
    took.clear()
    await asyncio.sleep(seconds)
    elapsed, answered = time.perf_counter() - began, sorted(took)
    cpu = _cpu(pipe) - cpu_before
    for protocol in protocols:
        protocol.going = False
    await asyncio.wait_for(asyncio.gather(*(protocol.ended for protocol in protocols)), 30)
    for transport, _ in made:
        transport.close()
    rank = answered[int(len(answered) * 0.99)]
    return Round(len(answered) / elapsed, statistics.median(answered) * 1000, rank * 1000, cpu / len(answered) * 1e6)


def _cpu(pipe: Connection) -> float:
    pipe.send("cpu")
    used: float = pipe.recv()
    return used


def measure(kind: str, options: argparse.Namespace) -> Round:
    """One round against a fresh server."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=run_server, args=(kind, folder, options.database_url, options.hooks, theirs))
        process.start()
        try:
            if not ours.poll(120):
                raise TimeoutError("the server did not start")
            port, paths = ours.recv()
            return uvloop.run(call(port, paths, options.callers, options.seconds, ours))
        finally:
            ours.send("stop")
            process.join(15)
            if process.is_alive():
                process.kill()


def main() -> None:
    """Measures both, prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--hooks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {"ours": [], "bare": []}
    for number in range(options.rounds):
        for kind, kept in rounds.items():
            kept.append(measure(kind, options))
            print(f"{kind:5} round {number + 1}: {kept[-1].per_second:8,.0f}/s   p50 {kept[-1].p50_ms:5.1f} ms   p99 {kept[-1].p99_ms:5.1f} ms", flush=True)
    ours, bare = (_median(rounds[kind]) for kind in ("ours", "bare"))
    print(f"trigger, merge path: {ours.per_second:,.0f} requests/s, p50 {ours.p50_ms:.1f} ms, p99 {ours.p99_ms:.1f} ms, {ours.cpu_us:.0f} us of CPU each")
    print(f"bare ASGI and a committed insert: {bare.per_second:,.0f} requests/s, p99 {bare.p99_ms:.1f} ms, {bare.cpu_us:.0f} us of CPU each")
    print(f"ratio: {ours.per_second / bare.per_second:.2f}")
    figures = {
        "benchmark": "trigger",
        "database": "postgresql" if options.database_url else "sqlite",
        "callers": options.callers,
        "requests_per_second": round(ours.per_second),
        "p50_ms": round(ours.p50_ms, 2),
        "p99_ms": round(ours.p99_ms, 2),
        "cpu_us": round(ours.cpu_us),
        "bare_per_second": round(bare.per_second),
        "bare_p99_ms": round(bare.p99_ms, 2),
        "bare_cpu_us": round(bare.cpu_us),
        "ratio": round(ours.per_second / bare.per_second, 3),
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))


def _median(rounds: list[Round]) -> Round:
    """Each figure's own median."""
    return Round(*(statistics.median(getattr(one, name) for one in rounds) for name in ("per_second", "p50_ms", "p99_ms", "cpu_us")))


if __name__ == "__main__":
    main()

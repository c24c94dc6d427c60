"""Calls of trigger URLs a second, beside the bare ceilings of the same run; and how long a call takes while syncs run.

    python benchmarks/trigger.py [--seconds 5] [--callers 64] [--hooks 1000] [--rounds 3] [--rate 500] [--files 2000] [--database-url postgresql://...]

Ours: the app as `serve` runs it (uvicorn, one process, uvloop, httptools), each call merged into the queued sync of its data source and answered
after the commit is on disk. The ceilings, on the same server: a bare ASGI function, and a bare FastAPI route, that insert one row into SQLite (WAL,
FULL) or into the same PostgreSQL, commits grouped. The callers are one other process that keeps `--callers` connections busy. Rounds of all three
alternate, the medians count.

Beside syncs: the same callers make `--rate` calls a second together, which is far from what saturates the server, so that the time of a call is seen and
not a queue's; a call that could not be made when it was due counts from then. First at rest, then while the worker in the same process runs the
first syncs of two data sources of `--files` Markdown files each, from when both run until one of them ends. The ceiling: the bare ASGI function, at rest
and beside as many processes as there are cores that do nothing but count. The last line is JSON.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from trigger_servers import SUCCESS, run_server


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one server."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Beside:
    """How long calls took at rest, and while syncs ran, or what stands for them; milliseconds."""

    rest_p50: float
    rest_p99: float
    syncs_p50: float
    syncs_p99: float
    calls: int  # while syncs ran

    @property
    def ratio(self) -> float:
        """How much longer the slowest of a hundred took."""
        return self.syncs_p99 / self.rest_p99


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
            self._again()
        elif not self.ended.done():
            self.ended.set_result(None)

    def _again(self) -> None:
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Only a mistake while the round goes on."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))


class Paced(Caller):
    """One connection that asks at regular times, however long the answers take: what is asked late counts from when it was due."""

    def __init__(self, requests: list[bytes], first: int, took: list[float], *, every: float, after: float) -> None:
        super().__init__(requests, first, took)
        self._every, self._after = every, after

    def connection_made(self, transport: Any) -> None:
        """The first request goes out after a while."""
        self._transport = transport
        self._due = time.perf_counter() + self._after
        asyncio.get_running_loop().call_later(self._after, self._ask)

    def _again(self) -> None:
        self._due += self._every
        left = self._due - time.perf_counter()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._ask)
        else:
            self._ask()
            self._asked = self._due


def _requests(port: int, paths: list[str]) -> list[bytes]:
    return [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: benchmark\r\n\r\n".encode() for path in paths]


async def call(port: int, paths: list[str], options: argparse.Namespace, pipe: Connection) -> Round:
    """Keeps the connections busy for so long, after a second to warm up."""
    requests, took = _requests(port, paths), list[float]()
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(lambda number=number: Caller(requests, number * 7, took), "127.0.0.1", port)) for number in range(options.callers)]
    await asyncio.sleep(1)
    cpu_before, began = _cpu(pipe), time.perf_counter()
    took.clear()
    await asyncio.sleep(options.seconds)
    elapsed, answered = time.perf_counter() - began, took.copy()
    cpu = _cpu(pipe) - cpu_before
    await _end(made)
    return Round(len(answered) / elapsed, *_percentiles(answered), cpu / len(answered) * 1e6)


async def call_beside(port: int, paths: list[str], options: argparse.Namespace, pipe: Connection) -> Beside:
    """Calls at the same pace at rest, and while both syncs run."""
    requests, took = _requests(port, paths), list[float]()
    loop, every = asyncio.get_running_loop(), options.callers / options.rate
    made = [
        await loop.create_connection(lambda number=number: Paced(requests, number, took, every=every, after=number / options.rate), "127.0.0.1", port)
        for number in range(options.callers)
    ]
    await asyncio.sleep(1)
    took.clear()
    await asyncio.sleep(options.seconds)
    rest = took.copy()
    while (await asyncio.to_thread(_states_of, pipe)).get("running", 0) < 2:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.02)
    took.clear()
    while not (states := await asyncio.to_thread(_states_of, pipe)).get("succeeded", 0):
        if "failed" in states:
            raise RuntimeError(f"a sync failed: {states}")
        await asyncio.sleep(0.1)
    beside = took.copy()
    await _end(made)
    return Beside(*_percentiles(rest), *_percentiles(beside), len(beside))


async def _end(made: list[tuple[Any, Any]]) -> None:
    for _, protocol in made:
        protocol.going = False
    await asyncio.wait_for(asyncio.gather(*(protocol.ended for _, protocol in made)), 30)
    for transport, _ in made:
        transport.close()


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    """(p50, p99) in milliseconds."""
    ranked = sorted(seconds)
    return ranked[len(ranked) // 2] * 1000, ranked[int(len(ranked) * 0.99)] * 1000


def _states_of(pipe: Connection) -> dict[str, int]:
    pipe.send("work")
    states: dict[str, int] = pipe.recv()
    return states


def _cpu(pipe: Connection) -> float:
    pipe.send("cpu")
    used: float = pipe.recv()
    return used


def measure(kind: str, options: argparse.Namespace) -> Any:
    """One measurement of a fresh server."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-", ignore_cleanup_errors=True) as folder:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=run_server, args=(kind, folder, options, theirs))
        process.start()
        try:
            if not ours.poll(120):
                raise TimeoutError("the server did not start")
            port, paths = ours.recv()
            return uvloop.run((call_beside if kind in {"syncing", "busy"} else call)(port, paths, options, ours))
        finally:
            ours.send("stop")
            process.join(30)
            if process.is_alive():
                process.kill()


def main() -> None:
    """Measures all, prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--hooks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {"ours": [], "framework": [], "bare": []}
    beside: dict[str, list[Beside]] = {"syncing": [], "busy": []}
    for number in range(options.rounds):
        for kind, kept in rounds.items():
            kept.append(measure(kind, options))
            print(f"{kind:9} round {number + 1}: {kept[-1].per_second:8,.0f}/s   p50 {kept[-1].p50_ms:5.1f} ms   p99 {kept[-1].p99_ms:5.1f} ms", flush=True)
        for kind, measured in beside.items():
            measured.append(one := measure(kind, options))
            what = "beside two syncs" if kind == "syncing" else "bare ASGI beside busy cores"
            print(f"at {options.rate}/s  round {number + 1}: p99 {one.rest_p99:.1f} ms at rest, {one.syncs_p99:.1f} ms {what} ({one.calls} calls)", flush=True)
    _tell(options, {kind: _median(kept, Round) for kind, kept in rounds.items()}, {kind: _median(kept, Beside) for kind, kept in beside.items()})


def _tell(options: argparse.Namespace, rounds: dict[str, Round], both: dict[str, Beside]) -> None:
    names = {"ours": "trigger, merge path", "framework": "a bare FastAPI route and a committed insert", "bare": "bare ASGI and a committed insert"}
    for kind, one in rounds.items():
        print(f"{names[kind]}: {one.per_second:,.0f} requests/s, p50 {one.p50_ms:.1f} ms, p99 {one.p99_ms:.1f} ms, {one.cpu_us:.0f} us of CPU each")
    ours, framework, bare = rounds["ours"], rounds["framework"], rounds["bare"]
    beside, busy = both["syncing"], both["busy"]
    print(f"ratio to bare ASGI: {ours.per_second / bare.per_second:.2f}, to the bare framework: {ours.per_second / framework.per_second:.2f}")
    print(
        f"{options.rate} calls/s at rest: p50 {beside.rest_p50:.1f} ms, p99 {beside.rest_p99:.1f} ms; beside two syncs of {options.files} files: "
        f"p50 {beside.syncs_p50:.1f} ms, p99 {beside.syncs_p99:.1f} ms ({beside.ratio:.2f} times)"
    )
    print(f"bare ASGI, as many calls: p99 {busy.rest_p99:.1f} ms at rest; beside busy cores {busy.syncs_p99:.1f} ms ({busy.ratio:.2f} times)")
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
        "framework_per_second": round(framework.per_second),
        "framework_p99_ms": round(framework.p99_ms, 2),
        "framework_ratio": round(ours.per_second / framework.per_second, 3),
        "rate": options.rate,
        "rest_p50_ms": round(beside.rest_p50, 2),
        "rest_p99_ms": round(beside.rest_p99, 2),
        "syncs_p50_ms": round(beside.syncs_p50, 2),
        "syncs_p99_ms": round(beside.syncs_p99, 2),
        "syncs_ratio": round(beside.ratio, 2),
        "bare_rest_p99_ms": round(busy.rest_p99, 2),
        "bare_busy_p99_ms": round(busy.syncs_p99, 2),
        "bare_busy_ratio": round(busy.ratio, 2),
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))


def _median(measured: list[Any], kind: Any) -> Any:
    """Each figure's own median."""
    return kind(*(statistics.median(getattr(one, field.name) for one in measured) for field in fields(kind)))


if __name__ == "__main__":
    main()

"""Syncs of 5,000 Markdown files, a web site of 2,000 pages and 100 PDFs: the first, one without a change, one with 1% changed.

    python benchmarks/sync.py [--files 5000] [--pages 2000] [--pdfs 100] [--database-url postgresql://...]

Ours: `tidings serve` as a user runs it, everything asked and measured over HTTP. The ceiling: the same libraries in a plain loop over the same cores
(`sync_bare.py`). Both have started their processes and read their vocabulary before the first sync; what the start costs whoever comes first is told
apart, as the time of a sync of one row. Memory, and how long calls of a trigger URL take meanwhile, are measured at one more first sync, of a second data
source over the same rows. The last line is JSON.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from outgoing import another_database
from sync_bare import BareLoop
from sync_sources import Kind
from sync_sources import serving as serve_site

TRIGGER_PAUSE = 0.005


# -- ours -------------------------------------------------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A running `tidings serve` and a key to its API."""

    process: psutil.Process
    address: str
    key: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One API call; its JSON."""
        connection = http.client.HTTPConnection(self.address, timeout=90)
        connection.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, {"Authorization": f"Bearer {self.key}"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
        return json.loads(content)

    def timed(self, data_source: str) -> tuple[float, float, Any]:
        """Starts a sync and waits for its end: the seconds it took by the clock and of CPU, and the sync."""
        cpu = self.cpu()
        took, sync = self.end_of(self.call("POST", f"/data-sources/{data_source}/sync", {})["syncId"])
        return took, self.cpu() - cpu, sync

    def end_of(self, sync_id: str) -> tuple[float, Any]:
        """Waits for the end of a sync: the seconds it took, and the sync."""
        while True:
            sync = self.call("GET", f"/syncs/{sync_id}?wait=60")
            if sync["finishedAt"]:
                return seconds(sync["finishedAt"]) - seconds(sync["startedAt"]), sync

    def family(self) -> list[psutil.Process]:
        """The server's processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of CPU of all its processes so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self.family())


@contextmanager
def serving(home: Path, folder: Path, database_url: str | None) -> Iterator[Server]:
    """`tidings serve` in a home of its own, on a free port."""
    environment = {
        **os.environ,
        "TIDINGS_HOME": str(home),
        "TIDINGS_LOCAL_ROOTS": str(folder),
        "TIDINGS_TRIGGER_RATE": "0",
        "TIDINGS_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    if database_url:
        environment["TIDINGS_DATABASE_URL"] = database_url
    command = [sys.executable, "-m", "tidings"]
    made = subprocess.run(
        [*command, "setup", "--email", "b@example.org", "--password", "benchmark", "--json"], env=environment, check=True, capture_output=True, text=True
    )
    process = subprocess.Popen([*command, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if "http://" in line).split("http://")[1].split()[0].rstrip("/.,")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Server(psutil.Process(process.pid), address, json.loads(made.stdout)["apiKey"])
    finally:
        process.terminate()
        process.wait(40)


@dataclass
class Watch:
    """What is measured beside a sync: the peak of memory, and how long calls of its trigger URL take."""

    server: Server
    trigger_path: str
    calling: bool
    took: list[float] = field(default_factory=list)
    rss: int = 0
    pss: int = 0
    going: bool = True

    def run(self) -> None:
        """Calls the trigger again and again, and looks at the memory now and then, until `going` is False."""
        connection = http.client.HTTPConnection(self.server.address, timeout=30)
        looked = summed = 0.0
        while self.going:
            began = time.perf_counter()
            if self.calling:
                connection.request("GET", self.trigger_path)
                accepted = connection.getresponse()
                accepted.read()
                assert accepted.status == 200
                self.took.append(time.perf_counter() - began)
            if began - looked > 0.2:
                looked = began
                self.rss = max(self.rss, sum(one.memory_info().rss for one in self.server.family()))
            if began - summed > 2:  # the kernel walks through every page for this one
                summed = began
                self.pss = max(self.pss, sum(one.memory_full_info().pss for one in self.server.family()))
            time.sleep(TRIGGER_PAUSE)


def seconds(instant: str) -> float:
    """An RFC 3339 time in seconds."""
    return datetime.fromisoformat(instant).timestamp()


def watched(server: Server, bot: str, source_id: str, *, calling: bool) -> Watch:
    """A first sync, with an eye on memory; its trigger URL is called all the while where `calling`."""
    hook = server.call("POST", f"/bots/{bot}/webhooks", {"type": "sync_trigger", "dataSourceId": source_id})["url"]
    watch = Watch(server, "/" + hook.split("/", 3)[3], calling)
    watching = threading.Thread(target=watch.run)
    started = server.call("POST", f"/data-sources/{source_id}/sync", {})
    watching.start()  # the first of these calls queues a follow-up, the others merge into it
    server.end_of(started["syncId"])
    watch.going = False
    watching.join()
    return watch


def ours(kind: Kind, folder: Path, url: str | None, home: Path, database_url: str | None) -> dict[str, Any]:
    """All figures of ours for one source."""
    with serving(home, folder, database_url) as server:
        bot = server.call("POST", "/bots", {"name": "Benchmark"})["id"]

        def add(**changes: Any) -> str:
            config: dict[str, Any] = {"url": f"{url}/page-0.html", "maxPages": 2 * kind.count} if url else {"path": str(folder)}
            source = {"name": kind.name, "type": "website" if url else "folder", "config": config | changes, "syncNow": False}
            return str(server.call("POST", f"/bots/{bot}/data-sources", source)["id"])

        cold, _, sync = server.timed(add(maxPages=1) if url else add(include=[kind.file(Path(), 0).name]))
        assert sync["results"]["modifiedRows"] == 1, sync
        source_id = add()
        first, first_cpu, sync = server.timed(source_id)
        assert sync["results"]["modifiedRows"] == kind.count, sync
        found = {"cold_s": cold, "first_s": first, "first_cpu_s": first_cpu, "rows_per_second": kind.count / first}
        again = [server.timed(source_id) for _ in range(4)][1:]
        assert all(each["results"]["unmodifiedRows"] == kind.count for _, _, each in again)
        kind.write(folder, range(0, kind.count, 100), version=1)
        changed_s, changed_cpu, changed = server.timed(source_id)
        assert changed["results"]["modifiedRows"] == len(range(0, kind.count, 100)), changed
        watch = watched(server, bot, add(), calling=url is None)
    called = sorted(watch.took)
    found |= {"no_change_s": statistics.median(took for took, _, _ in again), "no_change_cpu_s": statistics.median(cpu for _, cpu, _ in again)}
    found |= {"changed_s": changed_s, "changed_cpu_s": changed_cpu, "memory_mb": watch.rss / 1e6, "memory_shared_once_mb": watch.pss / 1e6}
    return found | ({"triggers": len(called), "trigger_p99_ms": called[int(len(called) * 0.99)] * 1000} if called else {})


def bare(kind: Kind, folder: Path, url: str | None, database: Path) -> dict[str, Any]:
    """The same of the plain loop."""
    with BareLoop(kind, folder, url, database) as loop:
        first, again = loop.run(), loop.run()
        kind.write(folder, range(0, kind.count, 100), version=2)
        changed = loop.run()
    found = {"first_s": first.wall, "first_cpu_s": first.cpu, "rows_per_second": kind.count / first.wall}
    return found | {"no_change_s": again.wall, "no_change_cpu_s": again.cpu, "changed_s": changed.wall, "changed_cpu_s": changed.cpu}


def compare(kind: Kind, scratch: Path, database_url: str | None) -> dict[str, Any]:
    """One kind of source, ours and bare, printed."""
    folder = scratch / kind.name
    folder.mkdir()
    kind.write(folder, range(kind.count), version=0)
    with serve_site(folder) if kind.ending == ".html" else nullcontext() as url:
        mine = ours(kind, folder, url, scratch / f"home-{kind.name}", database_url)
        ceiling = bare(kind, folder, url, scratch / f"{kind.name}.sqlite")
    print(f"{kind.count:,} {kind.name}: {mine['rows_per_second']:,.0f} rows/s, ratio {ceiling['first_s'] / mine['first_s']:.2f} to a plain loop over the cores")
    for what, name in (("first sync", "first"), ("no change", "no_change"), ("1% changed", "changed")):
        wall, cpu = f"{name}_s", f"{name}_cpu_s"
        print(f"  {what:10} {mine[wall]:7.3f} s, {mine[cpu]:6.2f} s of CPU; plain loop {ceiling[wall]:7.3f} s, {ceiling[cpu]:6.2f} s of CPU")
    print(f"  a sync of one row from a cold start: {mine['cold_s']:.2f} s")
    print(f"  memory of all processes {mine['memory_mb']:.0f} MB (each shared page once: {mine['memory_shared_once_mb']:.0f} MB)")
    if "triggers" in mine:
        print(f"  triggers meanwhile: {mine['triggers']}, p99 {mine['trigger_p99_ms']:.1f} ms")
    return {"rows": kind.count, **_rounded(mine), "bare": _rounded(ceiling), "ratio": round(ceiling["first_s"] / mine["first_s"], 3)}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(figure, 3) if figure < 100 else round(figure) for name, figure in figures.items()}


def main() -> None:
    """Measures all, prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--pdfs", type=int, default=100)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    kinds = [Kind("files", ".md", options.files), Kind("pages", ".html", options.pages), Kind("pdfs", ".pdf", options.pdfs)]
    results = {}
    for kind in kinds:
        if kind.count:
            with tempfile.TemporaryDirectory(prefix="tidings-bench-") as scratch, another_database(options.database_url) as database_url:
                results[kind.name] = compare(kind, Path(scratch), database_url)
    about = {"benchmark": "sync", "database": "postgresql" if options.database_url else "sqlite"}
    print(json.dumps({**about, "results": results, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

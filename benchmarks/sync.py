"""Rows a second of a first sync, time of a no-change sync, memory of all processes, and triggers answered meanwhile.

    python benchmarks/sync.py [--files 5000] [--database-url postgresql://...]

Ours: `tidings serve` as a user runs it, a data source over Markdown files of 2 KB, everything asked and measured over HTTP. The ceiling: the same
libraries (hash, chunk, count, FTS5 with porter, SQLite in WAL) in a plain loop in one process, 200 files a transaction, nothing that a product adds.
The last line is JSON.
"""

import argparse
import hashlib
import http.client
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from semantic_text_splitter import MarkdownSplitter

from tidings.text.tokens import count_tokens

WORDS = ["sync", "source", "bot", "widget", "river", "mountain", "install", "configure", "database", "index", "search", "failure", "success", "hook", "trigger"]
TRIGGER_PAUSE = 0.005


def write_files(folder: Path, count: int) -> None:
    """Markdown files of about 2 KB that are all different, untouched for a while."""
    dice = random.Random(7)  # the same files in every run
    folder.mkdir()
    for number in range(count):
        paragraphs = (" ".join(f"{dice.choice(WORDS)}{dice.randrange(100) or ''}" for _ in range(50)) for _ in range(6))
        text = "\n\n".join(f"## Part {part}\n\n{paragraph}" for part, paragraph in enumerate(paragraphs))
        (folder / f"page-{number}.md").write_text(f"# Page {number}\n\n{text}"[:2048])
    time.sleep(2.2)


# -- the ceiling ------------------------------------------------------------------------------------------------------------------------------------------


def bare_loop(folder: Path, path: Path) -> tuple[float, float]:
    """Seconds of wall and of CPU for the same work in a plain loop."""
    splitter = MarkdownSplitter((1200, 2000))
    count_tokens("warm")
    db = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        "CREATE TABLE files(path TEXT PRIMARY KEY, size INT, changed INT, hash BLOB, tokens INT)",
        "CREATE TABLE documents(n INTEGER PRIMARY KEY, path TEXT, ord INT, text TEXT, tokens INT)",
        "CREATE INDEX documents_path ON documents(path)",
        "CREATE VIRTUAL TABLE words USING fts5(text, content='documents', content_rowid='n', tokenize='porter unicode61')",
        "BEGIN",
    ):
        db.execute(statement)
    began, cpu = time.perf_counter(), time.process_time()
    for number, entry in enumerate(os.scandir(folder), 1):
        looks, content = entry.stat(), Path(entry.path).read_bytes()
        chunks = splitter.chunks(content.decode())
        counted = [count_tokens(chunk) for chunk in chunks]
        for place, (chunk, tokens) in enumerate(zip(chunks, counted, strict=True)):
            n = db.execute("INSERT INTO documents(path, ord, text, tokens) VALUES (?, ?, ?, ?)", (entry.path, place, chunk, tokens)).lastrowid
            db.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (n, chunk))
        hashed = hashlib.sha256(content).digest()
        db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", (entry.path, looks.st_size, looks.st_mtime_ns, hashed, sum(counted)))
        if number % 200 == 0:
            db.execute("COMMIT")
            db.execute("BEGIN")
    db.execute("COMMIT")
    return time.perf_counter() - began, time.process_time() - cpu


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

    def sync(self, data_source: str) -> tuple[float, Any]:
        """Starts a sync and waits for its end: the seconds it took, and the sync."""
        return self.end_of(self.call("POST", f"/data-sources/{data_source}/sync", {})["syncId"])

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
    environment = {**os.environ, "TIDINGS_HOME": str(home), "TIDINGS_LOCAL_ROOTS": str(folder), "TIDINGS_TRIGGER_RATE": "0"}
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


def measure(folder: Path, home: Path, database_url: str | None, count: int) -> dict[str, Any]:
    """All figures of ours."""
    with serving(home, folder, database_url) as server:
        bot = server.call("POST", "/bots", {"name": "Benchmark"})["id"]
        source = {"type": "folder", "config": {"path": str(folder)}, "syncNow": False}
        source_id = server.call("POST", f"/bots/{bot}/data-sources", {"name": "Files", **source})["id"]
        url = server.call("POST", f"/bots/{bot}/webhooks", {"type": "sync_trigger", "dataSourceId": source_id})["url"]
        watch = Watch(server, "/" + url.split("/", 3)[3])
        watching = threading.Thread(target=watch.run)
        cpu = server.cpu()
        started = server.call("POST", f"/data-sources/{source_id}/sync", {})
        watching.start()  # the first of these calls queues a follow-up, the others merge into it
        first, sync = server.end_of(started["syncId"])
        cpu = server.cpu() - cpu
        triggered = sorted(watch.took)
        watch.going = False
        watching.join()
        assert sync["state"] == "succeeded"
        assert sync["results"]["modifiedRows"] == count
        again = [server.sync(source_id) for _ in range(3)]
        assert all(second["results"]["unmodifiedRows"] == count for _, second in again)
        return {
            "rows_per_second": round(count / first),
            "first_sync_s": round(first, 3),
            "no_change_s": round(statistics.median(taken for taken, _ in again), 3),
            "cpu_us_per_row": round(cpu / count * 1e6),
            "memory_mb": round(watch.rss / 1e6),
            "memory_shared_once_mb": round(watch.pss / 1e6),
            "triggers": len(triggered),
            "trigger_p99_ms": round(triggered[int(len(triggered) * 0.99)] * 1000, 1),
        }


def main() -> None:
    """Measures both, prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as scratch:
        folder = Path(scratch, "files")
        write_files(folder, options.files)
        wall, cpu = bare_loop(folder, Path(scratch, "bare.sqlite"))
        ours = measure(folder, Path(scratch, "home"), options.database_url, options.files)
    bare = options.files / wall
    print(f"first sync of {options.files:,} files: {ours['rows_per_second']:,} rows/s, {ours['cpu_us_per_row']} us of CPU each")
    print(f"no-change sync: {ours['no_change_s']} s")
    print(f"memory of all processes: {ours['memory_mb']} MB (each shared page once: {ours['memory_shared_once_mb']} MB)")
    print(f"triggers meanwhile: {ours['triggers']}, p99 {ours['trigger_p99_ms']} ms")
    print(f"bare loop, same libraries, one process: {bare:,.0f} rows/s, {cpu / options.files * 1e6:.0f} us of CPU each")
    print(f"ratio: {ours['rows_per_second'] / bare:.2f}")
    figures = {"benchmark": "sync", "database": "postgresql" if options.database_url else "sqlite", "files": options.files, **ours}
    figures |= {"bare_per_second": round(bare), "ratio": round(ours["rows_per_second"] / bare, 3), "cpus": os.cpu_count(), "python": sys.version.split()[0]}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

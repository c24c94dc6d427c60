"""The ceiling: the same libraries in a plain loop over the same cores, with nothing that a product adds.

A process for each core reads and cuts (hash, extract, split, count). This one compares with what is known (size and time of change, or ETag), asks for pages
and finds what they link to, and writes into SQLite (WAL, FTS5 with porter), a portion a transaction.
"""

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil
from semantic_text_splitter import MarkdownSplitter
from sync_sources import Kind

from tidings.connectors.markup import read_facts
from tidings.text.documents import Source
from tidings.text.extract import extract_source
from tidings.text.tokens import count_tokens

AT_ONCE = 2  # requests, as polite as ours
PORTION = 50  # rows

Cut = tuple[str, str, bytes, list[tuple[str, int]]]  # name, what tells a change, hash, texts with their tokens


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock, and of CPU of all processes."""

    wall: float
    cpu: float


class BareLoop:
    """A loop over one source; each `run` brings its database up to date."""

    def __init__(self, kind: Kind, folder: Path, url: str | None, database: Path) -> None:
        self._kind, self._folder, self._url = kind, folder, url
        self._db = sqlite3.connect(database, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "CREATE TABLE files(name TEXT PRIMARY KEY, mark TEXT, hash BLOB, tokens INT)",
            "CREATE TABLE documents(n INTEGER PRIMARY KEY, name TEXT, ord INT, text TEXT, tokens INT)",
            "CREATE INDEX documents_name ON documents(name)",
            "CREATE VIRTUAL TABLE words USING fts5(text, content='documents', content_rowid='n', tokenize='porter unicode61')",
        ):
            self._db.execute(statement)

    def __enter__(self) -> Self:
        others = psutil.Process().children()
        self._pool = ProcessPoolExecutor(os.cpu_count())
        list(self._pool.map(count_tokens, ["warm"] * 8, chunksize=1))
        self._processes = [psutil.Process(), *(each for each in psutil.Process().children() if each not in others)]
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(self) -> Took:
        """One pass."""
        began, cpu = time.perf_counter(), self._cpu()
        known = dict(self._db.execute("SELECT name, mark FROM files"))
        asyncio.run(self._site(known)) if self._url else self._files(known)
        return Took(time.perf_counter() - began, self._cpu() - cpu)

    def _cpu(self) -> float:
        return sum(sum(each.cpu_times()[:2]) for each in self._processes)

    def _files(self, known: dict[str, str]) -> None:
        changed: list[tuple[str, str]] = []
        for entry in os.scandir(self._folder):
            looks = entry.stat()
            mark = f"{looks.st_mtime_ns} {looks.st_size}"
            if known.get(entry.path) != mark:
                changed.append((entry.path, mark))
        cuts = self._pool.map(cut_files, *zip(*((part, self._kind.ending) for part in _portions(changed)), strict=True)) if changed else ()
        for part in cuts:
            self._write(part)

    async def _site(self, known: dict[str, str]) -> None:
        loop = asyncio.get_running_loop()
        cutting: list[asyncio.Future[Cut]] = []
        found = {f"{self._url}/page-0.html", *known}
        to_ask: asyncio.Queue[str] = asyncio.Queue()
        for url in found:
            to_ask.put_nowait(url)

        async def ask(session: aiohttp.ClientSession) -> None:
            while True:
                url = await to_ask.get()
                async with session.get(url, headers={"If-None-Match": known[url]} if url in known else {}) as answer:
                    if answer.status == 200:
                        content = await answer.read()
                        for link in read_facts(content, url).links:
                            if link not in found:
                                found.add(link)
                                to_ask.put_nowait(link)
                        cutting.append(loop.run_in_executor(self._pool, cut, url, answer.headers["ETag"], content, self._kind.ending))
                to_ask.task_done()

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(session)) for _ in range(AT_ONCE)]
            await to_ask.join()
            for one in asking:
                one.cancel()
        for part in _portions(await asyncio.gather(*cutting)):
            self._write(part)

    def _write(self, part: list[Cut]) -> None:
        self._db.execute("BEGIN")
        for name, mark, hashed, texts in part:
            self._db.execute("DELETE FROM documents WHERE name = ?", (name,))
            for place, (text, tokens) in enumerate(texts):
                n = self._db.execute("INSERT INTO documents(name, ord, text, tokens) VALUES (?, ?, ?, ?)", (name, place, text, tokens)).lastrowid
                self._db.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (n, text))
            self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (name, mark, hashed, sum(tokens for _, tokens in texts)))
        self._db.execute("COMMIT")


def cut_files(part: list[tuple[str, str]], ending: str) -> list[Cut]:
    """Reads and cuts files."""
    return [cut(name, mark, Path(name).read_bytes(), ending) for name, mark in part]


def cut(name: str, mark: str, content: bytes, ending: str) -> Cut:
    """What is stored of a row."""
    if ending == ".md":
        texts = [(chunk, count_tokens(chunk)) for chunk in MarkdownSplitter((1200, 2000)).chunks(content.decode())]
    else:
        texts = [(one.text, one.tokens) for one in extract_source(Source(content, f"x{ending}")).documents]
    return name, mark, hashlib.sha256(content).digest(), texts


def _portions(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), PORTION):
        yield items[start : start + PORTION]

"""The servers that `trigger.py` calls, each in a process of its own: ours, with or without a worker, and the bare ceilings, also beside busy cores."""

import argparse
import asyncio
import gc
import itertools
import logging
import multiprocessing
import os
import queue
import resource
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg
import structlog
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from sqlalchemy import func, select, update
from sync_sources import Kind

from tidings import clock
from tidings.model.bots import DataSource
from tidings.model.ids import new_id
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings, load_settings
from tidings.store import bots, data_sources, syncs, workspaces
from tidings.store.database import Database, open_database
from tidings.store.tables import syncs as syncs_table
from tidings.store.transactions import Tx
from tidings.web.server import create_app
from tidings.web.services import Services
from tidings.webhooks import hooks
from tidings.webhooks.hooks import HookInput
from tidings.worker.serve import run_worker

SUCCESS = b'{"success": true}'


def run_server(kind: str, folder: str, options: argparse.Namespace, pipe: Connection) -> None:
    """Serves on a free port until the pipe says stop; tells its paths, then its seconds of CPU, or how its syncs stand, whenever it is asked."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(kind, Path(folder), options, pipe))


async def _serve(kind: str, folder: Path, options: argparse.Namespace, pipe: Connection) -> None:
    house = _House(folder, options.database_url)
    beside: _House | _BusyCores = _BusyCores(options.seconds) if kind == "busy" else house
    if kind in {"ours", "syncing"}:
        app: Any = create_app(Services(house.db, house.settings, house.box, house.outbound, "http://127.0.0.1"))
        paths = await (house.fill(options.hooks) if kind == "ours" else house.fill(2, options.files))
    else:
        app, paths = _framework(folder, options.database_url) if kind == "framework" else _Bare(folder, options.database_url), ["/hook"]
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, loop="none", http="httptools", lifespan="off", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
        await asyncio.sleep(0.01)
    gc.collect()
    gc.freeze()
    pipe.send((listener.getsockname()[1], paths))
    while (asked := await asyncio.to_thread(pipe.recv)) != "stop":
        if asked == "cpu":
            used = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send(used.ru_utime + used.ru_stime)
        else:
            pipe.send(await beside.work())
    await beside.stop_work()
    server.should_exit = True
    await serving
    await house.outbound.aclose()


class _House:
    """What the app needs, with hooks; a worker once it is asked for."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.settings: Settings = load_settings(home=folder / "home", database_url=database_url, trigger_rate=0, local_roots=(folder / "docs",))
        self.db: Database = open_database(self.settings)
        self.box, self.outbound = SecretBox([secrets.token_bytes(32)]), Outbound()
        self._docs = folder / "docs"
        self._docs.mkdir()
        self._stop = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def fill(self, count: int, files: int = 0) -> list[str]:
        """So many hooks, each of a data source of its own over so many files; their paths."""
        self.db.migrate()
        await self.db.write(lambda tx: tx.execute(update(syncs_table).values(state="cancelled")))  # what rounds before this one left in a PostgreSQL
        workspace_id = await self.db.write(workspaces.create, "Benchmark", self.settings.default_plan)
        bot = await self.db.write(bots.create, workspace_id, "Testing bot")
        paths = []
        for number in range(count):
            config = {"path": str(self._docs / str(number))} if files else {}
            if files:
                (self._docs / str(number)).mkdir()
                Kind("files", ".md", files).write(self._docs / str(number), range(files), version=0)
            source = DataSource(new_id(), workspace_id, bot.id, f"Data source {number}", "folder", config, paused=False, created_at=clock.now())
            await self.db.write(data_sources.create, source)
            await self.db.write(syncs.request, source.id, "created")
            hook = await hooks.create(self.db, self.box, self.outbound, workspace_id, bot.id, HookInput("sync_trigger", data_source_id=source.id))
            paths.append(hook.trigger_path)
        return paths

    async def work(self) -> dict[str, int]:
        """How many syncs are in which state; the first time, the worker begins."""
        if self._worker is None:
            alone = self.settings.database_url is None
            self._worker = asyncio.create_task(run_worker(self.db, self.settings, self.box, self.outbound, self._stop, alone=alone))
        return await self.db.read(_states)

    async def stop_work(self) -> None:
        """Ends the worker, if it began."""
        self._stop.set()
        if self._worker is not None:
            await self._worker


class _BusyCores:
    """What stands for two syncs beside the bare function: as many processes as there are cores, which only count, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, 0.0
        self._processes: list[BaseProcess] = []

    async def work(self) -> dict[str, int]:
        """The same states as those of syncs; the first time, the processes begin."""
        if not self._processes:
            self._processes = [multiprocessing.get_context("spawn").Process(target=_count) for _ in range(os.cpu_count() or 1)]
            for process in self._processes:
                process.start()
            self._end = time.monotonic() + self._seconds
        return {"running": 2} if time.monotonic() < self._end else {"succeeded": 2}

    async def stop_work(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()


def _count() -> None:
    for _ in itertools.count():
        pass


def _states(tx: Tx) -> dict[str, int]:
    return {row.state: row.count for row in tx.execute(select(syncs_table.c.state, func.count().label("count")).group_by(syncs_table.c.state))}


def _framework(folder: Path, database_url: str | None) -> FastAPI:
    """The bare framework: one route that does what the bare function does."""
    bare, app = _Bare(folder, database_url), FastAPI(openapi_url=None)

    @app.get("/hook")
    async def hook(request: Request) -> Response:
        await bare.add(request.url.path)
        return Response(SUCCESS, media_type="application/json")

    return app


class _Bare:
    """The ceiling: one row inserted for each request, one commit for all that wait."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        insert = _inserter_of_postgresql(database_url) if database_url else _inserter_of_sqlite(folder / "bare.sqlite")
        self._rows: queue.SimpleQueue[tuple[str, asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, args=(insert,), daemon=True).start()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        await self.add(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")]})
        await send({"type": "http.response.body", "body": SUCCESS})

    async def add(self, path: str) -> None:
        """Inserts a row; returns once that is on disk."""
        stored = self._loop.create_future()
        self._rows.put((path, stored))
        await stored

    def _write(self, insert: Callable[[list[str]], None]) -> None:
        while True:
            group = [self._rows.get()]
            while len(group) < 256:
                try:
                    group.append(self._rows.get_nowait())
                except queue.Empty:
                    break
            insert([path for path, _ in group])
            self._loop.call_soon_threadsafe(self._answer, group)

    @staticmethod
    def _answer(group: list[tuple[str, asyncio.Future[None]]]) -> None:
        for _, stored in group:
            if not stored.done():
                stored.set_result(None)


def _inserter_of_sqlite(file: Path) -> Callable[[list[str]], None]:
    """What inserts rows and commits them, over a connection of its own."""
    db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE calls(n INTEGER PRIMARY KEY, path TEXT NOT NULL)"):
        db.execute(statement)

    def insert(paths: list[str]) -> None:
        db.execute("BEGIN IMMEDIATE")
        for path in paths:
            db.execute("INSERT INTO calls(path) VALUES (?)", (path,))
        db.execute("COMMIT")

    return insert


def _inserter_of_postgresql(url: str) -> Callable[[list[str]], None]:
    """The same, with one statement for all rows, which is as fast as it gets."""
    db = psycopg.connect(url, autocommit=True)
    db.execute("CREATE TABLE IF NOT EXISTS bare_calls (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text NOT NULL)")

    def insert(paths: list[str]) -> None:
        db.execute("INSERT INTO bare_calls (path) SELECT unnest(%s::text[])", [paths], prepare=True)

    return insert

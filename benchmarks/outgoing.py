"""What the benchmarks of the outgoing side share: a receiver that is a process of its own, a workspace with hooks, deliveries that are due."""

import asyncio
import json
import multiprocessing
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import create_engine, insert, text

from tidings import clock
from tidings.model.ids import new_id
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings, load_settings
from tidings.store import bots, workspaces
from tidings.store.database import Database, open_database
from tidings.store.tables import attempts, deliveries
from tidings.webhooks import hooks
from tidings.webhooks.hooks import HookInput
from tidings.webhooks.payloads import body as body_of
from tidings.webhooks.payloads import sample
from tidings.worker.dispatch_loop import dispatch

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
BODY = body_of("plain", "sync.success", 0, sample("sync.success", {}, 0))
ALLOWED = "127.0.0.0/8"
_SENT = re.compile(rb'"sentAt": (\d+)')


# -- the receiver, a process of its own --------------------------------------------------------------------------------------------------------------------


class Receiving(asyncio.Protocol):
    """Answers 204 to each request, with as little work as can be; remembers how old each body was that says when it was sent."""

    def __init__(self, ages: list[int]) -> None:
        self._ages = ages

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
            sent = _SENT.search(data, end, size)
            if sent is not None:
                self._ages.append(time.time_ns() - int(sent[1]))
            data = data[size:]
        self._left = data


def run_receiver(count: int, pipe: Connection) -> None:
    """Listens on so many ports, tells them, then the ages (ns) that it saw whenever it is asked, until it hears "stop"."""

    async def serve() -> None:
        loop, ages = asyncio.get_running_loop(), list[int]()
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(count)]
        for listener in listeners:
            await loop.create_server(lambda: Receiving(ages), sock=listener)
        pipe.send([listener.getsockname()[1] for listener in listeners])
        while await asyncio.to_thread(pipe.recv) != "stop":
            pipe.send(list(ages))
            ages.clear()

    uvloop.run(serve())


@dataclass(frozen=True, slots=True)
class Receiver:
    """The receiver as its parent sees it."""

    ports: list[int]
    pipe: Any

    def ages(self) -> list[int]:
        """Nanoseconds from `sentAt` to the receipt, of all since it was last asked."""
        self.pipe.send("ages")
        found: list[int] = self.pipe.recv()
        return found


@contextmanager
def receiving(count: int) -> Iterator[Receiver]:
    """A receiver with so many endpoints."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_receiver, args=(count, theirs), daemon=True)
    process.start()
    try:
        yield Receiver(mine.recv(), mine)
    finally:
        mine.send("stop")
        process.join(5)


# -- the sender --------------------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sender:
    """A database with one bot, and what it takes to dispatch from it."""

    db: Database
    settings: Settings
    box: SecretBox
    outbound: Outbound
    workspace_id: str
    bot_id: str

    async def hooks(self, ports: list[int]) -> list[str]:
        """The ids of new hooks, one for each port of loopback."""
        made = [
            await hooks.create(
                self.db, self.box, self.outbound, self.workspace_id, self.bot_id, HookInput("sync_success", target_url=f"http://127.0.0.1:{port}/hook")
            )
            for port in ports
        ]
        return [hook.id for hook in made]

    async def owe(self, hook_ids: list[str], count: int) -> None:
        """So many deliveries that are due, in turn for each hook."""
        at = clock.now()
        rows = [self.row(hook_ids[number % len(hook_ids)], number // len(hook_ids) + 1, at + number - count) for number in range(count)]
        for first in range(0, count, 1000):
            await self.db.write(lambda tx, some: tx.execute(insert(deliveries), some), rows[first : first + 1000])

    def row(self, hook_id: str, sequence: int, due: int, body: str = BODY) -> dict[str, Any]:
        """One delivery that is pending."""
        return {
            "id": new_id(),
            "workspace_id": self.workspace_id,
            "webhook_id": hook_id,
            "event_id": new_id(),
            "event": "sync.success",
            "sync_id": new_id(),
            "sequence": sequence,
            "state": "pending",
            "headers": {"Tidings-Event": "sync.success", "Tidings-Sync-Id": new_id()},
            "body": body,
            "next_attempt_at": due,
            "created_at": due,
        }

    async def finish(self, hook_id: str, count: int, at: int) -> None:
        """So many deliveries that are done, each with its attempt, from that instant on."""
        sent = {"Content-Type": "application/json", "webhook-signature": "v1," + "x" * 44, "Tidings-Event": "sync.success"}
        for first in range(0, count, 2000):
            numbers = range(first, min(first + 2000, count))
            rows = [self.row(hook_id, number + 1, at + number) for number in numbers]
            done = [{**row, "state": "delivered", "next_attempt_at": None, "attempt_count": 1, "step": 1, "ended_at": row["created_at"]} for row in rows]
            made = [
                {
                    "delivery_id": row["id"],
                    "number": 1,
                    "at": row["created_at"],
                    "status": 204,
                    "duration_ms": 3,
                    "request_headers": sent,
                    "response_headers": {},
                }
                for row in rows
            ]
            await self.db.write(lambda tx, some: tx.execute(insert(deliveries), some), done)
            await self.db.write(lambda tx, some: tx.execute(insert(attempts), some), made)

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        """One dispatcher in this process."""
        stop = asyncio.Event()
        running = asyncio.create_task(dispatch(self.db, self.settings, self.box, self.outbound, "benchmark", stop, grace=1))
        try:
            yield
        finally:
            stop.set()
            await running


@asynccontextmanager
async def sending(folder: Path, database_url: str | None, **settings: Any) -> AsyncIterator[Sender]:
    """A database in `folder`, or that of the URL, migrated, with one bot."""
    loaded = load_settings(home=folder, database_url=database_url, allowed_networks=ALLOWED, **settings)
    db = open_database(loaded)
    db.migrate()
    outbound = Outbound(loaded.allowed_networks, client=loaded.http_client)
    try:
        workspace_id = await db.write(workspaces.create, "Benchmark", "unlimited")
        bot = await db.write(bots.create, workspace_id, "Testing bot")
        yield Sender(db, loaded, SecretBox([secrets.token_bytes(32)]), outbound, workspace_id, bot.id)
    finally:
        await outbound.aclose()
        db.close()


@contextmanager
def another_database(url: str | None) -> Iterator[str | None]:
    """A second database on the same server, gone afterwards; None for None."""
    if url is None:
        yield None
        return
    name = f"benchmark_{secrets.token_hex(4)}"
    engine = create_engine("postgresql+psycopg://" + url.split("://", 1)[1], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield url.rsplit("/", 1)[0] + f"/{name}"
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def body_sent_now() -> str:
    """A body that says when it was made."""
    return json.dumps({**json.loads(BODY), "sentAt": time.time_ns()})


def percentile(values: list[int], share: float) -> float:
    """A percentile in milliseconds of nanoseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] / 1e6 if values else float("nan")

"""Runs extraction in processes of its own, so that no document can stop, slow or crash the server."""

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from tidings.errors import RowNotRead, Unavailable
from tidings.text.documents import Document, Extracted, Source
from tidings.text.frames import LENGTH, ORDER

BATCH_BYTES = 8 * 1024 * 1024
BATCH_ITEMS = 256
_START_SECONDS = 60.0
_END_SECONDS = 5.0
_READ_AHEAD = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Child:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    process_id: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came back for a batch: answers from its first item on; `trouble` says why there are not more."""

    answers: list[Any]
    trouble: str | None = None
    certain: bool = False


class TextPool:
    """A supervisor of a few processes at low priority.

    A process that dies or stands still is replaced, and costs the one row that did it: what else was in its batch is tried again, one by
    one. Cancelling a call ends the processes that worked on it. When the server ends, even by `kill -9`, they end too.
    """

    def __init__(self, processes: int | None = None, *, item_seconds: int = 60, still_seconds: float = 600.0) -> None:
        """`processes` is by default the number of cores, since their low priority lets the server go first; `item_seconds` bounds the processor
        time for one row, and `still_seconds` the time by the clock, which a busy machine stretches and only a process that stands still uses up.
        """
        self._item_seconds = item_seconds
        self._still_seconds = still_seconds
        self._processes = processes or os.cpu_count() or 1
        self._slots = asyncio.Semaphore(self._processes)
        self._idle: list[_Child] = []
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    async def start(self) -> None:
        """Returns when the first process has loaded everything and is ready: about half a second."""
        self._idle.append(await self._fork())

    async def aclose(self) -> None:
        """Ends all processes. Calls that still run are answered with Unavailable."""
        self._closed = True
        for child in self._idle:
            child.writer.close()
        self._idle.clear()
        await self._end_nursery(self._control)

    async def extract(self, items: Sequence[Source]) -> list[Extracted | RowNotRead]:
        """One result for each item, in their order. Hand over many small items at once: each batch is one trip to a process."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._extract_batch(batch)) for batch in cut_batches(items, self._processes)]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None  # all say the same: the pool is closed, or can't start
        return [result for task in tasks for result in task.result()]

    async def _extract_batch(self, batch: Sequence[Source]) -> list[Extracted | RowNotRead]:
        outcome = await self._try(batch)
        results = [_unpack(answer) for answer in outcome.answers]
        for item in batch[len(results) :]:
            # Which of these ended the process is not known, unless there was but one: each is tried alone.
            alone = outcome if outcome.certain else await self._try([item])
            if alone.trouble is not None and not alone.certain:
                # Or a process that waited was being killed when it was given this row: one that has just begun says for certain.
                alone = await self._try([item], fresh=True)
            results.append(_unpack(alone.answers[0]) if alone.trouble is None else RowNotRead(alone.trouble))
        return results

    async def _try(self, batch: Sequence[Source], *, fresh: bool = False) -> _Outcome:
        """Sends a batch to one process, a `fresh` one if so asked, and collects its answers, as far as they come."""
        answers: list[Any] = []
        body = pickle.dumps([(item.content, item.filename, item.media_type, item.title, item.url, item.select, item.remove) for item in batch], protocol=5)
        async with self._slots:
            child = await (self._replace() if fresh else self._take())
            worn_out = False
            try:
                async with asyncio.timeout(self._still_seconds):
                    child.writer.writelines((LENGTH.pack(len(body)), body))
                    await child.writer.drain()
                while len(answers) < len(batch):
                    async with asyncio.timeout(self._still_seconds):
                        more, worn_out = await _receive(child.reader)
                    answers.extend(more)
            except TimeoutError:
                self._discard(child)
                trouble = f"Reading this file came to nothing within {self._still_seconds:g} seconds: split it into smaller files."
                return _Outcome(answers, trouble, certain=len(batch) == 1)
            except (OSError, EOFError):
                self._discard(child)
                if self._closed:
                    raise Unavailable("Tidings is shutting down: the file is read after the next start.") from None
                trouble = (
                    f"Reading this file took more than {self._item_seconds} s of processor time or more memory than one file may take, "
                    "or it is damaged: save it again, or split it into smaller files."
                )
                return _Outcome(answers, trouble)
            except BaseException:
                self._discard(child)  # cancelled: it would go on with work that nobody waits for
                raise
            if worn_out:
                child.writer.close()
            else:
                self._idle.append(child)
        return _Outcome(answers)

    async def _take(self) -> _Child:
        """A process that waits for work; a new one where there is none."""
        while self._idle:
            child = self._idle.pop()
            if not child.reader.at_eof():
                return child
            child.writer.close()
        return await self._fork()

    async def _replace(self) -> _Child:
        """A new process in place of all that wait."""
        while self._idle:
            self._idle.pop().writer.close()
        return await self._fork()

    async def _fork(self) -> _Child:
        """A new child of the nursery, which is started first, or again, where it does not run."""
        for _ in range(2):
            if self._closed:
                raise Unavailable("Tidings is shutting down: the file is read after the next start.")
            ours, theirs = socket.socketpair()
            control = self._open_nursery()
            with theirs, suppress(OSError):  # a nursery that is gone shows below: nobody is at the other end
                socket.send_fds(control, [ORDER.pack(b"F", 0)], [theirs.fileno()])
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_READ_AHEAD)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    return _Child(reader, writer, await _receive(reader))
            except (OSError, EOFError):  # a TimeoutError is an OSError
                writer.close()
                await self._end_nursery(control)
            except BaseException:
                writer.close()
                raise
        raise Unavailable("The processes that read documents could not be started: what they printed above says why. Is there enough memory?")

    def _open_nursery(self) -> socket.socket:
        """The control socket of the running nursery."""
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                # A group of its own keeps the terminal's Ctrl-C away from it: it ends when this process does.
                self._nursery = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-P", "-m", "tidings.text.nursery", str(theirs.fileno()), str(self._item_seconds)],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    process_group=0,
                )
        return self._control

    async def _end_nursery(self, control: socket.socket | None) -> None:
        """Closes this control socket, on which its nursery ends its children and itself. Does nothing where another has taken its place."""
        if control is None or control is not self._control or self._nursery is None:
            return
        nursery, self._control, self._nursery = self._nursery, None, None
        control.close()
        try:
            await asyncio.to_thread(nursery.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            nursery.kill()
            nursery.wait()

    def _discard(self, child: _Child) -> None:
        """Kills a child through the nursery, which knows whether the process id is still this child's."""
        child.writer.transport.abort()
        if self._control is not None:
            with suppress(OSError):
                self._control.send(ORDER.pack(b"K", child.process_id))


def cut_batches(items: Sequence[Source], processes: int) -> list[Sequence[Source]]:
    """The items in their order, cut so that each process gets a share and no batch gets too large."""
    share = min(BATCH_ITEMS, max(1, -(-len(items) // processes)))
    batches: list[Sequence[Source]] = []
    start = size = 0
    for position, item in enumerate(items):
        if position > start and (position - start >= share or size + len(item.content) > BATCH_BYTES):
            batches.append(items[start:position])
            start, size = position, 0
        size += len(item.content)
    if start < len(items):
        batches.append(items[start:])
    return batches


async def _receive(reader: asyncio.StreamReader) -> Any:
    (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return orjson.loads(await reader.readexactly(size))


def _unpack(answer: Any) -> Extracted | RowNotRead:
    if isinstance(answer, str):
        return RowNotRead(answer)
    title, text_hash, documents = answer
    return Extracted(title, tuple(Document(*document) for document in documents), text_hash)

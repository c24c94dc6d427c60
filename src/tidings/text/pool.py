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

from tidings.aside import aside
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

    answers: list[Extracted | RowNotRead]
    trouble: str | None = None
    certain: bool = False


class Nursery:
    """The process that loads everything once and forks those that read. It starts when it is first asked for one, and again where it is gone.

    Several pools may share one. When the process that has it ends, even by `kill -9`, it ends too, and its children with it.
    """

    def __init__(self, item_seconds: int = 60) -> None:
        """`item_seconds` bounds the processor time of a child for one row."""
        self._item_seconds = item_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def process_id(self) -> int | None:
        """Of the one that runs."""
        return None if self._process is None else self._process.pid

    def fork(self) -> tuple[socket.socket, socket.socket]:
        """A line to a new child, and the control socket of whoever was asked for it. One that is gone shows on the line: nobody is at the other end."""
        ours, theirs = socket.socketpair()
        control = self._open()
        with theirs, suppress(OSError):
            socket.send_fds(control, [ORDER.pack(b"F", 0)], [theirs.fileno()])
        return ours, control

    def kill(self, process_id: int) -> None:
        """Kills a child; the nursery knows whether the process id is still this child's."""
        if self._control is not None:
            with suppress(OSError):
                self._control.send(ORDER.pack(b"K", process_id))

    async def end(self, control: socket.socket | None = None) -> None:
        """Ends it and its children, if it has this control socket and no other has taken its place; without one, whichever runs."""
        process, running = self._process, self._control
        if process is None or running is None or control not in {None, running}:
            return
        self._process = self._control = None
        running.close()
        try:
            await asyncio.to_thread(process.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _open(self) -> socket.socket:
        """The control socket of the one that runs."""
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                # A group of its own keeps the terminal's Ctrl-C away from it: it ends when this process does.
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-P", "-m", "tidings.text.nursery", str(theirs.fileno()), str(self._item_seconds)],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    process_group=0,
                )
        return self._control


class TextPool:
    """A supervisor of a few processes at low priority.

    A process that dies or stands still is replaced, and costs the one row that did it: what else was in its batch is tried again, one by
    one. Cancelling a call ends the processes that worked on it. When the server ends, even by `kill -9`, they end too.
    """

    def __init__(self, processes: int | None = None, *, item_seconds: int = 60, still_seconds: float = 600.0, nursery: Nursery | None = None) -> None:
        """`processes` is by default the number of cores, since their low priority lets the server go first; `item_seconds` bounds the processor
        time for one row, and `still_seconds` the time by the clock, which a busy machine stretches and only a process that stands still uses up.
        `nursery`: one that others have too, and that does not end with this pool.
        """
        self._item_seconds = item_seconds
        self._still_seconds = still_seconds
        self._processes = processes or os.cpu_count() or 1
        self._slots = asyncio.Semaphore(self._processes)
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._own_nursery = nursery is None
        self._nursery = nursery or Nursery(item_seconds)
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
        for child in self._busy:
            self._discard(child)
        if self._own_nursery:
            await self._nursery.end()

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
        results = outcome.answers
        for item in batch[len(results) :]:
            # Which of these ended the process is not known, unless there was but one: each is tried alone.
            alone = outcome if outcome.certain else await self._try([item])
            if alone.trouble is not None and not alone.certain:
                # Or a process that waited was being killed when it was given this row: one that has just begun says for certain.
                alone = await self._try([item], fresh=True)
            results.append(alone.answers[0] if alone.trouble is None else RowNotRead(alone.trouble))
        return results

    async def _try(self, batch: Sequence[Source], *, fresh: bool = False) -> _Outcome:
        """Sends a batch to one process, a `fresh` one if so asked, and collects its answers, as far as they come."""
        answers: list[Extracted | RowNotRead] = []
        labels = pickle.dumps([(len(item.content), item.filename, item.media_type, item.title, item.url, item.select, item.remove) for item in batch])
        async with self._slots:
            child = await (self._replace() if fresh else self._take())
            worn_out = False
            self._busy.add(child)
            try:
                async with asyncio.timeout(self._still_seconds):
                    child.writer.writelines((LENGTH.pack(len(labels)), labels, *(item.content for item in batch)))
                    await child.writer.drain()
                while len(answers) < len(batch):
                    async with asyncio.timeout(self._still_seconds):
                        more, worn_out = await _receive_answers(child.reader)
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
            finally:
                self._busy.discard(child)
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
            line, control = self._nursery.fork()
            reader, writer = await asyncio.open_unix_connection(sock=line, limit=_READ_AHEAD)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    child = _Child(reader, writer, orjson.loads(await _receive(reader)))
                if not self._closed:
                    return child
                writer.close()
            except (OSError, EOFError):  # a TimeoutError is an OSError
                writer.close()
                await self._nursery.end(control)
            except BaseException:
                writer.close()
                raise
        raise Unavailable("The processes that read documents could not be started: what they printed above says why. Is there enough memory?")

    def _discard(self, child: _Child) -> None:
        """Ends a child that is at work."""
        child.writer.transport.abort()
        self._nursery.kill(child.process_id)


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


async def _receive(reader: asyncio.StreamReader) -> bytes:
    (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return await reader.readexactly(size)


async def _receive_answers(reader: asyncio.StreamReader) -> tuple[list[Extracted | RowNotRead], bool]:
    """The next answers, and whether the process leaves after them."""
    body = await _receive(reader)

    def read() -> tuple[list[Extracted | RowNotRead], bool]:
        answers, worn_out = orjson.loads(body)
        return [_unpack(answer) for answer in answers], worn_out

    return await aside(len(body), read)


def _unpack(answer: Any) -> Extracted | RowNotRead:
    if isinstance(answer, str):
        return RowNotRead(answer)
    title, text_hash, documents = answer
    return Extracted(title, tuple(Document(*document) for document in documents), text_hash)

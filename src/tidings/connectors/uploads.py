"""Keeps uploaded files: `HOME/uploads/DATA_SOURCE_ID/files/NAME`, written to `.../partial` first, so that there is never half a file.

A file is kept under its own name: what `check_name` lets through is one part of a path on every file system that Tidings runs on, and is never
given to a shell. So listing needs no index that could be lost, and a backup of the folder can be read by people.
"""

import asyncio
import fcntl
import os
import secrets
import threading
import unicodedata
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EACCES, EDQUOT, EEXIST, EFBIG, EIO, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path
from types import TracebackType
from typing import Self

from tidings.clock import Micros
from tidings.connectors.home import drop, folder_of, make_last, make_private
from tidings.errors import FieldError, Invalid, NotFound, TooLarge, Unavailable

MEGABYTE = 1 << 20
FULL = {ENOSPC, EDQUOT, EFBIG}
UNUSABLE = {EACCES, EPERM, EROFS, EEXIST, ENOTDIR, EIO}
DELETED = "This data source was deleted while the files were coming in; they were not kept."


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file as it is kept; `size` in bytes."""

    name: str
    size: int
    uploaded_at: Micros


@dataclass(frozen=True, slots=True)
class _Partial:
    name: str
    path: Path
    descriptor: int


def check_name(name: str) -> str:
    """The name itself, if a file can be kept under it: 1 to 255 bytes of UTF-8, no slash of either kind, no control characters, not `.` or `..`."""
    problem = None
    if not name or name in {".", ".."}:
        problem = "A file needs a name."
    elif "/" in name or "\\" in name:
        problem = "A file's name has no slashes or backslashes; leave the folders out."
    elif any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        problem = "A file's name has no control characters and is valid UTF-8."
    elif len(name.encode()) > 255:
        problem = "A file's name is at most 255 bytes long in UTF-8."
    if problem:
        raise Invalid(FieldError("name", problem))
    return name


@contextmanager
def room(where: str) -> Iterator[None]:
    """For what needs room on a disk, and the right to write there. Unavailable where there is none, or no right."""
    try:
        with _usable():
            yield
    except OSError as error:
        if error.errno in FULL:
            raise Unavailable(f"There is no room {where}. Free some, then upload again.") from error
        raise


@contextmanager
def _usable() -> Iterator[None]:
    """For what needs the right to a folder of uploads. Unavailable where there is none."""
    try:
        yield
    except OSError as error:
        if error.errno in UNUSABLE:
            told = f"Uploads can't be used on the server: {os.strerror(error.errno)}. Whoever runs Tidings looks after the folder uploads in its home folder."
            raise Unavailable(told) from error
        raise


def make_folder(home: Path, data_source_id: str) -> Path:
    """The folder of a data source's whole files, as a real path; made if it is not there."""
    return make_private(_folder(home, data_source_id) / "files").resolve()


class UploadBatch:
    """Files that come with one request: `add` each, then `keep` them all. Leaving the `async with` without `keep` leaves nothing behind.

    The lock is for a request that is cancelled: the thread at work for it goes on for a moment, and must not find its file closed, or another one under
    the same descriptor.
    """

    def __init__(self, home: Path, data_source_id: str, limit: int) -> None:
        self._folder = _folder(home, data_source_id)
        self._limit = limit
        self._partial: list[_Partial] = []
        self._lock = threading.Lock()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._prepare)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.shield(asyncio.to_thread(self._discard))

    async def add(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        """Takes the file in, to disk, without showing it. `TooLarge` as soon as it is over the limit; `Invalid` for its name; the others stay."""
        one = _begin(self._folder, check_name(name))  # not in a thread: a cancelled request must know of the file that it has made
        self._partial.append(one)
        try:
            await self._take(one, chunks)
        except TooLarge:
            await asyncio.to_thread(self._drop, one)
            raise

    async def _take(self, one: _Partial, chunks: AsyncIterable[bytes]) -> None:
        total = 0
        waiting = bytearray()
        async for chunk in chunks:
            total += len(chunk)
            if total > self._limit:
                raise TooLarge(f"{one.name} is larger than {self._limit / MEGABYTE:g} MB. Split it, or ask the operator to raise TIDINGS_MAX_FILE_MB.")
            waiting += chunk
            if len(waiting) >= MEGABYTE:
                await asyncio.to_thread(self._write, one, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(self._write, one, bytes(waiting), done=True)

    async def keep(self) -> list[UploadedFile]:
        """Shows the files, each in place of a former one of its name. On disk when this returns."""
        return await asyncio.to_thread(self._keep)

    def _prepare(self) -> None:
        with room("on the server's disk"):
            make_private(self._folder / "partial")
            make_private(self._folder / "files")
            _sweep(self._folder)

    def _write(self, one: _Partial, data: bytes, *, done: bool = False) -> None:
        with room(f"on the server's disk for {one.name}"), self._lock:
            if one not in self._partial:
                return
            view = memoryview(data)
            while view:
                view = view[os.write(one.descriptor, view) :]
            if done:
                os.fsync(one.descriptor)

    def _keep(self) -> list[UploadedFile]:
        kept: dict[str, UploadedFile] = {}
        with room("on the server's disk"), self._lock:
            try:
                files = self._folder / "files"
                while self._partial:
                    one = self._partial[0]
                    at = os.fstat(one.descriptor)
                    one.path.replace(files / one.name)
                    os.close(self._partial.pop(0).descriptor)
                    kept[one.name] = UploadedFile(one.name, at.st_size, at.st_mtime_ns // 1_000)
                make_last(files)
            except FileNotFoundError:
                raise NotFound(DELETED) from None
        return list(kept.values())

    def _discard(self) -> None:
        with self._lock:
            while self._partial:
                _remove(self._partial.pop())

    def _drop(self, one: _Partial) -> None:
        with self._lock:
            if one in self._partial:
                self._partial.remove(one)
                _remove(one)


async def list_uploads(home: Path, data_source_id: str) -> list[UploadedFile]:
    """The files of a data source, by name."""
    return await asyncio.to_thread(_list, _folder(home, data_source_id) / "files")


async def delete_upload(home: Path, data_source_id: str, name: str) -> None:
    """Deletes one file; `NotFound` where there is none of this name."""
    await asyncio.to_thread(_delete, _folder(home, data_source_id) / "files", name)


async def drop_uploads(home: Path, data_source_id: str) -> None:
    """Deletes all files of a data source; nothing where there are none."""
    await asyncio.to_thread(drop, _folder(home, data_source_id))


async def sweep_uploads(home: Path) -> None:
    """Deletes what uploads left that a crash cut short. Not what is being written, by whichever process."""
    await asyncio.to_thread(_sweep_all, home / "uploads")


def _folder(home: Path, data_source_id: str) -> Path:
    return folder_of(home, "uploads", data_source_id)


def _begin(folder: Path, name: str) -> _Partial:
    """A new file to write to, locked for as long as it is open, so that a sweep knows it is alive."""
    while True:
        path = folder / "partial" / secrets.token_hex(16)
        try:
            with room(f"on the server's disk for {name}"):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise NotFound(DELETED) from None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else a sweep got in between these lines
            return _Partial(name, path, descriptor)
        os.close(descriptor)


def _remove(one: _Partial) -> None:
    one.path.unlink(missing_ok=True)
    os.close(one.descriptor)


def _sweep(folder: Path) -> None:
    for path in (folder / "partial").glob("*"):
        with suppress(FileNotFoundError, BlockingIOError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _sweep_all(uploads: Path) -> None:
    for folder in uploads.glob("*"):
        _sweep(folder)


def _list(files: Path) -> list[UploadedFile]:
    kept = []
    with _usable(), suppress(FileNotFoundError), os.scandir(files) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    at = entry.stat(follow_symlinks=False)
                    kept.append(UploadedFile(entry.name, at.st_size, at.st_mtime_ns // 1_000))
    return sorted(kept, key=lambda one: one.name)


def _delete(files: Path, name: str) -> None:
    try:
        with _usable():
            (files / check_name(name)).unlink()
    except (FileNotFoundError, Invalid):
        raise NotFound(f"There is no uploaded file called {name[:255]!r}.") from None
    make_last(files)

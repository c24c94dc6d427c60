"""Reads one file whole, without being led out of its bounds, hung by what is no file, or fooled by a writer at work."""
# ruff: noqa: PTH115, PTH116 - these are calls on paths and descriptors as the system knows them; pathlib would normalize them first

import errno
import os
import stat

from tidings import clock
from tidings.connectors.bounds import Bounds
from tidings.errors import RowError, RowNotFetched, RowNotRead

RACY = 2 * clock.SECOND  # a file touched this lately can change again without its times telling; also the coarsest clock of a file system (FAT)
ATTEMPTS = 3
MEGABYTE = 1 << 20
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # non-blocking: a named pipe put in a file's place does not hang us

NO_FILE = "This is not a file but a {kind}, which can't be read. Move it out of the folder, or name it in exclude."
OUT_OF_BOUNDS = "This link leads out of the data source's folder, so it was not read. Put the file itself into the folder, or name the link in exclude."
VANISHED = "The file vanished while the sync was running. If it stays away, the next sync removes the row."
NO_PERMISSION = "Tidings has no permission to read this. Give the account that runs Tidings the right to, then sync again."


def measure(at: os.stat_result, seen_at: clock.Micros) -> str | None:
    """The validator of a file whose state was looked up at `seen_at`: equal later means unchanged. None if it was touched within 2 s before (or after)."""
    if max(at.st_mtime_ns, at.st_ctime_ns) // 1_000 > seen_at - RACY:
        return None
    return _state(at)


def read_file(path: str, bounds: Bounds, limit: int) -> tuple[bytes, str | None]:
    """The content of a file and its validator, from one moment: read again, up to 3 times, if it changed meanwhile; the validator is None if it still
    did, so that the next sync looks again. At most `limit` bytes. `RowNotRead` or `RowNotFetched` where that can't be."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            content, before, after, seen_at = _read_once(path, bounds, limit)
        except OSError as error:
            raise trouble(error) from error
        if _state(before) == _state(after) and len(content) == after.st_size:
            return content, measure(after, seen_at)
        if attempt == ATTEMPTS:
            return content, None
    raise AssertionError


def too_large(limit: int) -> RowNotRead:
    """The error of a file over the limit (in bytes)."""
    return RowNotRead(f"The file is larger than {limit / MEGABYTE:g} MB, so it was not read. Split it, or ask the operator to raise TIDINGS_MAX_FILE_MB.")


def no_file(mode: int) -> RowNotRead:
    """The error of a thing in a folder that is no regular file, by its `st_mode`."""
    kinds = ((stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISDIR, "folder"))
    return RowNotRead(NO_FILE.format(kind=next((kind for test, kind in kinds if test(mode)), "device")))


def trouble(error: OSError) -> RowError:
    """What an error of the system means for one row. What the row itself is to blame for never fails a sync; I/O errors count."""
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return RowNotRead(VANISHED)
    if error.errno == errno.ELOOP:
        return RowNotRead("This link leads in a circle. Mend or remove it.")
    if error.errno == errno.ENAMETOOLONG:
        return RowNotRead("The path is longer than the system can open. Shorten the names of the folders above.")
    if error.errno in {errno.ENXIO, errno.ENODEV}:
        return RowNotRead(NO_FILE.format(kind="device or socket"))
    if error.errno in {errno.EACCES, errno.EPERM}:
        return RowNotFetched(NO_PERMISSION)
    return RowNotFetched(f"The system could not read this: {os.strerror(error.errno or errno.EIO)}. Look after the disk or network drive, then sync again.")


def _read_once(path: str, bounds: Bounds, limit: int) -> tuple[bytes, os.stat_result, os.stat_result, clock.Micros]:
    descriptor = os.open(path, _FLAGS)
    try:
        seen_at = clock.now()
        before = os.fstat(descriptor)
        if not bounds.hold(_real_path(descriptor, path, before)):
            raise RowNotRead(OUT_OF_BOUNDS)
        if not stat.S_ISREG(before.st_mode):
            raise no_file(before.st_mode)
        if before.st_size > limit:
            raise too_large(limit)
        content = _read_up_to(descriptor, before.st_size, limit)
        return content, before, os.fstat(descriptor), seen_at
    finally:
        os.close(descriptor)


def _read_up_to(descriptor: int, expected: int, limit: int) -> bytes:
    """All that is there; one call where it is as long as expected."""
    parts: list[bytes] = []
    total = 0
    while True:
        asked = min(max(expected - total, MEGABYTE if parts else 0), limit - total) + 1
        part = os.read(descriptor, asked)
        parts.append(part)
        total += len(part)
        if total > limit:
            raise too_large(limit)
        if not part or (total == expected and len(part) < asked):
            return part if len(parts) == 1 else b"".join(parts)


def _real_path(descriptor: int, path: str, opened: os.stat_result) -> str:
    """Where the open file really lies, asked of the descriptor, so that swapping the path for a link at any moment changes nothing."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no /proc here, or not for this process: the path must lead to the very file that is open
        real = os.path.realpath(path)
        there = os.stat(real, follow_symlinks=False)
        if (there.st_dev, there.st_ino) != (opened.st_dev, opened.st_ino):
            raise RowNotRead(VANISHED) from None
        return real


def _state(at: os.stat_result) -> str:
    return f"{at.st_mtime_ns}:{at.st_ctime_ns}:{at.st_size}:{at.st_ino}"

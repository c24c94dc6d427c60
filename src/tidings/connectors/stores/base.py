"""What an object store or remote file system has to tell: what lies in a folder of it, and the bytes of one file.

Whatever a library raises, a store raises one of four errors of Python's own, with a sentence where one is wanted: `FileNotFoundError`,
`PermissionError` (credentials, permissions, the guard), `TimeoutError` and other `OSError`s.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeVar

from tidings import clock
from tidings.errors import RefusedAddress, RowError
from tidings.outbound import told_by_proxy

PAGE = 500  # entries
CONNECT_SECONDS = 10
SILENCE_SECONDS = 30  # between two pieces of an answer
PAUSES = (0.5, 2.0)  # seconds between the three tries
RACY = 60 * clock.SECOND  # times of change have whole seconds, and the clock of another machine is not ours

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that lies in a folder; `path` is below the data source's own, in the store's spelling."""

    path: str
    version: str | None = None  # equal later means unchanged; None where that can't be known
    size: int | None = None  # bytes
    folder: bool = False
    url: str | None = None  # where people see it
    error: RowError | None = None  # why it can't be taken up, whatever it is


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, with the version that they are for certain."""

    content: bytes
    version: str | None
    media_type: str | None = None


class Store(ABC):
    """One folder of a store, open for one sync. `read` may be called by `at_once` tasks at a time."""

    at_once: ClassVar[int] = 8  # files asked for at the same time; more where a store is made for very many

    @abstractmethod
    def list_folder(self, path: str) -> AsyncIterator[Sequence[Entry]]:
        """What lies in the folder at `path` ("": the data source's own), in parts. A store that knows no folders names all files in the first answer."""

    @abstractmethod
    async def find(self, paths: Sequence[str]) -> Mapping[str, Entry]:
        """Those of these files that there are, by path, as a listing names them; a path may turn out to be a folder's. `OSError` where only a listing can
        tell."""

    @abstractmethod
    async def read(self, path: str, version: str | None, limit: int) -> Content:
        """One file, which was listed with this version. `RowNotRead` where it has more than `limit` bytes."""

    async def aclose(self) -> None:
        """Lets go of what is open."""
        return


def version_of(etag: str | None, modified: datetime | None, size: int | None) -> str | None:
    """The version of a file: its ETag, where that is a strong one; else its time of change and size, unless it was changed so lately that it can change
    again unseen."""
    if etag and not etag.startswith("W/"):
        return etag.strip('"')
    if modified is None or size is None:
        return None
    at = int(modified.timestamp() * clock.SECOND)
    return None if at > clock.now() - RACY else f"{at}:{size}"


async def tried(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` returns; tried three times in all where the store is away or busy."""
    for pause in PAUSES:
        try:
            return await call()
        except (ConnectionError, TimeoutError):
            await asyncio.sleep(pause)
    return await call()


async def look_up_each(look_up: Callable[[str], Awaitable[Entry]], paths: Sequence[str], at_once: int) -> dict[str, Entry]:
    """`Store.find` for a store that is asked about each file by itself: `look_up` raises FileNotFoundError of one that is not there."""
    slots = asyncio.Semaphore(at_once)

    async def there(path: str) -> Entry | None:
        async with slots:
            try:
                return await look_up(path)
            except FileNotFoundError:
                return None

    found = await asyncio.gather(*map(there, paths))
    return {path: entry for path, entry in zip(paths, found, strict=True) if entry is not None}


def trouble_of(error: BaseException) -> OSError:
    """A client's error as a store raises it, with what the guarded proxy said of it where it did. The text of the error itself may hold what is secret."""
    told = told_by_proxy(error)
    if isinstance(told, RefusedAddress):
        return PermissionError(str(told))
    return ConnectionError(str(told) if told is not None else f"The connection failed ({type(error).__name__}).")

"""The source behind a `folder` with a URL: rows are files below one folder of an object store or remote file system."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from tidings.connectors.base import Fetched, Found, Gone, Listed, Outcome, Source, Unlistable, Wanted
from tidings.connectors.globs import Selection
from tidings.connectors.keys import key_of, path_of, spelled
from tidings.connectors.reading import VANISHED, too_large
from tidings.connectors.stores.base import Entry, Store
from tidings.errors import RowError, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.model.targets import Targets

READ_SECONDS = 50  # for one file, tries and pauses included; a sync gives it up after a minute
LONGEST_KEY = 2_000  # bytes; databases index keys
DEEPEST = 64  # folders in each other
TOO_LONG = RowNotRead("The path is longer than 2,000 bytes. Shorten the names of the folders above.")
TOO_DEEP = RowNotRead("There are more than 64 folders above this one. Move it up, or name it in exclude.")
SLOW = f"The file did not come within {READ_SECONDS} s. Sync again; if that does not help, look after the store."


class RemoteSource(Source):
    """Files in `store`, known to people as `url`, that `selection` takes; those over `limit` bytes are failed rows."""

    def __init__(self, store: Store, url: str, selection: Selection, limit: int) -> None:
        self._store = store
        self._url = url
        self._selection = selection
        self._limit = limit
        self._slots = asyncio.Semaphore(store.at_once)
        self._named_all = True

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The rows as the store names them, folder by folder."""
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                async for entries in self._store.list_folder(folder):
                    folders += [one.path for one in entries if one.folder and self._enters(one.path)]
                    yield [row for one in entries if (row := self._row(one)) is not None]
            except (OSError, RowNotRead) as error:
                if not folder:
                    raise self._trouble(error) from error
                self._named_all = False  # what is below is not known
                if not isinstance(error, FileNotFoundError):
                    yield [
                        Unlistable(f"{key_of(folder)}/", RowNotFetched(f"This folder can't be listed, so no rows were removed in this sync. {_said(error)}"))
                    ]
        self.complete = self._named_all

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """The files at these paths. None where only a listing can tell: a URL, what is no path of a file, or a store that does not say."""
        try:
            paths = {key: path_of(key) for key in targets.keys}
        except ValueError:
            return None
        if targets.urls or any(path.count("/") >= DEEPEST for path in paths.values()):
            return None
        try:
            there = await self._store.find([path for path in paths.values() if self._selection.takes_by_itself(path.split("/"))])
            if not there and not await self._names_something():
                return None
        except (OSError, RowNotRead):
            return None
        if any(entry.folder for entry in there.values()):
            return None
        return [(self._row(there[path]) if path in there else None) or Gone(key) for key, path in paths.items()]

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """Several at once: each takes a journey there and back."""
        async with asyncio.TaskGroup() as reading:
            tasks = [reading.create_task(self._read(one.row)) for one in wanted]
        return [task.result() for task in tasks]

    async def aclose(self) -> None:
        """Lets go of the connections."""
        await self._store.aclose()

    async def _read(self, row: Listed) -> Fetched | RowError:
        if row.size is not None and row.size > self._limit:
            return too_large(self._limit)
        path = spelled(row.key)
        try:
            async with self._slots, asyncio.timeout(READ_SECONDS):
                got = await self._store.read(path, row.validator, self._limit)
        except RowError as error:
            return error
        except FileNotFoundError:
            return RowNotRead(VANISHED)
        except TimeoutError:
            return RowNotFetched(SLOW)
        except OSError as error:
            return RowNotFetched(f"The file can't be read. {_said(error)}")
        return Fetched(got.content, got.version, filename=path.rpartition("/")[2], media_type=got.media_type)

    async def _names_something(self) -> bool:
        """Whether anything lies in the data source's own folder: a store that went away, or was emptied, is not to take single rows with it."""
        async with aclosing(self._store.list_folder("")) as folder:  # type: ignore[type-var]  # they are generators
            return bool(await anext(folder, ()))

    def _enters(self, path: str) -> bool:
        parts = path.split("/")
        return self._selection.shows(parts[-1]) and self._selection.enters(parts) and len(parts) <= DEEPEST

    def _row(self, entry: Entry) -> Listed | Unlistable | None:
        parts = entry.path.split("/")
        if entry.folder:
            return Unlistable(f"{key_of(entry.path)}/", TOO_DEEP) if len(parts) == DEEPEST + 1 and self._selection.enters(parts) else None
        if not self._selection.takes_by_itself(parts):
            return None
        key = key_of(entry.path)
        if len(key.encode()) > LONGEST_KEY:
            return Unlistable(key.encode()[:LONGEST_KEY].decode(errors="ignore"), TOO_LONG)
        return Unlistable(key, entry.error) if entry.error is not None else Listed(key, entry.version, title=key_of(parts[-1]), url=entry.url, size=entry.size)

    def _trouble(self, error: OSError | RowNotRead) -> SourceRejected | SourceUnreachable:
        if isinstance(error, FileNotFoundError):
            return SourceUnreachable(f"There is nothing at {self._url}. Put it back or correct the URL, then sync again; no rows were removed.")
        if isinstance(error, PermissionError):
            return SourceRejected(f"The folder {self._url} can't be listed. {_said(error)} Correct the URL or the options of the data source.")
        return SourceUnreachable(f"The folder {self._url} can't be listed. {_said(error)} No rows were removed; sync again once it can be reached.")


def _said(error: OSError | RowNotRead) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "It did not answer in time."
    return str(error) if isinstance(error, RowNotRead) else error.strerror or str(error) or "The connection broke."

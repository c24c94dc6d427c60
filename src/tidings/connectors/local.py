"""The source behind `folder` and `files`: rows are files below one folder of this machine."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tidings.connectors.base import Fetched, Found, Listed, Outcome, Source, Unlistable, Wanted
from tidings.connectors.bounds import Bounds
from tidings.connectors.finding import find_files
from tidings.connectors.globs import Selection
from tidings.connectors.keys import path_of
from tidings.connectors.listing import Walk
from tidings.connectors.reading import VANISHED, read_file, too_large
from tidings.errors import RowError, RowNotRead, SourceUnreachable
from tidings.model.targets import Targets


class LocalSource(Source):
    """Files in `bounds` that `selection` takes; those over `limit` bytes are failed rows. Whatever waits for a disk runs in threads."""

    def __init__(self, bounds: Bounds, selection: Selection, limit: int) -> None:
        self._bounds = bounds
        self._selection = selection
        self._limit = limit
        self._walk = Walk(bounds, selection)

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The rows folder by folder, each folder's in the order of their names."""
        while batch := await asyncio.to_thread(self._walk.next_batch):
            yield batch
        self.complete = self._walk.complete

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """The files at these paths; None where one is a URL."""
        return None if targets.urls else await asyncio.to_thread(find_files, self._bounds, self._selection, targets.keys)

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """One hop to a thread for the whole batch: a small file takes less time to read than a hop does."""
        return await asyncio.to_thread(lambda: [self._read(one.row) for one in wanted])

    async def aclose(self) -> None:
        """Ends a listing that was left halfway."""
        self._walk.stop()

    def _read(self, row: Listed) -> Fetched | RowError:
        try:
            path = path_of(row.key)
        except ValueError as error:
            return RowNotRead(f"The key {row.key!r} names no file: {error}.")
        if row.size is not None and row.size > self._limit:
            return too_large(self._limit)
        try:
            content, validator = read_file(f"{self._bounds.root}/{path}", self._bounds, self._limit)
        except RowError as error:
            if str(error) == VANISHED and not Path(self._bounds.root).is_dir():
                raise SourceUnreachable(f"The folder {self._bounds.root} vanished. Put it back or connect its drive, then sync again.") from error
            return error
        return Fetched(content, validator, filename=os.path.basename(row.key))  # noqa: PTH119 - a key is no path of this system

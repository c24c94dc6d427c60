"""Lists the files below a folder: names and states only, nothing is opened, in batches, so that memory does not grow with the folder."""
# ruff: noqa: PTH112, PTH116 - these are calls on paths as the system knows them; pathlib would normalize them first

import errno
import os
import stat
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tidings import clock
from tidings.connectors.base import Listed, Unlistable
from tidings.connectors.bounds import Bounds
from tidings.connectors.globs import Selection
from tidings.connectors.keys import key_of
from tidings.connectors.reading import OUT_OF_BOUNDS, VANISHED, measure, no_file, trouble
from tidings.errors import RowError, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable

BATCH = 500
SORTED = 5_000  # entries of one folder that are held and sorted together; a larger folder comes in several such parts
BROKEN_LINK = "This link leads to nothing. Mend or remove it."
UNREADABLE_FOLDER = "Tidings could not list this folder, so no rows were removed in this sync. The system says: {why}."

Row = Listed | Unlistable


@dataclass(frozen=True, slots=True)
class _Folder:
    path: tuple[str, ...]  # below the data source's folder, by the names that lead there
    real: str
    linked: bool  # reached through a link


class Walk:
    """One walk over the files in `bounds` that `selection` takes.

    Links to files are rows of their own. A link to a folder is followed only to what the walk would not reach by itself (a hidden or excluded folder), and
    no folder is walked twice, so circles end and nothing is listed under two names. What leads out of bounds is a failed row, never looked into.
    """

    def __init__(self, bounds: Bounds, selection: Selection) -> None:
        self.complete = True
        self._bounds = bounds
        self._selection = selection
        self._linked: set[str] = set()
        self._seen_at = clock.now()
        self._rows = self._walk()
        self._lock = threading.Lock()
        self._stopped = False

    def next_batch(self) -> list[Row]:
        """Up to 500 rows; none once all have been given or the walk was stopped. Waits for the disk: for a thread."""
        with self._lock:
            batch = [] if self._stopped else list(islice(self._rows, BATCH))
        if self._stopped:  # while this thread was at work: then what `stop` could not close is closed here
            self.stop()
        return batch

    def stop(self) -> None:
        """Ends the walk, without waiting for a thread that the system keeps waiting."""
        self._stopped = True
        if self._lock.acquire(blocking=False):
            try:
                self._rows.close()
            finally:
                self._lock.release()

    def _walk(self) -> Generator[Row, None, None]:
        root = self._bounds.root
        first = state_of_root(root)
        folders = [_Folder((), root, linked=False)]
        while folders:
            folder = folders.pop()
            found: list[_Folder] = []
            yield from self._list_folder(folder, found)
            folders.extend(reversed(found))
        if state_of_root(root) != first:
            raise replaced(root)

    def _list_folder(self, folder: _Folder, found: list[_Folder]) -> Iterator[Row]:
        """The rows of one folder; the folders in it are added to `found`."""
        try:
            with os.scandir(folder.real) as entries:
                for part in _in_order(entries):
                    folders: list[_Folder] = []
                    self._seen_at = clock.now()  # before the states are looked up, so that what changes meanwhile counts as just touched
                    rows = [row for entry in part if self._selection.shows(entry.name) and (row := self._take(folder, entry, folders)) is not None]
                    if _real(folder.real) != folder.real:  # swapped for a link while we looked: these may be another folder's names
                        raise FileNotFoundError
                    found.extend(folders)
                    yield from rows
        except OSError as error:
            if not folder.path:
                raise _root_trouble(folder.real, error) from error
            key = key_of("/".join(folder.path)) + "/"
            if error.errno == errno.ENAMETOOLONG:  # nothing below was ever a row
                yield Unlistable(key, trouble(error))
                return
            self.complete = False  # what is below is not known
            if not isinstance(error, FileNotFoundError | NotADirectoryError):  # else it went, perhaps to where the walk had been
                yield Unlistable(key, RowNotFetched(UNREADABLE_FOLDER.format(why=os.strerror(error.errno or errno.EIO))))

    def _take(self, folder: _Folder, entry: "os.DirEntry[str]", found: list[_Folder]) -> Row | None:
        path = (*folder.path, entry.name)
        try:
            if entry.is_symlink():
                return self._take_link(path, entry.path, found)
            if entry.is_dir(follow_symlinks=False):
                self._add(_Folder(path, entry.path, folder.linked), found)
                return None
            taken = self._selection.takes(path) and not (folder.linked and self._reached_by_itself(entry.path))
            return self._row(path, entry.stat(follow_symlinks=False)) if taken else None
        except FileNotFoundError:
            return None  # deleted since its name was read
        except OSError as why:
            return Unlistable(key_of("/".join(path)), self._trouble(why))

    def _take_link(self, path: tuple[str, ...], link: str, found: list[_Folder]) -> Row | None:
        taken = self._selection.takes(path)
        error: RowError
        real = _real(link)
        if real is None:
            error = RowNotRead(VANISHED)
            self.complete = False  # it may have been a folder, and be one again
        elif not self._bounds.hold(real):
            error = RowNotRead(OUT_OF_BOUNDS)
            taken = taken or (self._selection.enters(path) and os.path.isdir(real))
        else:
            try:
                at = os.stat(real)
            except FileNotFoundError:
                error = RowNotRead(BROKEN_LINK)
            except OSError as why:
                error = self._trouble(why)
            else:
                if not stat.S_ISDIR(at.st_mode):
                    return self._row(path, at) if taken else None
                self._add(_Folder(path, real, linked=True), found)
                return None
        return Unlistable(key_of("/".join(path)), error) if taken else None

    def _trouble(self, why: OSError) -> RowError:
        error = trouble(why)
        if isinstance(error, RowNotFetched):
            self.complete = False  # for all we know it is a folder with rows
        return error

    def _add(self, folder: _Folder, found: list[_Folder]) -> None:
        if not self._bounds.hold(folder.real) or not self._selection.enters(folder.path):
            return
        if folder.linked:
            if folder.real in self._linked or (self._selection.takes_everything and self._reached_by_itself(folder.real)):
                return
            self._linked.add(folder.real)
        found.append(folder)

    def _reached_by_itself(self, real: str) -> bool:
        below = real[len(self._bounds.root.rstrip("/")) + 1 :]
        return not below or self._selection.takes_by_itself(below.split("/"))

    def _row(self, path: Sequence[str], at: os.stat_result) -> Row:
        return row_of(path, at, self._seen_at)


def row_of(path: Sequence[str], at: os.stat_result, seen_at: clock.Micros) -> Row:
    """The row of a thing that is no folder, from its state at `seen_at` or later."""
    key = key_of("/".join(path))
    if not stat.S_ISREG(at.st_mode):
        return Unlistable(key, no_file(at.st_mode))
    return Listed(key, measure(at, seen_at), title=key_of(path[-1]), size=at.st_size)


def state_of_root(root: str) -> tuple[int, int]:
    """What the folder at the top is known again by. SourceRejected or SourceUnreachable where it is not to be had."""
    try:
        at = os.stat(root)
    except OSError as error:
        raise _root_trouble(root, error) from error
    return at.st_dev, at.st_ino


def replaced(root: str) -> SourceUnreachable:
    """The error where the folder at the top is not the one that it was at the beginning."""
    return SourceUnreachable(f"The folder {root} was replaced by another one while it was listed. Sync again.")


def _in_order(entries: "Iterator[os.DirEntry[str]]") -> "Iterator[list[os.DirEntry[str]]]":
    """In parts that are one batch: what is done with the first rows does not wait for the states of all."""
    while held := sorted(islice(entries, SORTED), key=lambda entry: entry.name):
        for start in range(0, len(held), BATCH):
            yield held[start : start + BATCH]


def _real(path: str) -> str | None:
    """Where a path really leads; None if it was changed at this very moment."""
    try:
        return os.path.realpath(path)
    except OSError:
        return None


def _root_trouble(root: str, error: OSError) -> SourceRejected | SourceUnreachable:
    if isinstance(error, PermissionError):
        return SourceRejected(f"Tidings has no permission to list the folder {root}. Give the account that runs Tidings the right to, then sync again.")
    why = os.strerror(error.errno) if error.errno else "it was replaced while it was listed"
    return SourceUnreachable(f"The folder {root} can't be listed: {why}. Put it back or connect its drive, then sync again; no rows were removed.")

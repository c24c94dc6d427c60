"""The source behind `git`: rows are the files of the newest commit of a branch, of which a copy without history lies in the home.

Only what is new comes over the network: where the branch has not moved, one small answer; else the objects that the copy lacks. A file's version is the
id of its content, so what has not changed from commit to commit is known without being read. Files over the limit are left on the server, where it knows
how to (partial clones). dulwich waits for the network and the disk, so all of it runs in threads, one at a time: what it holds open is for one thread only.
"""

import asyncio
import os
import shutil
import stat
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

from dulwich.client import HttpGitClient, HTTPUnauthorized
from dulwich.errors import ApplyDeltaError, ChecksumMismatch, FileFormatException, GitProtocolError, NotGitRepository
from dulwich.object_store import MaxTreeDepthExceeded
from dulwich.objects import Commit, ObjectID, Tree, TreeEntry
from dulwich.refs import Ref
from dulwich.repo import Repo

from tidings.connectors.base import Fetched, Found, Gone, Listed, Outcome, Source, SourceContext, Unlistable, Wanted
from tidings.connectors.git import GitConfig
from tidings.connectors.globs import Selection
from tidings.connectors.home import folder_of, make_private
from tidings.connectors.keys import key_of, path_of
from tidings.connectors.lfs import refuse_lfs
from tidings.connectors.packs import objection_to
from tidings.connectors.reading import too_large
from tidings.errors import RefusedAddress, RowError, RowNotRead, SourceError, SourceRejected, SourceUnreachable
from tidings.model.targets import Targets
from tidings.outbound import told_by_proxy
from tidings.outbound.pools import PoolError, pool_of

BATCH = 500  # rows
LOOK_UP_SECONDS = 120.0  # that a look-up waits for the copy
STILL_AT_IT = 10.0  # seconds after which a listing says that it is still at work
REFS_BYTES = 64 << 20  # the names of all branches
COPY_BYTES = 1 << 30  # what is fetched at once, and what the copy may grow to
LARGEST = 256 << 20  # bytes of one object, which dulwich takes into memory whole, twice
UNPACKED_BYTES = 16 << 30  # of all objects of a fetch: dulwich makes each of them once, some hundred megabytes a second, and can't be stopped at that
PACKS = 20  # each fetch adds one; then the copy is made anew
MOST_FILES = 1_000_000  # a small repository can name any number of files
DEEPEST = 64  # folders in each other
LONGEST_KEY = 2_000  # bytes
HEAD = Ref(b"HEAD")
OURS = Ref(b"refs/heads/tidings")
SUBMODULE = "This is a submodule: another repository, which was not read. Make it a data source of its own, or name it in exclude."
TOO_LONG = "The path is longer than 2,000 bytes. Shorten the names of the folders above."
# fmt: off
NO_TEXT = frozenset({
    "png", "jpg", "jpeg", "gif", "webp", "bmp", "ico", "icns", "tif", "tiff", "psd", "svg", "mp3", "m4a", "wav", "ogg", "flac", "mp4", "m4v", "mov",
    "avi", "mkv", "webm", "woff", "woff2", "ttf", "otf", "eot", "zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "tar", "jar", "war", "whl",
    "exe", "dll", "so", "dylib", "a", "o", "obj", "lib", "bin", "class", "pyc", "pdb", "wasm", "iso", "dmg", "deb", "rpm", "apk", "pack", "idx",
    "sqlite", "db", "parquet", "npy", "npz", "pt", "onnx",
})
# fmt: on
# What dulwich raises where an answer or the copy makes no sense; that it was made by a hostile server can't be told from bad luck.
_NONSENSE = (
    GitProtocolError,
    FileFormatException,
    ChecksumMismatch,
    ApplyDeltaError,
    PoolError,
    zlib.error,
    struct.error,
    ValueError,
    KeyError,
    AssertionError,
    IndexError,
)


class _TooMuch(Exception):
    pass


class _Stopped(Exception):
    pass


class _Client(HttpGitClient):
    """Reads no more than it has room for, and stops when it is told to."""

    room = REFS_BYTES

    def __init__(self, url: str, stop: threading.Event, **options: Any) -> None:
        super().__init__(url, quiet=True, **options)
        self._stop = stop

    def _http_request(self, *arguments: Any, **options: Any) -> tuple[Any, Callable[..., bytes]]:
        response, read = super()._http_request(*arguments, **options)

        def bounded(*size: int) -> bytes:
            if self._stop.is_set():
                raise _Stopped
            data = read(*size)
            self.room -= len(data)
            if self.room < 0:
                raise _TooMuch
            return data

        return response, bounded


class GitSource(Source):
    """The branch of `config`, its copy in `folder`."""

    def __init__(self, config: GitConfig, folder: Path, pool: Any, limit: int) -> None:
        self._config = config
        self._folder = folder
        self._pool = pool
        self._limit = limit
        self._selection = Selection(config.include, config.exclude)
        self._repo: Repo | None = None
        self._branch = config.branch
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._updating: asyncio.Future[ObjectID | None] | None = None

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The files in the order of the tree, once the copy is that of the newest commit."""
        updating = self._updated()
        while not updating.done():
            await asyncio.wait({updating}, timeout=STILL_AT_IT)
            yield []
        commit = updating.result()
        rows = self._rows(commit) if commit is not None else iter(())
        while batch := await asyncio.to_thread(self._next, rows):
            yield batch
        self.complete = True

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """The files at these paths of the newest commit, or at the URLs where people see them. None where only a listing can tell: what is no path of a file,
        a repository that is empty, or a copy that takes so long to bring up to date that a listing, which says that it is at work, had better wait for it."""
        updating = self._updated()
        await asyncio.wait({updating}, timeout=LOOK_UP_SECONDS)
        commit = updating.result() if updating.done() else None
        return None if commit is None else await asyncio.to_thread(self._find, commit, targets)

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """All at once: they are here already."""
        return await asyncio.to_thread(lambda: [self._read(one.row) for one in wanted])

    async def aclose(self) -> None:
        """Stops what is under way, and closes the copy."""
        self._stop.set()
        if self._updating is not None:
            await asyncio.wait({self._updating})
            if not self._updating.cancelled():
                self._updating.exception()  # seen: the listing was left before it could tell
        self._pool.clear()
        if self._repo is not None:
            await asyncio.to_thread(self._close)

    def _updated(self) -> "asyncio.Future[ObjectID | None]":
        """The id of the newest commit, once the copy has it; for all who ask, it is brought up to date once."""
        if self._updating is None:
            self._updating = asyncio.ensure_future(asyncio.to_thread(self._update))
        return self._updating

    def _update(self) -> ObjectID | None:
        """The id of the newest commit, once the copy has it; None where the repository is empty."""
        try:
            with self._in_turn():
                return self._fetch()
        except SourceError:
            raise
        except HTTPUnauthorized as error:
            raise SourceRejected(f"{self._named} asks for a token, or does not take the one that it was given. Name one that may read it.") from error
        except NotGitRepository as error:
            raise SourceUnreachable(f"There is no repository at {self._config.url}. Correct the address, or name a token that may see it.") from error
        except _TooMuch as error:
            raise SourceRejected(f"{self._named} is larger than {COPY_BYTES >> 20} MB, so it was not fetched. Sync a smaller branch or repository.") from error
        except (GitProtocolError, PoolError) as error:
            raise self._trouble(error) from error
        except _NONSENSE as error:
            raise self._spoilt(error) from error
        except OSError as error:
            raise SourceUnreachable(f"{self._named} could not be kept: {error.strerror or 'the disk failed'}. See to the disk of the server.") from error

    def _fetch(self) -> ObjectID | None:
        user, _, token = (self._config.token or "").rpartition(":")
        host = urlsplit(self._config.url).hostname
        user = user or ("x-token-auth" if host == "bitbucket.org" else "x-access-token")
        credentials = {"username": user, "password": token} if token else {}
        client = _Client(self._config.url, self._stop, pool_manager=self._pool, **credentials)
        self._repo = repo = _copy(self._folder)
        wanted = HEAD if self._config.branch is None else Ref(f"refs/heads/{self._config.branch}".encode())
        tip: ObjectID | None = None

        def wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - the library's signature
            nonlocal tip
            if client.dumb:  # plain files: without git behind them each object would be a request of its own
                raise NotGitRepository
            tip = refs.get(wanted)
            client.room = COPY_BYTES
            return [] if tip is None or tip in repo.object_store else [tip]

        prefixes = [wanted] if self._config.branch is not None else [HEAD, b"refs/heads/"]
        file, commit, abort = repo.object_store.add_pack()
        try:
            result = client.fetch_pack(
                "", wants, repo.get_graph_walker(), file.write, depth=1, ref_prefix=prefixes, filter_spec=b"blob:limit=%d" % (self._limit + 1)
            )
            self._check_sizes(file)
            commit()
        except BaseException:
            if not file.closed:
                abort()
            raise
        repo.update_shallow(result.new_shallow, result.new_unshallow)
        if tip is None:
            self._check_empty(others=any(result.refs.values()))
            return None
        repo.refs[OURS] = tip
        self._branch = self._config.branch or result.symrefs.get(HEAD, HEAD).decode(errors="replace").removeprefix("refs/heads/")
        return tip

    def _check_sizes(self, pack: IO[bytes]) -> None:
        found = objection_to(pack, max(LARGEST, self._limit), UNPACKED_BYTES) if pack.tell() else None
        if found is not None:
            raise SourceRejected(f"{self._named} holds {found}, so it was not fetched. Sync a branch without that.")

    def _check_empty(self, *, others: bool) -> None:
        if self._config.branch is not None:
            raise SourceRejected(f"{self._named} has no branch called {self._config.branch} (any more). Name another one; no rows were removed.")
        if others:
            raise SourceRejected(f"{self._named} does not say which branch is its default. Name one in branch.")

    def _find(self, commit: ObjectID, targets: Targets) -> list[Found] | None:
        seen_at = self._shown_at("")
        try:
            if any(seen_at is None or not url.startswith(seen_at) for url in targets.urls):
                return None
            keys = dict.fromkeys((*targets.keys, *(key_of(unquote(url.removeprefix(seen_at or ""), errors="surrogateescape")) for url in targets.urls)))
            paths = {key: os.fsencode(path_of(key)) for key in keys}
        except ValueError:
            return None
        if any(path.count(b"/") >= DEEPEST or len(key.encode()) >= LONGEST_KEY for key, path in paths.items()):
            return None
        try:
            with self._in_turn():
                entries = {key: self._entry_at(commit, path) for key, path in paths.items()}
        except _NONSENSE as error:
            raise self._spoilt(error) from error
        if any(entry is not None and stat.S_ISDIR(entry.mode) for entry in entries.values()):
            return None
        return [(self._row(entry) if entry is not None else None) or Gone(key) for key, entry in entries.items()]

    def _entry_at(self, commit: ObjectID, path: bytes) -> TreeEntry | None:
        """What lies at a path, as a walk through the tree comes to it."""
        assert self._repo is not None
        entry = TreeEntry(path, stat.S_IFDIR, self._top_of(commit))
        for part in path.split(b"/"):
            tree = self._repo.object_store[entry.sha] if stat.S_ISDIR(entry.mode) else None
            if not isinstance(tree, Tree) or part not in tree:
                return None
            entry = TreeEntry(path, *tree[part])
        return entry

    def _top_of(self, commit: ObjectID) -> ObjectID:
        assert self._repo is not None
        newest = self._repo.object_store[commit]
        assert isinstance(newest, Commit)
        tree: ObjectID = newest.tree
        return tree

    def _rows(self, commit: ObjectID) -> Iterator[Listed | Unlistable]:
        assert self._repo is not None
        for number, entry in enumerate(self._repo.object_store.iter_tree_contents(self._top_of(commit), max_depth=DEEPEST)):
            if number == MOST_FILES:
                raise SourceRejected(f"{self._named} has more than {MOST_FILES:,} files. Sync a smaller branch or repository.")
            if (row := self._row(entry)) is not None:
                yield row

    def _next(self, rows: Iterator[Listed | Unlistable]) -> list[Listed | Unlistable]:
        try:
            with self._in_turn():
                return list(islice(rows, BATCH))
        except MaxTreeDepthExceeded as error:
            raise SourceRejected(f"{self._named} has more than {DEEPEST} folders in each other. Sync a branch without them.") from error
        except _NONSENSE as error:
            raise self._spoilt(error) from error

    def _row(self, entry: TreeEntry) -> Listed | Unlistable | None:
        path = os.fsdecode(entry.path)
        parts = path.split("/")
        if stat.S_ISLNK(entry.mode) or not self._selection.takes_by_itself(parts):
            return None
        if not self._config.include and parts[-1].rpartition(".")[2].lower() in NO_TEXT:
            return None
        key = key_of(path)
        if len(key) > LONGEST_KEY // 4 and len(key.encode()) > LONGEST_KEY:
            return Unlistable(key.encode()[:LONGEST_KEY].decode(errors="ignore"), RowNotRead(TOO_LONG))
        if not stat.S_ISREG(entry.mode):
            return Unlistable(key, RowNotRead(SUBMODULE))
        return Listed(key, entry.sha.decode(), title=key_of(parts[-1]), url=self._shown_at(path))

    def _read(self, row: Listed) -> Fetched | RowError:
        assert self._repo is not None
        assert row.validator is not None
        try:
            with self._in_turn():
                _, content = self._repo.object_store.get_raw(ObjectID(row.validator.encode()))
            if len(content) > self._limit:
                return too_large(self._limit)
            refuse_lfs(content)
        except RowError as error:
            return error
        except KeyError:  # left on the server for its size
            return too_large(self._limit)
        except _NONSENSE as error:
            raise self._spoilt(error) from error
        return Fetched(content, row.validator, filename=row.key.rpartition("/")[2])

    def _shown_at(self, path: str) -> str | None:
        parts = urlsplit(self._config.url)
        site = f"https://{parts.hostname}{parts.path.rstrip('/').removesuffix('.git')}"
        below = f"{quote(self._branch or 'HEAD')}/{quote(path, errors='surrogateescape')}"
        match parts.hostname:
            case "github.com":
                return f"{site}/blob/{below}"
            case "gitlab.com":
                return f"{site}/-/blob/{below}"
        return None

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One thread at a time, and none once the source is closed: nothing ends a thread whose call was cancelled, and it would open the copy again, of
        which the next sync makes something else meanwhile."""
        with self._one_at_a_time:
            if self._stop.is_set():
                raise _Stopped("The source is closed")
            yield

    def _close(self) -> None:
        with self._one_at_a_time:
            if self._repo is not None:
                self._repo.close()

    def _spoilt(self, error: BaseException) -> SourceError:
        """The copy, or what was to go into it, makes no sense: the next sync makes it anew."""
        shutil.rmtree(self._folder, ignore_errors=True)
        return SourceUnreachable(f"The copy of the repository {self._config.url} can't be read ({type(error).__name__}). Sync again: it is made anew.")

    def _trouble(self, error: BaseException) -> SourceError:
        told = told_by_proxy(error)
        if isinstance(told, RefusedAddress):
            return SourceRejected(f"{self._named} can't be reached. {told}")
        if told is not None:
            return SourceUnreachable(f"{self._named} can't be reached. {told} No rows were removed; sync again once it can be.")
        if "certificate verify failed" in str(error).lower():
            return SourceRejected(f"{self._named} can't be trusted: its server's certificate is not one that this machine trusts.")
        if "http resp 403" in str(error):
            return SourceRejected(f"{self._named} may not be read with this token, or without one (403). Name one that may.")
        return SourceUnreachable(f"{self._named} could not be fetched: its answer broke off or made no sense ({type(error).__name__}). Sync again.")

    @property
    def _named(self) -> str:
        return f"The repository {self._config.url}"


async def open_repository(config: GitConfig, context: SourceContext) -> GitSource:
    """The limit is part of the name of the copy: under another one, other files are left on the server."""
    folder = folder_of(context.home, "git", context.data_source_id) / f"{context.max_file_bytes}.git"
    return GitSource(config, folder, await pool_of(context.outbound), context.max_file_bytes)


def _copy(folder: Path) -> Repo:
    """The copy, made anew where it is not there, can't be read, or has grown too much. What a crash left of a fetch goes."""
    packs = folder / "objects" / "pack"
    for left in packs.glob("tmp*"):
        left.unlink(missing_ok=True)
    sizes = [path.stat().st_size for path in packs.glob("*.pack")]
    if len(sizes) <= PACKS and sum(sizes) <= COPY_BYTES:
        try:
            return Repo(str(folder))
        except (NotGitRepository, *_NONSENSE):
            pass
    shutil.rmtree(folder.parent, ignore_errors=True)
    return Repo.init_bare(str(make_private(folder)), default_branch=b"tidings")

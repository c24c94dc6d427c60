"""Folders of an SFTP server, over a connection whose other end has proved to be the host that the data source names."""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

import asyncssh
from asyncssh.sftp import SFTPError

from tidings.connectors.base import SourceContext
from tidings.connectors.reading import no_file, too_large
from tidings.connectors.stores.base import CONNECT_SECONDS, PAGE, SILENCE_SECONDS, Content, Entry, Store, look_up_each, tried, version_of
from tidings.connectors.stores.places import Place
from tidings.errors import RequestFailed, RowNotRead
from tidings.outbound import Outbound

ANSWER_SECONDS = 60  # one call, or a mebibyte of a file
PIECE = 1 << 20
LINKED_FOLDER = "This link leads to a folder. Links to folders are not followed; name it in exclude, or make its target a data source of its own."
BEHIND_A_LINK = "A folder above it is a link."
BROKEN_LINK = "This link leads to nothing. Mend or remove it."


class SftpStore(Store):
    """A folder of an SFTP server. A connection that broke is made anew."""

    def __init__(self, place: Place, outbound: Outbound) -> None:
        self._place = place
        self._outbound = outbound
        self._root = f"/{place.path}"
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._connecting = asyncio.Lock()

    async def list_folder(self, path: str) -> AsyncIterator[Sequence[Entry]]:
        """The folder's files and folders; a link counts as the file that it leads to."""
        client = await tried(self._connected)
        batch: list[Entry] = []
        with _translated():
            async for found in client.scandir(self._at(path)):
                name = str(found.filename)
                if name in {".", ".."} or "/" in name:
                    continue
                batch.append(await self._entry(client, f"{path}/{name}" if path else name, found.attrs))
                if len(batch) == PAGE:
                    yield batch
                    batch = []
        yield batch

    async def find(self, paths: Sequence[str]) -> Mapping[str, Entry]:
        """By asking what lies at each path. What lies behind a link to a folder is nothing that a listing names."""
        return await look_up_each(lambda path: tried(lambda: self._look_up(path)), paths, self.at_once)

    async def read(self, path: str, version: str | None, limit: int) -> Content:  # noqa: ARG002 - it tells the version itself
        """The file, with its time of change and size from before and after."""
        return await tried(lambda: self._read(path, limit))

    async def aclose(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()

    async def _look_up(self, path: str) -> Entry:
        client = await self._connected()
        folder = path.rpartition("/")[0]
        with _translated():
            root = str(await client.realpath(self._root)).rstrip("/")
            if folder and await client.realpath(self._at(folder)) != f"{root}/{folder}":
                raise OSError(BEHIND_A_LINK)
            return await self._entry(client, path, await client.lstat(self._at(path)))

    async def _read(self, path: str, limit: int) -> Content:
        client = await self._connected()
        content = bytearray()
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                file = await client.open(self._at(path), "rb")
            async with file:
                before = await file.stat()
                while len(content) <= limit:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        piece = cast("bytes", await file.read(PIECE))  # of a file that was opened as one of bytes
                    if not piece:
                        break
                    content += piece
                after = await file.stat()
        if len(content) > limit:
            raise too_large(limit)
        settled = _version(before) == _version(after) and before.size == len(content)
        return Content(bytes(content), _version(after) if settled else None)

    async def _entry(self, client: asyncssh.SFTPClient, path: str, attributes: asyncssh.SFTPAttrs) -> Entry:
        linked = stat.S_ISLNK(attributes.permissions or 0)
        if linked:
            try:
                attributes = await client.stat(self._at(path))
            except asyncssh.SFTPNoSuchFile:
                return Entry(path, error=RowNotRead(BROKEN_LINK))
        mode = attributes.permissions or 0
        if stat.S_ISDIR(mode):
            return Entry(path, error=RowNotRead(LINKED_FOLDER)) if linked else Entry(path, folder=True)
        if mode and not stat.S_ISREG(mode):
            return Entry(path, error=no_file(mode))
        return Entry(path, _version(attributes), attributes.size)

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._client is not None and self._connection is not None and not self._connection.is_closed():
                return self._client
            with _translated():
                connection = await self._connect()
                try:
                    client = await connection.start_sftp_client(path_errors="surrogateescape")
                except BaseException:
                    connection.abort()
                    raise
            self._connection, self._client = connection, client
            return client

    async def _connect(self) -> asyncssh.SSHClientConnection:
        """Nothing of the machine's own takes part: no configuration, agent, keys or known hosts."""
        place, options = self._place, self._place.options
        key = asyncssh.import_private_key(options.privateKey, options.passphrase) if options.privateKey is not None else None
        try:
            sock = await self._outbound.dial(place.host, place.port, CONNECT_SECONDS)
        except RequestFailed as error:
            raise ConnectionError(str(error)) from error
        return await asyncssh.connect(
            place.host,
            place.port,
            sock=sock,
            config=None,
            known_hosts=([asyncssh.import_public_key(options.hostKey or "")], [], []),
            username=place.user,
            password=options.password,
            client_keys=[key] if key is not None else None,
            agent_path=None,
            gss_host=None,
            x509_trusted_certs=None,
            host_based_auth=False,
            login_timeout=SILENCE_SECONDS,
            keepalive_interval=SILENCE_SECONDS / 2,
        )


async def open_store(place: Place, context: SourceContext) -> SftpStore:
    """Connects when it is first asked for something."""
    return SftpStore(place, context.outbound)


def _version(attributes: asyncssh.SFTPAttrs) -> str | None:
    modified = None if attributes.mtime is None else datetime.fromtimestamp(attributes.mtime, UTC)
    return version_of(None, modified, attributes.size)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncssh.SFTPNoSuchFile as error:
        raise FileNotFoundError from error
    except asyncssh.SFTPPermissionDenied as error:
        raise PermissionError("The server does not allow it.") from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise PermissionError("The server's key is not the one that hostKey names: it was changed, or something else poses as the server.") from error
    except asyncssh.PermissionDenied as error:
        raise PermissionError("The server does not let this user in.") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise PermissionError(f"The privateKey can't be used: {str(error)[:200]}.") from error
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.Error) as error:
        raise ConnectionError(f"{error.reason[:200]}.") from error
    except SFTPError as error:
        raise ConnectionError(f"{error.reason[:200]}.") from error

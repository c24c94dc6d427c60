"""Stores on loopback: S3 by moto behind a gate of ours, an SFTP server by asyncssh."""

import asyncio
import threading
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import asyncssh
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

REFUSED = b"<?xml version='1.0'?><Error><Code>InvalidAccessKeyId</Code><Message>No such key</Message></Error>"


class Gate:
    """Counts who passes, and keeps them waiting when it is closed; for servers in threads."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.waiting = 0
        self._room: int | None = None
        self._changed = threading.Condition()

    def pass_through(self, key: str) -> None:
        with self._changed:
            self.waiting += 1
            self._changed.wait_for(lambda: self._room is None or self._room > 0, timeout=60)
            self.waiting -= 1
            if self._room is not None:
                self._room -= 1
            self.passed.append(key)

    def close(self, after: int) -> None:
        with self._changed:
            self._room = after

    def open(self) -> None:
        with self._changed:
            self._room = None
            self._changed.notify_all()


class Bucket:
    """moto's S3 with one bucket, `docs`."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.requests: list[str] = []
        self.credentials: list[str | None] = []  # that came with the requests
        self.failing: dict[str, tuple[str, bytes]] = {}  # path -> status and body that it answers with instead; "" is every path
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self.app: Callable[..., Iterable[bytes]] = self._gated
        self.port = 0

    def start(self) -> Self:
        self._server = make_server("127.0.0.1", self.port, self._serve, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, key: str, content: bytes) -> None:
        self.send("PUT", f"/docs/{urllib.request.quote(key)}", content)  # type: ignore[attr-defined]  # it is there, from urllib.parse

    def remove(self, key: str) -> None:
        self.send("DELETE", f"/docs/{key}")

    def send(self, method: str, path: str, content: bytes | None = None) -> None:
        signed = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/aws4_request",
            "Content-Type": "text/markdown",
        }  # nobody checks the signature
        with urllib.request.urlopen(urllib.request.Request(self.url + path, content, signed, method=method), timeout=30):  # noqa: S310 - our own server
            pass

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.credentials.append(environ.get("HTTP_AUTHORIZATION"))
        return self.app(environ, start_response)

    def _gated(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        method = environ["REQUEST_METHOD"]
        failing = self.failing.get("") or self.failing.get(path) if method in {"GET", "HEAD"} else None
        if failing is not None:
            self.requests.append(f"{path}?{query}")
            start_response(failing[0], [("Content-Type", "application/xml"), ("Content-Length", str(len(failing[1])))])
            return [failing[1]] if method == "GET" else []
        if method == "GET":
            self.requests.append(f"{path}?{query}")
            if "list-type" not in query and path.count("/") > 1:
                self.gate.pass_through(path.removeprefix("/docs/"))
        return self._moto(environ, start_response)  # type: ignore[no-any-return]


class SftpHost:
    """An SFTP server over a folder, which lets in `me` with the password `sesame`, or with `user_key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.password = "sesame"
        self.passwords: list[str] = []  # that it was told
        self.reads: list[str] = []
        self.waiting = 0
        self.room: int | None = None
        self.forbidden: set[str] = set()
        self.released = asyncio.Event()
        self.port = 0
        self.serves_files = True
        self.open_connections = 0
        self._server: asyncssh.SSHAcceptor | None = None
        self._connections: list[asyncssh.SSHServerConnection] = []

    async def start(self) -> Self:
        self._server = await asyncssh.create_server(
            self._session,
            "127.0.0.1",
            self.port,
            server_host_keys=[self.key],
            sftp_factory=self._files if self.serves_files else None,
            encoding=None,
            allow_scp=False,
        )
        self.port = self._server.get_port()
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Breaks the connections that there are; new ones are taken."""
        for connection in self._connections:
            connection.abort()

    @property
    def public_key(self) -> str:
        return self.key.export_public_key().decode().strip()

    def _session(self) -> asyncssh.SSHServer:
        host = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                host._connections.append(conn)
                host.open_connections += 1

            def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever the reason
                host.open_connections -= 1

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                host.passwords.append(password)
                return (username, password) == ("me", host.password)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == "me" and key == host.user_key.convert_to_public()

        return Door()

    def _files(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        host = self

        class Files(asyncssh.SFTPServer):
            async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
                name = path.decode(errors="surrogateescape").removeprefix("/docs/")
                if name in host.forbidden:
                    raise asyncssh.SFTPPermissionDenied("No.")
                await host.let_through(name)
                return super().open(path, pflags, attrs)

            def scandir(self, path: bytes) -> Any:
                if path.decode(errors="surrogateescape").removeprefix("/docs/") in host.forbidden:
                    raise asyncssh.SFTPPermissionDenied("No.")
                return super().scandir(path)

        return Files(channel, chroot=str(self.folder).encode())

    async def let_through(self, name: str) -> None:
        if self.room is not None:
            if self.room <= 0:
                self.waiting += 1
                try:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(60):
                            await self.released.wait()
                finally:
                    self.waiting -= 1
            else:
                self.room -= 1
        self.reads.append(name)

"""`folder` with a URL does what every connector does, over each protocol."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.connectors.behaviours import Behaviours, Place
from tests.connectors.http_stores import HttpStores
from tests.connectors.stores import REFUSED, Bucket, SftpHost
from tidings.connectors.folder import FolderConnector

GARBAGE = b"\0\1\2\3" * 64


def page(name: str, text: str) -> bytes:
    return f"# {name}\n\n{text}\n".encode()


class S3Place(Place):
    """Objects below a prefix of a bucket."""

    at_once: ClassVar[int] = 16

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self.bucket = bucket
        self.connector = FolderConnector()
        self.config = {"url": "s3://docs/handbook", "options": {"endpoint": bucket.url, "key": "me", "secret": "sesame open"}}

    @property
    def reads(self) -> list[str]:
        return self.bucket.gate.passed

    async def put(self, name: str, text: str) -> str:
        await asyncio.to_thread(self.bucket.put, f"handbook/{name}.md", page(name, text))
        return f"{name}.md"

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(self.bucket.remove, f"handbook/{name}.md")

    async def spoil(self, name: str) -> None:
        await asyncio.to_thread(self.bucket.put, f"handbook/{name}.md", GARBAGE)

    async def take_down(self) -> None:
        await asyncio.to_thread(self.bucket.stop)

    async def bring_back(self) -> None:
        self.bucket.start()

    async def refuse(self) -> None:
        self.bucket.failing[""] = ("403 Forbidden", REFUSED)

    async def hold(self, after: int = 0) -> None:
        self.bucket.gate.close(after)

    async def release(self) -> None:
        self.bucket.gate.open()

    @property
    def waiting(self) -> int:
        return self.bucket.gate.waiting


class SftpPlace(Place):
    """Files of an SFTP server."""

    at_once: ClassVar[int] = 1  # as the server shows it: it takes up what waits in a session one after the other

    def __init__(self, host: SftpHost) -> None:
        super().__init__()
        self.host = host
        self.folder = host.folder / "docs"
        self.folder.mkdir()
        self.connector = FolderConnector()
        self.config = {"url": f"sftp://me@127.0.0.1:{host.port}/docs", "options": {"password": host.password, "hostKey": host.public_key}}

    @property
    def reads(self) -> list[str]:
        return self.host.reads

    async def settle(self) -> None:
        for path in self.folder.iterdir():
            os.utime(path, (1e9, 1e9))

    async def put(self, name: str, text: str) -> str:
        (self.folder / f"{name}.md").write_bytes(page(name, text))
        return f"{name}.md"

    async def remove(self, name: str) -> None:
        (self.folder / f"{name}.md").unlink()

    async def spoil(self, name: str) -> None:
        (self.folder / f"{name}.md").write_bytes(GARBAGE)

    async def take_down(self) -> None:
        await self.host.stop()

    async def bring_back(self) -> None:
        await self.host.start()

    async def refuse(self) -> None:
        self.host.password = "another"

    async def hold(self, after: int = 0) -> None:
        self.host.room = after

    async def release(self) -> None:
        self.host.room = None
        self.host.released.set()

    @property
    def waiting(self) -> int:
        return self.host.waiting


class TestS3(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        bucket = Bucket().start()
        await asyncio.to_thread(bucket.send, "PUT", "/docs")
        try:
            yield S3Place(bucket)
        finally:
            await asyncio.to_thread(bucket.send, "POST", "/moto-api/reset", b"")
            await asyncio.to_thread(bucket.stop)


class TestSftp(Behaviours):
    @pytest.fixture
    async def place(self, tmp_path: Path) -> AsyncIterator[Place]:
        host = await SftpHost(tmp_path).start()
        try:
            yield SftpPlace(host)
        finally:
            await host.stop()


class WebdavPlace(Place):
    """Files of a WebDAV server."""

    at_once: ClassVar[int] = 4

    def __init__(self, stores: HttpStores) -> None:
        super().__init__()
        self.stores = stores
        self.connector = FolderConnector()
        self.config = stores.configs()["webdav"]

    @property
    def reads(self) -> list[str]:
        return self.stores.gate.passed

    async def put(self, name: str, text: str) -> str:
        self.stores.files[f"{name}.md"] = page(name, text)
        return f"{name}.md"

    async def remove(self, name: str) -> None:
        del self.stores.files[f"{name}.md"]

    async def spoil(self, name: str) -> None:
        self.stores.files[f"{name}.md"] = GARBAGE

    async def take_down(self) -> None:
        await asyncio.to_thread(self.stores.stop)

    async def bring_back(self) -> None:
        self.stores.start()

    async def refuse(self) -> None:
        self.stores.password = "another"

    async def hold(self, after: int = 0) -> None:
        self.stores.gate.close(after)

    async def release(self) -> None:
        self.stores.gate.open()

    @property
    def waiting(self) -> int:
        return self.stores.gate.waiting


class TestWebdav(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        stores = HttpStores().start()
        try:
            yield WebdavPlace(stores)
        finally:
            await asyncio.to_thread(stores.stop)

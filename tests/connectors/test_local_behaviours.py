"""`folder` (by its path) and `files` do what every connector does."""

import asyncio
import os
import shutil
import sys
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from tests.connectors.behaviours import Behaviours, Lack, Place
from tests.flows.engine import age
from tidings.connectors import uploads
from tidings.connectors.files import FilesConnector
from tidings.connectors.folder import FolderConnector
from tidings.settings import Settings

GARBAGE = b"\0\1\2\3" * 64


class LocalPlace(Place):
    """Files below a folder of this machine. Each opening of one for reading is seen, and may be kept waiting, by an audit hook."""

    watched: ClassVar[list["LocalPlace"]] = []  # hooks stay for as long as the process lives, so there is one, which looks here
    hooked: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._reads: list[str] = []
        self._counting = threading.Lock()
        self._let_through: int | None = None
        self._released = threading.Event()
        self._waiting = 0
        if not LocalPlace.hooked:
            LocalPlace.hooked = True
            sys.addaudithook(LocalPlace.opened)

    async def __aenter__(self) -> Self:
        self.watched.append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.watched.remove(self)

    @classmethod
    def opened(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            for place in cls.watched:
                if arguments[0].startswith(f"{place.folder}/") and arguments[2] & os.O_ACCMODE == os.O_RDONLY:
                    place.read(arguments[0])

    def read(self, path: str) -> None:
        with self._counting:
            wait = self._let_through is not None and self._let_through <= 0
            if self._let_through is not None:
                self._let_through -= 1
            self._waiting += wait
        if wait:
            self._released.wait(250)
        with self._counting:
            self._reads.append(path.removeprefix(f"{self.folder}/"))
            self._waiting -= wait

    async def hold(self, after: int = 0) -> None:
        self._released.clear()
        self._let_through = after

    async def release(self) -> None:
        self._let_through = None
        self._released.set()

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def reads(self) -> list[str]:
        return self._reads

    async def settle(self) -> None:
        await asyncio.to_thread(age, self.folder)

    async def put(self, name: str, text: str) -> str:
        return await self.write(f"{name}.md", f"# {name}\n\n{text}\n".encode())

    async def spoil(self, name: str) -> None:
        await self.write(f"{name}.md", GARBAGE)

    @abstractmethod
    async def write(self, name: str, content: bytes) -> str:
        """Keeps a file; its key."""


class FolderPlace(LocalPlace):
    """A folder below a local root."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "docs")
        self.connector = FolderConnector()
        self.config: Mapping[str, Any] = {"path": str(self.folder)}
        self.folder.mkdir()

    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"local_roots": (self.folder.parent,)})

    async def write(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return name

    async def remove(self, name: str) -> None:
        (self.folder / f"{name}.md").unlink()

    async def take_down(self) -> None:
        self.folder.rename(self.folder.with_name("gone"))

    async def bring_back(self) -> None:
        self.folder.with_name("gone").rename(self.folder)

    async def refuse(self) -> None:
        """The operator has taken the folder out of what may be read: a link out of the local roots stands in its place."""
        await self.take_down()
        elsewhere = self.folder.parent.with_name("elsewhere")
        elsewhere.mkdir()
        self.folder.symlink_to(elsewhere)


class FilesPlace(LocalPlace):
    """Uploads, kept in the home."""

    lacks: ClassVar[Mapping[Lack, str]] = {"can be refused": "uploads lie in the home of Tidings, which nobody could refuse to show"}
    down: ClassVar[str] = "removal_guard"  # without its folder a data source has no files, which never empties a snapshot

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.home = home
        self.connector = FilesConnector()
        self.config: Mapping[str, Any] = {}
        self.folder = uploads.make_folder(home, self.data_source)

    async def write(self, name: str, content: bytes) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        async with uploads.UploadBatch(self.home, self.data_source, 1 << 20) as batch:
            await batch.add(name, chunks())
            await batch.keep()
        return name

    async def remove(self, name: str) -> None:
        await uploads.delete_upload(self.home, self.data_source, f"{name}.md")

    async def take_down(self) -> None:
        self.folder.rename(self.home / "gone")

    async def bring_back(self) -> None:
        shutil.rmtree(self.folder)
        (self.home / "gone").rename(self.folder)


class TestFolder(Behaviours):
    @pytest.fixture
    async def place(self, tmp_path: Path) -> AsyncIterator[Place]:
        (tmp_path / "root").mkdir()
        async with FolderPlace(tmp_path / "root") as place:
            yield place


class TestFiles(Behaviours):
    @pytest.fixture
    async def place(self, settings: Settings) -> AsyncIterator[Place]:
        async with FilesPlace(settings.home) as place:
            yield place

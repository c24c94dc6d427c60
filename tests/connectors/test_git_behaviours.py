"""The `git` connector through the suite of behaviours, on dulwich's server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.certificates import trusting_context
from tests.connectors.behaviours import Behaviours, Place
from tests.connectors.git_hosts import GitHost
from tidings.connectors.base import Found, Listed, Outcome, Source, SourceContext, Unlistable, Wanted
from tidings.connectors.git import GitConfig, GitConnector
from tidings.model.targets import Targets

GARBAGE = b"\0\1\2\3" * 64


class GitPlace(Place):
    """A repository."""

    lacks = {"reads row by row": "a fetch brings the contents of all files that are new"}  # noqa: RUF012 - as the base has it

    def __init__(self, host: GitHost) -> None:
        super().__init__()
        self.host = host
        self.connector = Connector(self)
        self.config = {"url": host.url, "token": "a-token"}
        self.tls = trusting_context()
        self.room: int | None = None  # contents that are still let through once they are here
        self.released = asyncio.Event()
        self.held = 0
        host.token = "a-token"

    @property
    def reads(self) -> list[str]:
        return self.host.packs

    async def put(self, name: str, text: str) -> str:
        self.host.put(f"{name}.md", f"# {name}\n\n{text}\n".encode())
        return f"{name}.md"

    async def remove(self, name: str) -> None:
        self.host.remove(f"{name}.md")

    async def spoil(self, name: str) -> None:
        self.host.put(f"{name}.md", GARBAGE)

    async def take_down(self) -> None:
        await asyncio.to_thread(self.host.stop)

    async def bring_back(self) -> None:
        self.host.start()

    async def refuse(self) -> None:
        self.host.token = "another"

    async def hold(self, after: int = 0) -> None:
        """What comes over the network is one answer, which is held; only what follows can be held in its midst."""
        if after:
            self.room = after
        else:
            self.host.gate.close(0)

    async def release(self) -> None:
        self.host.gate.open()
        self.room = None
        self.released.set()

    async def let_through(self, contents: int) -> None:
        if self.room is None:
            return
        self.room -= contents
        if self.room < 0:
            self.held += 1
            await self.released.wait()

    @property
    def holding(self) -> bool:
        return self.held > 0 or self.host.gate.waiting > 0


class Connector(GitConnector):
    """Its sources let contents through as their place does."""

    def __init__(self, place: GitPlace) -> None:
        self.place = place

    async def open(self, config: GitConfig, context: SourceContext) -> Source:
        return _Held(await super().open(config, context), self.place)


class _Held(Source):
    def __init__(self, source: Source, place: GitPlace) -> None:
        self.source = source
        self.place = place

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        async for batch in self.source.list_rows():
            yield batch
        self.complete = self.source.complete

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        return await self.source.find_rows(targets)

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        await self.place.let_through(len(wanted))
        return await self.source.fetch(wanted)

    async def aclose(self) -> None:
        await self.source.aclose()


class TestGit(Behaviours):
    @pytest.fixture
    async def place(self, tmp_path: Path) -> AsyncIterator[Place]:
        host = GitHost(tmp_path).start()
        yield GitPlace(host)
        await asyncio.to_thread(host.stop)
        host.repo.close()

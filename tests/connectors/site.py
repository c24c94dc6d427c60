"""A web site on loopback that does as it is told, and keeps a record of who asked for what."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus


@dataclass(frozen=True)
class Resource:
    """What is at a path. `tagged` and `modified` (Unix seconds) say which validators its answers carry."""

    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    tagged: bool = True
    modified: float | None = None

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


@dataclass(frozen=True)
class Asked:
    """One request, and what it was answered."""

    path: str
    headers: dict[str, str]
    status: int
    sent: int  # bytes of the body


@dataclass
class Site:
    """Resources by path and query; `otherwise` makes those that are not listed."""

    pages: dict[str, Resource | Iterator[Resource]] = field(default_factory=dict)
    otherwise: Callable[[str], Resource] = lambda _path: Resource(b"<p>Not here.</p>", status=404, tagged=False)
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sent(self) -> int:
        return sum(one.sent for one in self.asked)

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = head[0].split(" ")[1]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await self.admit(path)
                found = self.pages.get(path) or self.otherwise(path)
                writer.write(self._answer(path, headers, found if isinstance(found, Resource) else next(found)))
                await writer.drain()
            finally:
                self.at_once -= 1

    async def admit(self, path: str) -> None:  # noqa: ARG002 - some sites look at it
        """Waits until this may be answered."""
        await self.open.wait()

    def _answer(self, path: str, headers: dict[str, str], found: Resource) -> bytes:
        sent = [("Content-Type", found.kind), ("Date", formatdate(usegmt=True)), *found.headers]
        status, body = found.status, found.body
        modified = None if found.modified is None else formatdate(found.modified, usegmt=True)
        if modified is not None:
            sent.append(("Last-Modified", modified))
        if found.tagged:
            sent.append(("ETag", found.tag))
        fits = headers.get("if-none-match") == found.tag if found.tagged else modified is not None and headers.get("if-modified-since") == modified
        if status == 200 and fits:
            status, body = 304, b""
        self.asked.append(Asked(path, headers, status, len(body)))
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in sent)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(site: Site, port: int = 0) -> AsyncIterator[Site]:
    """The site, answering at `site.url`."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await site.serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone
        finally:
            writer.transport.abort()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(answer(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", port)
    site.port = server.sockets[0].getsockname()[1]
    site.open.set()
    try:
        yield site
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def page(*parts: str, title: str = "", head: str = "") -> bytes:
    """An HTML page with menus around its text."""
    inner = "\n".join(parts)
    return f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{inner}</body></html>".encode()


def link(path: str, text: str = "a link", rel: str = "") -> str:
    return f'<a href="{path}"{f" rel={rel}" if rel else ""}>{text}</a>'

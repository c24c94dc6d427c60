"""What is synced: Markdown files, a web site, PDFs. All lie in a folder; the site is served from it by a process of its own, with ETags."""

import asyncio
import io
import multiprocessing
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_ushort
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web
from pypdfium2 import PdfDocument, raw

WORDS = ["sync", "source", "bot", "widget", "river", "mountain", "install", "configure", "database", "index", "search", "failure", "success", "hook", "trigger"]
LINKS = 20  # on each page of the site, to the pages below it
PDF_PAGES, PDF_LINES = 10, 45
SETTLE_SECONDS = 2.2  # what was changed just now may change again within the same tick, and is not believed


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source: its name, what its files end in, how many there are."""

    name: str
    ending: str
    count: int

    def file(self, folder: Path, number: int) -> Path:
        """Where a row lies."""
        return folder / f"page-{number}{self.ending}"

    def write(self, folder: Path, numbers: Sequence[int], version: int) -> None:
        """Writes rows; those of another version have another text."""
        for number in numbers:
            dice = random.Random(number * 1_000 + version)  # the same in every run
            text = {".md": markdown, ".html": html, ".pdf": pdf}[self.ending](dice, number, self.count)
            self.file(folder, number).write_bytes(text)
        os.sync()  # now, and not while something is measured
        time.sleep(SETTLE_SECONDS)


def _paragraph(dice: random.Random, words: int = 50) -> str:
    return " ".join(f"{dice.choice(WORDS)}{dice.randrange(100) or ''}" for _ in range(words))


def markdown(dice: random.Random, number: int, _count: int) -> bytes:
    """About 2 KB."""
    text = "\n\n".join(f"## Part {part}\n\n{_paragraph(dice)}" for part in range(6))
    return f"# Page {number}\n\n{text}"[:2048].encode()


def html(dice: random.Random, number: int, count: int) -> bytes:
    """About 2 KB of text among 8 KB of menus, markup and footer, and links to the pages below."""
    below = range(number * LINKS + 1, min(number * LINKS + 1 + LINKS, count))
    menu = "".join(f'<li class="menu-item"><a href="/page-0.html#part-{each}">{_paragraph(dice, 3)}</a></li>' for each in range(40))
    links = "".join(f'<li><a href="/page-{each}.html">Page {each}</a></li>' for each in below)
    parts = "".join(f'<section class="part"><h2>Part {part}</h2><p>{_paragraph(dice)}</p></section>' for part in range(5))
    return (
        f"<!doctype html><html><head><title>Page {number}</title></head><body><nav><ul>{menu}</ul></nav>"
        f"<main><h1>Page {number}</h1>{parts}<ul>{links}</ul></main><footer><p>{_paragraph(dice, 20)}</p></footer></body></html>"
    ).encode()


def pdf(dice: random.Random, _number: int, _count: int) -> bytes:
    """Ten pages of text."""
    document = PdfDocument.new()
    font = raw.FPDFText_LoadStandardFont(document, b"Helvetica")
    for _ in range(PDF_PAGES):
        page = document.new_page(595, 842)
        for line in range(PDF_LINES):
            words = (_paragraph(dice, 12) + "\0").encode("utf-16-le")
            written = raw.FPDFPageObj_CreateTextObj(document, font, 9)
            raw.FPDFText_SetText(written, (c_ushort * (len(words) // 2)).from_buffer_copy(words))
            raw.FPDFPageObj_Transform(written, 1, 0, 0, 1, 40, 800 - 16 * line)
            raw.FPDFPage_InsertObject(page, written)
        page.gen_content()
    kept = io.BytesIO()
    document.save(kept)
    return kept.getvalue()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The folder as a web site, from a process of its own; its URL."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{mine.recv()}"
    finally:
        process.kill()
        process.join()


def _serve(folder: Path, pipe: Connection) -> None:
    async def answer(request: web.Request) -> web.Response:
        path = folder / Path(request.path).name
        if not path.is_file():
            return web.Response(status=404)
        tag = f"{path.stat().st_mtime_ns:x}"
        if request.headers.get("if-none-match") == f'"{tag}"':
            return web.Response(status=304, headers={"ETag": f'"{tag}"'})
        return web.Response(body=path.read_bytes(), content_type="text/html", charset="utf-8", headers={"ETag": f'"{tag}"'})

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())

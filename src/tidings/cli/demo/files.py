"""The files of the demo, written as real Markdown, HTML, PDF and DOCX."""

import ctypes
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

PAGE_WIDTH, PAGE_HEIGHT, MARGIN, LINE_HEIGHT = 595, 842, 56, 15  # A4, in points


@dataclass(frozen=True, slots=True)
class Article:
    """One text of the help centre. `parts` are (heading, text); the heading of the first is empty."""

    path: str
    title: str
    parts: tuple[tuple[str, str], ...]


def articles() -> Iterator[Article]:
    """All articles, as `articles.txt` has them."""
    for block in resources.files(__package__).joinpath("articles.txt").read_text(encoding="utf-8").split("=== ")[1:]:
        path, title, *lines = block.strip().split("\n")
        parts: list[tuple[str, str]] = []
        heading = ""
        for line in lines:
            if line.startswith("## "):
                heading = line.removeprefix("## ")
            else:
                parts.append((heading, line))
        yield Article(path, title, tuple(parts))


def write_folder(folder: Path) -> dict[str, int]:
    """Writes every article into `folder`; how many there are of each kind."""
    counts: dict[str, int] = {}
    for article in articles():
        write(folder, article)
        kind = article.path.rpartition(".")[2]
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def write(folder: Path, article: Article) -> None:
    """Writes one article, in the format that its name ends with."""
    path = folder / article.path
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".md":
            path.write_text(_markdown(article), encoding="utf-8")
        case ".html":
            path.write_text(_html(article), encoding="utf-8")
        case ".docx":
            _docx(article, path)
        case _:
            _pdf(article, path)


def _markdown(article: Article) -> str:
    body = "\n\n".join(f"## {heading}\n\n{text}" if heading else text for heading, text in article.parts)
    return f"# {article.title}\n\n{body}\n"


def _html(article: Article) -> str:
    body = "".join(f"<h2>{escape(heading)}</h2><p>{escape(text)}</p>" if heading else f"<p>{escape(text)}</p>" for heading, text in article.parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(article.title)}</title></head><body>'
        '<nav><a href="/">Harbour Bikes</a> <a href="/faq">Questions</a></nav>'
        f"<main><h1>{escape(article.title)}</h1>{body}</main><footer>Rope Street 3, open from seven to ten</footer></body></html>\n"
    )


def _docx(article: Article, path: Path) -> None:
    import docx

    document = docx.Document()
    document.core_properties.title = article.title
    document.add_heading(article.title, level=1)
    for heading, text in article.parts:
        if heading:
            document.add_heading(heading, level=2)
        document.add_paragraph(text)
    document.save(str(path))


def _pdf(article: Article, path: Path) -> None:
    import pypdfium2
    from pypdfium2 import raw

    pdf = pypdfium2.PdfDocument.new()
    page = pdf.new_page(PAGE_WIDTH, PAGE_HEIGHT)
    height = PAGE_HEIGHT - MARGIN
    for font, size, line in _lines(article):
        words = raw.FPDFPageObj_NewTextObj(pdf.raw, font, size)
        utf16 = ctypes.create_string_buffer((line + "\0").encode("utf-16-le"))
        raw.FPDFText_SetText(words, ctypes.cast(utf16, ctypes.POINTER(ctypes.c_ushort)))
        raw.FPDFPageObj_Transform(words, 1, 0, 0, 1, MARGIN, height)
        raw.FPDFPage_InsertObject(page.raw, words)
        height -= LINE_HEIGHT
    raw.FPDFPage_GenerateContent(page.raw)
    page.close()
    pdf.save(str(path))
    pdf.close()


def _lines(article: Article) -> Iterator[tuple[bytes, float, str]]:
    """(font, size, text) of each line of a page."""
    yield b"Helvetica-Bold", 16.0, article.title
    yield b"Helvetica", 11.0, " "
    for heading, text in article.parts:
        if heading:
            yield b"Helvetica", 11.0, " "
            yield b"Helvetica-Bold", 12.0, heading
        for line in textwrap.wrap(text, 84):
            yield b"Helvetica", 11.0, line

"""Word documents and presentations: headings, paragraphs, lists, tables and notes, in the order in which a reader meets them."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

import docx
import pptx
from docx.table import Table
from docx.text.paragraph import Paragraph

from tidings.text.archive import open_archive
from tidings.text.kinds import Kind
from tidings.text.markdown import first_heading
from tidings.text.parts import Draft, join_lines, table_lines

_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)
_MAX_LEVEL = 6


def read_docx(content: bytes) -> Draft:
    """A Word document as Markdown."""
    with open_archive(content, Kind.DOCX):
        document = docx.Document(io.BytesIO(content))
    text = join_lines(_docx_lines(document.iter_inner_content()))
    return Draft(text, document.core_properties.title.strip() or first_heading(text), markdown=True)


def read_pptx(content: bytes) -> Draft:
    """A presentation as Markdown: a heading for each slide, what stands on it, and the speaker's notes."""
    with open_archive(content, Kind.PPTX):
        presentation = pptx.Presentation(io.BytesIO(content))
    text = join_lines(line for number, slide in enumerate(presentation.slides, start=1) for line in _slide_lines(slide, number))
    title = presentation.core_properties.title.strip()
    if title in {"", "PowerPoint Presentation"}:  # what PowerPoint writes by itself is nobody's title
        title = first_heading(text) or ""
    return Draft(text, title, markdown=True)


def _docx_lines(blocks: Iterable[Paragraph | Table]) -> Iterator[str]:
    in_list = False
    styles: dict[str | None, str] = {}  # by their ids: looking one up takes milliseconds
    for block in blocks:
        if isinstance(block, Table):
            yield from ("", *table_lines(_docx_rows(block)), "")
            in_list = False
            continue
        text = block.text.strip()
        if not text:
            continue
        style_id = block._p.style  # noqa: SLF001 - python-docx has no public way to ask for it without looking it up
        if style_id not in styles:
            styles[style_id] = (block.style.name if block.style is not None else None) or ""
        style = styles[style_id]
        heading = _HEADING.match(style)
        item = style.startswith("List") or _is_numbered(block)
        if heading or style == "Title":
            level = min(int(heading[1]), _MAX_LEVEL) if heading else 1
            yield from ("", f"{'#' * level} {' '.join(text.split())}", "")
        elif item:
            yield f"- {text}"
        else:
            yield from ("", text) if in_list else (text,)
            yield ""
        in_list = item


def _is_numbered(paragraph: Paragraph) -> bool:
    properties = paragraph._p.pPr  # noqa: SLF001 - python-docx has no public way to ask for list membership
    return properties is not None and properties.numPr is not None


def _docx_rows(table: Table) -> Iterator[list[str]]:
    """The cells of each row; one that is merged over several columns once."""
    for row in table.rows:
        cells: list[str] = []
        previous = None
        for cell in row.cells:
            if cell._tc is not previous:  # noqa: SLF001 - the only way to see that two cells are one
                cells.append(cell.text)
            previous = cell._tc  # noqa: SLF001
        yield cells


def _slide_lines(slide: Any, number: int) -> Iterator[str]:
    heading = slide.shapes.title
    named = " ".join(heading.text_frame.text.split()) if heading is not None and heading.has_text_frame else ""
    yield from ("", f"## {named or f'Slide {number}'}", "")
    for shape in slide.shapes:
        if heading is None or shape.shape_id != heading.shape_id:
            yield from _shape_lines(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        if notes:
            yield from ("", f"Notes: {notes}")


def _shape_lines(shape: Any) -> Iterator[str]:
    """The text of a shape, of all shapes of a group, or of a table."""
    if hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape_lines(inner)
    elif getattr(shape, "has_table", False):
        yield from ("", *table_lines([cell.text for cell in row.cells] for row in shape.table.rows), "")
    elif shape.has_text_frame:
        for paragraph in shape.text_frame.paragraphs:
            text = "".join(run.text for run in paragraph.runs).strip()
            if text:
                yield f"{'  ' * paragraph.level}- {text}"
        yield ""

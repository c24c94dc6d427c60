"""Word documents and presentations: headings, paragraphs, lists, tables and notes, in the order in which a reader meets them."""

import io
import re
from collections.abc import Iterator
from typing import Any

import docx
import pptx
from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml.ns import qn

from tidings.text.archive import open_archive
from tidings.text.kinds import Kind
from tidings.text.markdown import first_heading
from tidings.text.parts import Draft, join_lines, table_lines

_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)
_MAX_LEVEL = 6
_PARAGRAPH, _TABLE, _ROW, _CELL, _RUN = map(qn, ("w:p", "w:tbl", "w:tr", "w:tc", "w:r"))
# What may stand around any of these: controls of forms, insertions that nobody has accepted yet, links.
_WRAPPERS = tuple(map(qn, ("w:sdt", "w:sdtContent", "w:ins", "w:moveTo", "w:hyperlink", "w:smartTag", "w:customXml")))
_GALLERY = "/".join(map(qn, ("w:sdtPr", "w:docPartObj", "w:docPartGallery")))  # says what Word has put into a control by itself
_SAID = tuple(map(qn, ("w:t", "w:tab", "w:ptab", "w:br", "w:cr", "w:noBreakHyphen")))  # what of a run is text


def read_docx(content: bytes) -> Draft:
    """A Word document as Markdown."""
    with open_archive(content, Kind.DOCX):
        document = docx.Document(io.BytesIO(content))
    text = join_lines(_docx_lines(document))
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


def _docx_lines(document: Document) -> Iterator[str]:
    """By the elements: python-docx passes over what is wrapped in something, makes several objects for each cell of a table, and looks for the first row of
    a merged cell from each of the others."""
    in_list = False
    styles: dict[str | None, str] = {}  # by their ids: looking one up takes milliseconds
    for block in _inside(document.element.body, _PARAGRAPH, _TABLE):
        if block.tag == _TABLE:
            yield from ("", *table_lines(_docx_rows(block)), "")
            in_list = False
            continue
        text = _text_of(block).strip()
        if not text:
            continue
        if block.style not in styles:
            styles[block.style] = document.part.get_style(block.style, WD_STYLE_TYPE.PARAGRAPH).name or ""
        style = styles[block.style]
        heading = _HEADING.match(style)
        item = style.startswith("List") or (block.pPr is not None and block.pPr.numPr is not None)
        if heading or style == "Title":
            level = min(int(heading[1]), _MAX_LEVEL) if heading else 1
            yield from ("", f"{'#' * level} {' '.join(text.split())}", "")
        elif item:
            yield f"- {text}"
        else:
            yield from ("", text) if in_list else (text,)
            yield ""
        in_list = item


def _inside(element: Any, *tags: str) -> Iterator[Any]:
    """The children of an element that have one of these tags, wrapped or not; a table of contents says nothing of its own."""
    for each in element.iterchildren(*tags, *_WRAPPERS):
        if each.tag in tags:
            yield each
        elif (gallery := each.find(_GALLERY)) is None or gallery.get(qn("w:val")) != "Table of Contents":
            yield from _inside(each, *tags)


def _docx_rows(table: Any) -> Iterator[list[str]]:
    """The cells of each row; one that is merged over several columns once, one over several rows in each of them."""
    above: dict[int, str] = {}  # by the columns of the grid
    for row in _inside(table, _ROW):
        here: dict[int, str] = {}
        column = row.grid_before
        for cell in _inside(row, _CELL):
            how = cell.tcPr
            goes_on = how is not None and how.vMerge_val == "continue"
            here[column] = above.get(column, "") if goes_on else "\n".join(map(_text_of, _paragraphs_of(cell)))
            column += 1 if how is None else max(how.grid_span, 1)
        yield list(here.values())
        above = here


def _paragraphs_of(cell: Any) -> Iterator[Any]:
    """Those of a cell, and of the tables in it."""
    for block in _inside(cell, _PARAGRAPH, _TABLE):
        if block.tag == _PARAGRAPH:
            yield block
        else:
            yield from (each for row in _inside(block, _ROW) for inner in _inside(row, _CELL) for each in _paragraphs_of(inner))


def _text_of(paragraph: Any) -> str:
    return "".join(str(each) for run in _inside(paragraph, _RUN) for each in run.iterchildren(*_SAID))


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

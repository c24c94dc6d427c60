"""Spreadsheets (XLSX, XLSB, XLS, ODS): a heading for each sheet, a readable line for each row."""

import io
from collections.abc import Iterator
from datetime import datetime

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from tidings.errors import RowNotRead
from tidings.text.archive import open_archive
from tidings.text.kinds import Kind
from tidings.text.parts import Draft, join_lines
from tidings.text.records import record_lines


def read_sheets(content: bytes) -> Draft:
    """The rows of all sheets."""
    if content.startswith(b"PK"):
        with open_archive(content, Kind.SHEET):
            pass  # only bounded here: calamine unpacks by itself
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        return Draft(join_lines(line for name in book.sheet_names for line in _sheet_lines(book, name)), markdown=True)
    except PasswordError as error:
        raise RowNotRead("This spreadsheet is protected by a password: remove the password and replace the file.") from error
    except CalamineError as error:
        raise RowNotRead(f"This spreadsheet is damaged or was cut off ({error}): save it again and replace it.") from error


def _sheet_lines(book: CalamineWorkbook, name: str) -> Iterator[str]:
    try:
        sheet = book.get_sheet_by_name(name)
    except CalamineError:
        return  # a chart, or a sheet that is listed and not there; the others are still worth having
    lines = record_lines([_say(cell) for cell in row] for row in sheet.iter_rows())
    for number, line in enumerate(lines):
        if number == 0:
            yield from (f"## {name}", "")
        yield line
    yield ""


def _say(cell: object) -> str:
    """A cell as its reader sees it, nearly: whole numbers without a fraction, dates as ISO 8601."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return str(cell)

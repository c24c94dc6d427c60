"""What the readers of the kinds hand over, and the lines they share."""

from collections.abc import Iterable
from dataclasses import dataclass

from tidings.errors import RowNotRead

MAX_CHARACTERS = 50_000_000
TOO_LONG = f"There are more than {MAX_CHARACTERS // 1_000_000} million characters of text in this file: split it into smaller files."


@dataclass(frozen=True, slots=True)
class Draft:
    """Text as its reader found it; `markdown` says whether lines that look like headings are headings."""

    text: str
    title: str | None = None
    markdown: bool = False


def join_lines(lines: Iterable[str]) -> str:
    """The lines as one text, of empty lines never more than one in a row; refused where it gets longer than any document that a person wrote."""
    kept: list[str] = []
    size = 0
    for line in lines:
        if not line and kept and not kept[-1]:
            continue
        size += len(line) + 1
        if size > MAX_CHARACTERS:
            raise RowNotRead(TOO_LONG)
        kept.append(line)
    return "\n".join(kept)


def table_lines(rows: Iterable[list[str]]) -> Iterable[str]:
    """The rows of a small table inside a document as a Markdown table; the first row is its head."""
    for number, cells in enumerate(rows):
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
        if number == 0:
            yield "|" + " --- |" * len(cells)

"""Tables of records (CSV, spreadsheets) and JSON: one readable line for each record or value, which says on its own what it is."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from tidings.text.parts import Draft, join_lines

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 20


def read_csv(text: str) -> Draft:
    """The records of a CSV or TSV file."""
    rows = csv.reader(io.StringIO(text), delimiter=guess_delimiter(text))
    try:
        return Draft(join_lines(record_lines(rows)))
    except csv.Error:
        return Draft(text)  # a field over the reader's limit, a stray NUL: it's still text


def guess_delimiter(text: str) -> str:
    """The delimiter that stands in the most of the first lines, and the most often; a comma where none does."""
    lines = [line for line in text[: _SAMPLE_LINES * 1_000].split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line.strip()]
    return max(_DELIMITERS, key=lambda mark: (sum(mark in line for line in lines), sum(line.count(mark) for line in lines)))


def record_lines(rows: Iterable[list[str]]) -> Iterator[str]:
    """`Name: Ada; City: London` for each row where the first names the columns, else the cells side by side. Empty rows and cells are left out."""
    head: list[str] | None = None
    names: list[str] = []
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]
        if not any(cells):
            continue
        if head is None:
            head = cells
            names = cells if _names_columns(cells) else []
            yield "; ".join(filter(None, cells))
        else:
            yield "; ".join(_name_cells(names, cells))


def read_json(text: str) -> Draft:
    """One line for each value of a JSON text, with its path: `items[0].name: Ada`. Lines of JSON are read one by one; what is no JSON stays text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _read_json_lines(text)
    return Draft(join_lines(value_lines(value)), _title_of(value))


def value_lines(value: object) -> Iterator[str]:
    """The paths and values of everything in a value, depth first, in its order. Nulls and empty containers are left out."""
    stack: list[tuple[str, object]] = [("", value)]
    while stack:
        where, item = stack.pop()
        if isinstance(item, dict):
            stack.extend((f"{where}.{key}" if where else str(key), inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list):
            if item and all(isinstance(inner, str | int | float) for inner in item) and sum(len(str(inner)) for inner in item) < 400:
                yield _say(where, ", ".join(_scalar(inner) for inner in item))
            else:
                stack.extend((f"{where}[{number}]", inner) for number, inner in reversed(list(enumerate(item))))
        elif item is not None and item != "":
            yield _say(where, _scalar(item))


def _read_json_lines(text: str) -> Draft:
    try:
        values = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return Draft(text)
    return Draft(join_lines("\n".join((*value_lines(value), "")) for value in values))


def _title_of(value: object) -> str | None:
    if isinstance(value, dict):
        for key in ("title", "name"):
            if isinstance(value.get(key), str) and value[key].strip():
                return str(value[key])
    return None


def _say(where: str, text: str) -> str:
    return f"{where}: {text}" if where else text


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names_columns(cells: list[str]) -> bool:
    """Whether a first row names columns: no cell empty, none twice, none a number."""
    return all(cells) and len(set(cells)) == len(cells) and not any(cell.replace(".", "").replace(",", "").lstrip("-").isdigit() for cell in cells)


def _name_cells(names: list[str], cells: list[str]) -> Iterator[str]:
    for number, cell in enumerate(cells):
        if cell:
            yield f"{names[number]}: {cell}" if number < len(names) else cell

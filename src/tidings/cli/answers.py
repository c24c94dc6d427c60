"""What commands print: text for people, JSON for programs; and the options that many of them share."""

import json
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from tidings.errors import TidingsError

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_json(value: Any) -> None:
    """JSON on one line, never wrapped, whatever the width of the terminal."""
    typer.echo(as_json(value))


def as_json(value: Any) -> str:
    """JSON on one line, with `": "` and `", "` between its parts."""
    return json.dumps(value, ensure_ascii=False)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what is in them; nothing is cut off. Standard output."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    for row in [titles, *rows]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def on_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sits there. Python has None for a stream that was closed before it started."""
    return stream is not None and stream.isatty()


def wrapped(text: str, indent: str) -> str:
    """`text` in lines as wide as the terminal, those behind the first one indented; as it is where there is no terminal."""
    if not on_terminal(sys.stdout):
        return text
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)


def colored(text: str, color: str | None) -> str:
    """`text` in a colour, on a terminal that shows colours and whose user wants them (https://no-color.org)."""
    return typer.style(text, fg=color) if color and on_terminal(sys.stdout) and not os.environ.get("NO_COLOR") else text


def bold(text: str) -> str:
    """`text` in bold, on a terminal that shows such things."""
    return typer.style(text, bold=True) if on_terminal(sys.stdout) and not os.environ.get("NO_COLOR") else text


def command_line(*words: str, home: Path | None = None) -> str:
    """How this very program is called again from the same folder, ready to be pasted; with the home it works on, where it would look elsewhere."""
    program = sys.argv[0]
    found = shutil.which("tidings")
    if Path(program).name == "__main__.py":
        called = [sys.executable, "-m", "tidings"]
    elif found is not None and Path(found).resolve() == Path(program).resolve():
        called = ["tidings"]
    else:
        called = [_short(Path(program))]
    other_home = [] if home is None or home == Path("tidings-data").absolute() else [f"TIDINGS_HOME={shlex.quote(_short(home))}"]
    return " ".join([*other_home, *map(shlex.quote, called), *words])


def misuse(message: str) -> typer.BadParameter:
    """A way of calling a command that makes no sense: exit code 2."""
    return typer.BadParameter(message)


def cause_of(error: BaseException) -> str:
    """The sentence of an error of ours, else what Python says of it."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return cause_of(error.exceptions[0])
    return str(error) if isinstance(error, TidingsError) else repr(error)


def _short(path: Path) -> str:
    """A path from the working folder, where that is shorter."""
    absolute = str(path.absolute())
    try:
        relative = os.path.relpath(absolute)
    except ValueError:
        return absolute
    return absolute if relative.startswith("..") else relative

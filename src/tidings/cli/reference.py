"""The pages of docs/reference that are made from the code, and the table of docs/connectors.md: `python -m tidings.cli.reference docs/reference`."""

import json
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from tidings.cli import app
from tidings.connectors.registry import BUILT_IN
from tidings.settings import FILE_NAME, Settings, variable
from tidings.web.reference import events_markdown

TABLE = re.compile(r"(?<=<!-- made from the code -->\n).*?(?=<!-- end -->)", re.DOTALL)
MADE = "Made from the code by `python -m tidings.cli.reference docs/reference`."


def settings_page() -> str:
    """Every setting with its default and its meaning."""
    lines = [
        "# Settings",
        "",
        f"{MADE} `tidings config` shows the values in effect and where each comes from.",
        "",
        f"A setting is a variable of the environment, or a member of `{FILE_NAME}` in the home folder, there in lower case and without the prefix",
        '(`trigger_rate = 120`, `local_roots = ["/srv/docs"]`, and `[plans]` as a table), or named as in the environment. The environment wins. A variable',
        "that is set but empty means the default. Lists are separated by commas in the environment. A value that will not do stops the start, with a sentence",
        "that names the setting.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{variable(name)}` | {_default(name, field.default)} | {_cell(field.description or '')} |")
    return "\n".join([*lines, ""])


def commands_page() -> str:
    """Every command with its arguments and options."""
    lines = [
        "# Commands",
        "",
        f"{MADE}",
        "",
        "`tidings` is installed in the virtual environment: `.venv/bin/tidings` in a checkout. `python -m tidings` is the same.",
        "Every command has `--help`. With `--json` it prints JSON on one line, for programs; what goes wrong is said on standard error.",
        "",
        "| exit code | means |",
        "|---|---|",
        "| 0 | done |",
        "| 1 | failed; a sentence on standard error says why and what to do |",
        "| 2 | misuse: an option, an argument or a setting that will not do |",
        "",
    ]
    root = typer.main.get_command(app)
    return "\n".join([*lines, *(line for words, command in _commands("tidings", root) for line in _command(words, command))])


def connectors_page() -> str:
    """Every kind of data source with its config."""
    lines = [
        "# Connectors",
        "",
        f"{MADE} `GET /api/v1/connectors` answers the same as JSON Schema.",
        "",
        "A data source has a `type`, which is the name of a connector, and a `config`, whose members depend on it. Unknown members are refused.",
        "",
        "Text comes out of HTML, Markdown, plain text, PDF, DOCX, PPTX, XLSX, CSV, JSON and EPUB. What cannot be read (encrypted, damaged, an image, a scan",
        "without text, larger than `TIDINGS_MAX_FILE_MB`) is a failed row with its cause; it never fails a sync.",
        "",
    ]
    for one in BUILT_IN:
        lines += [f"## `{one.kind}`", "", f"{one.title}. {one.description}", ""]
        fields = one.config_type.model_json_schema().get("properties", {})
        required = one.config_type.model_json_schema().get("required", [])
        if not fields:
            lines += ["`config` has no members. `POST /api/v1/data-sources/{id}/files` uploads (multipart), and starts a sync.", ""]
            continue
        lines += ["| member | | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {'required' if name in required else 'optional'} | {_cell(field.get('description', ''))} |" for name, field in fields.items()]
        lines.append("")
    return "\n".join(lines)


def connectors_table() -> str:
    """What each kind syncs, how it sees changes, which rows it looks up, what it can't do, and what it was tried against."""
    lines = [
        "| kind | what it syncs | how it sees changes | rows that a trigger names, found without a listing | what it cannot do | tried against |",
        "|---|---|---|---|---|---|",
    ]
    for one in BUILT_IN:
        link = f"[`{one.kind}`](reference/connectors.md#{one.kind})"
        lines.append(f"| {link} | {' | '.join(map(_cell, (one.description, one.sees_changes, one.looks_up, one.cannot, one.tried)))} |")
    return "\n".join([*lines, ""])


def with_table(page: str) -> str:
    """The page of connectors with its table as it is now."""
    return TABLE.sub(lambda _: connectors_table(), page)


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "connectors.md": connectors_page, "events.md": events_markdown}


def _default(name: str, value: Any) -> str:
    if value is None or value == ():
        return "none"
    if name == "home":
        return "`tidings-data` in the working folder (`scripts/*`: in the checkout)"
    if isinstance(value, dict):
        return f"`{json.dumps(value)}`"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _commands(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _commands(f"{words} {name}", inner)
    else:
        yield words, command


def _command(words: str, command: Any) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option" and "--help" not in parameter.opts]
    yield from (f"## `{words}`", "", command.help, "", "```", " ".join([words, *(_shown(one) for one in arguments), "[OPTIONS]"]), "```", "")
    yield from ("| | |", "|---|---|")
    for one in arguments:
        yield f"| `{_shown(one)}` | {_cell(one.help or '')} |"
    for one in options:
        default = "" if one.default is None or one.is_flag or not one.show_default else f" Default: `{_plain(one.default)}`."
        needed = " Required." if one.required else ""
        yield f"| `{one.opts[0]}`{_values(one)} | {_cell(one.help or '')}{needed}{default} |"
    yield ""


def _shown(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _plain(default: Any) -> str:
    """A default as it would be typed."""
    return f"{default:g}" if isinstance(default, float) else str(getattr(default, "value", default))


def _values(option: Any) -> str:
    """What an option takes, where it takes something."""
    if option.is_flag:
        return ""
    annotation = option.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f" `{'`, `'.join(choice.value for choice in annotation)}`"
    return f" `{option.metavar}`"


def _cell(text: str) -> str:
    """A text that does not break a table, in one line."""
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    for page, make in PAGES.items():
        Path(sys.argv[1], page).write_text(make(), encoding="utf-8")
    guide = Path(sys.argv[1]).parent / "connectors.md"
    guide.write_text(with_table(guide.read_text(encoding="utf-8")), encoding="utf-8")

"""What can be used is documented, and what is documented can be found: settings, commands, routes, connectors, scripts, links.

A check whose subject is not built yet is skipped, and becomes active with the first file of it.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tidings"
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
METHODS = {"get", "put", "post", "patch", "delete"}

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def reference(name: str) -> str:
    """The text of a reference page; "" where it is missing, so that the test says what it lacks."""
    page = REFERENCE / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


def built(name: str) -> None:
    """Goes on if a module or package of ours exists; else the test has no subject yet."""
    if not (SOURCE / f"{name}.py").exists() and not list((SOURCE / name).glob("*.py")):
        pytest.skip(f"tidings.{name} is not built yet")


def test_each_setting_is_documented() -> None:
    from tidings.settings import Settings, variable

    page = reference("settings.md")
    assert [name for name in map(variable, Settings.model_fields) if f"`{name}`" not in page] == []


def test_each_documented_setting_exists() -> None:
    from tidings.settings import Settings, variable

    known = {variable(name) for name in Settings.model_fields}
    written = {name for page in PAGES for name in re.findall(r"\bTIDINGS_[A-Z_]+\b", page.read_text(encoding="utf-8"))}
    assert sorted(name for name in written - known if not name.startswith("TIDINGS_TEST_")) == []


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command as it is typed, `tidings keys create`, with its long options."""
    import typer.main

    from tidings.cli import app

    def walk(words: str, command: Any) -> Iterator[tuple[str, list[str]]]:
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                yield from walk(f"{words} {name}", inner)
        else:
            options = [name for parameter in command.params for name in parameter.opts if name.startswith("--") and not getattr(parameter, "hidden", False)]
            yield words, [name for name in options if name not in {"--help", "--install-completion", "--show-completion"}]

    yield from walk("tidings", typer.main.get_command(app))


def test_each_command_is_documented() -> None:
    built("cli")
    page = reference("commands.md")
    missing = [words for words, _ in commands() if words not in page]
    missing += [f"{words} {option}" for words, options in commands() for option in options if not re.search(rf"{option}\b", page)]
    assert missing == []


def test_each_route_is_documented() -> None:
    built("cli")
    built("web")
    printed = subprocess.run([sys.executable, "-m", "tidings", "openapi"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    page = reference("api.md")
    paths = json.loads(printed)["paths"]
    routes = [(method.upper(), path.removeprefix("/api/v1")) for path, operations in paths.items() for method in operations if method in METHODS]
    assert routes
    assert [f"{method} {path}" for method, path in routes if f"{method} {path}" not in page] == []


def test_each_connector_is_documented() -> None:
    built("connectors")
    kinds = set()
    for path in (SOURCE / "connectors").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                kinds |= {kind for statement in node.body if (kind := connector_kind(statement))}
    page = reference("connectors.md")
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in page] == []


def connector_kind(statement: ast.stmt) -> str | None:
    """What a class says it connects to: `kind = "folder"` or `kind: ClassVar[str] = "folder"`."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    named = any(isinstance(target, ast.Name) and target.id == "kind" for target in targets)
    return value.value if named and isinstance(value, ast.Constant) and isinstance(value.value, str) else None


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and path.name != "prepare"))
def test_each_script_is_documented(script: str) -> None:
    assert f"scripts/{script}" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    dead = []
    for inline, listed in LINK.findall(text):
        target = inline or listed
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue  # elsewhere on the web
        path, _, anchor = unquote(target).partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    seen: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
    return {slug if number == 0 else f"{slug}-{number}" for slug, last in seen.items() for number in range(last + 1)}


def test_each_test_that_is_named_exists() -> None:
    written = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    known = {name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))}
    assert written
    assert sorted(written - known) == []

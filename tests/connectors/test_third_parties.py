"""Connectors of other packages: the example of the documentation, installed as anybody would, and those that can't be used."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from tests.connectors.behaviours import Behaviours, Lack
from tests.connectors.site import Resource, Site, serving
from tests.connectors.web_place import WebPlace
from tests.flows.commands import answer, environment, run
from tests.flows.commands import serving as tidings_serving
from tidings.connectors.registry import BUILT_IN, GROUP, find

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "connector-articles"
MODULE = EXAMPLE / "src" / "tidings_articles.py"


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tidings_articles", MODULE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Articles(WebPlace):
    """A help centre."""

    lacks: ClassVar[Mapping[Lack, str]] = {"looks rows up": "the example leaves it out, to be short"}

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.connector = example().ArticlesConnector()
        self.config = {"url": f"{site.url}/articles", "token": "a secret of the help centre"}

    def laid_out(self) -> dict[str, Resource]:
        listed = [{"id": name, "title": name, "url": f"https://help.example.com/{name}", "updatedAt": text} for name, text in self.texts.items()]
        articles = {self.path(name): Resource(f"<p>{text}</p>".encode()) for name, text in self.texts.items() if name not in self.spoilt}
        return {"/articles": Resource(json.dumps(listed).encode(), kind="application/json"), **articles}

    def key(self, name: str) -> str:
        return name

    def path(self, name: str) -> str:
        return f"/articles/{name}"

    def uncounted(self) -> frozenset[str]:
        return frozenset({"/articles"})

    async def spoil(self, name: str) -> None:
        await super().spoil(name)
        self.texts[name] += " And more."


class TestTheExample(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Articles]:
        async with serving(Site()) as site:
            yield Articles(site)


def test_the_example_takes_under_40_lines() -> None:
    lines = MODULE.read_text(encoding="utf-8").splitlines()
    connector = lines[lines.index("class ArticlesConfig(Config):") :]
    assert len([line for line in connector if line.strip()]) < 40


def package(folder: Path, name: str, points: str, code: str = "") -> None:
    """An installed package with these entry points."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")


def installed(folder: Path) -> list[EntryPoint]:
    return [point for one in distributions(path=[str(folder)]) for point in one.entry_points]


@pytest.mark.parametrize(
    ("points", "code", "why"),
    [
        ("bad = no_such_module_at_all:Connector", "", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("bad = one_raises:Connector", "raise ZeroDivisionError('while it is imported')", "ZeroDivisionError: while it is imported"),
        ("bad = one_leaves:Connector", "raise SystemExit(3)", "SystemExit: 3"),
        ("bad = json:loads", "", "json:loads is no subclass of tidings.connectors.base.Connector"),
        ("bad = tidings.connectors.folder:FolderConnector", "", "its kind is 'folder', and its entry point has another name"),
        ("folder = tidings.connectors.folder:FolderConnector", "", "another connector has that name already"),
        ("bad = tidings.connectors.base:Connector", "", "abstract"),
    ],
)
def test_what_cannot_be_used_is_told_and_costs_no_other(points: str, code: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "one_raises" if "raise Z" in code else "one_leaves", points, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = find(installed(tmp_path))
    assert tuple(found.kinds.values()) == BUILT_IN
    (unusable,) = found.unusable
    assert why in unusable.reason
    assert unusable.reason.startswith(f"The connector '{unusable.kind}' of the package ")
    assert unusable.reason.endswith("Install a version of it that fits this Tidings, or uninstall it.")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The example, built and installed into a folder of its own, and beside it a package that can't be used."""
    folder = tmp_path / "packages"
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder), str(EXAMPLE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    package(folder, "broken_connector", "broken = broken_connector:Nothing")
    return folder


async def test_an_installed_connector_is_found_and_syncs(packages: Path, home: Path) -> None:
    plain = environment(home, TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8")
    env = plain | {"PYTHONPATH": f"{packages}:{plain.get('PYTHONPATH', '')}"}

    async with serving(Site()) as site:
        articles = Articles(site)
        await articles.put("first", "It tells of a goldcrest.")
        await asyncio.to_thread(_in_a_server, env, plain, articles)


def _in_a_server(env: dict[str, str], plain: dict[str, str], articles: Articles) -> None:
    found = json.loads(run("doctor", "--json", env=env).stdout)["findings"]
    told = {one["level"]: one["message"] for one in found if one["check"] == "connectors"}
    assert "articles (of tidings-articles 0.1.0)" in told["ok"]
    assert "'broken' of the package broken_connector 1.0 can't be used" in told["error"]
    key = answer("setup", "--email", "a@example.com", "--password", "a long password", env=env)["apiKey"]
    with tidings_serving(env=env) as server:
        assert "articles" in [one["type"] for one in server.api("GET", "/connectors", key)["items"]]
        bot = server.api("POST", "/bots", key, {"name": "A bot"})["id"]
        made = server.api("POST", f"/bots/{bot}/data-sources", key, {"name": "Help", "type": "articles", "config": dict(articles.config)})
        assert made["config"] == {"url": articles.config["url"], "token": "********"}
        sync = server.api("GET", f"/data-sources/{made['id']}/syncs", key)["items"][0]["id"]
        assert server.api("GET", f"/syncs/{sync}?wait=60", key)["state"] == "succeeded"
        (hit,) = server.api("GET", f"/bots/{bot}/search?q=goldcrest", key)["items"]
        assert (hit["title"], hit["url"]) == ("first", "https://help.example.com/first")
        status, refused = server.call("POST", f"/api/v1/bots/{bot}/data-sources", {"name": "Other", "type": "broken", "config": {}}, key)
        assert (status, refused["errors"][0]["field"]) == (422, "type")
        assert "can't be used" in refused["errors"][0]["message"]
    with tidings_serving(env=plain) as server:  # the packages are gone
        assert server.api("GET", f"/data-sources/{made['id']}", key)["config"] == {"url": "********", "token": "********"}
        sync = server.api("POST", f"/data-sources/{made['id']}/sync", key)["syncId"]
        failed = server.api("GET", f"/syncs/{sync}?wait=60", key)
        assert (failed["state"], failed["code"]) == ("failed", "source_rejected")
        assert "There is no type of data source called 'articles'" in failed["reason"]
        assert server.api("GET", f"/bots/{bot}/search?q=goldcrest", key)["items"]

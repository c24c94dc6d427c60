"""The documentation as a site: it is built whole, its links lead somewhere, and no page of it loads anything from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"url\(\s*[\"']?(?!data:)([^\"')]+)|@import\s+[\"']([^\"']+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as strictly as MkDocs can: a page outside of the navigation, a dead link or a missing anchor ends it."""
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(built)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return built


class Loaded(HTMLParser):
    """What a browser loads, or leads to within the site, without being asked."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.led: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value is not None}
        if tag == "a":
            self.led += [given["href"]] if "href" in given else []
        elif tag == "link" and given.get("rel") in {"next", "prev", "canonical"}:
            pass  # told to readers of the page, not loaded
        else:
            self.loaded += [given[name] for name in ("src", "srcset", "href", "data", "poster", "action") if name in given]
            self.loaded += ["".join(found) for found in IN_STYLE.findall(given.get("style", ""))]


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    loaded = {address for page in pages for address in Loaded(page).loaded}
    loaded |= {"".join(found) for style in site.rglob("*.css") for found in IN_STYLE.findall(style.read_text(encoding="utf-8"))}
    assert any(address.endswith(".css") for address in loaded)
    assert [address for address in sorted(loaded) if ELSEWHERE.match(address)] == []


def test_all_that_is_loaded_or_linked_is_there(site: Path) -> None:
    missing = set()
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue  # its links begin at the root of wherever the site is put
        found = Loaded(page)
        for address in [*found.loaded, *found.led]:
            path = address.partition("#")[0].partition("?")[0]
            if path and not re.match(r"[a-z][a-z0-9+.-]*:", path) and not (page.parent / path).exists():
                missing.add((page.relative_to(site).as_posix(), address))
    assert missing == set()


def test_search_knows_the_pages(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "guides/call-a-trigger-url.html" in index
    assert "reference/settings.html" in index


def test_the_pictures_are_few_and_small() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    shown = set(re.findall(r"pictures/([\w-]+\.png)", "".join(page.read_text(encoding="utf-8") for page in pages)))
    assert {picture.name for picture in pictures} == shown
    assert sum(picture.stat().st_size for picture in pictures) < 1_500_000

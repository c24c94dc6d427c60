"""Links in a folder: followed within it, never out of it, whatever is swapped for what at whichever moment."""

import contextlib
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.local_files import as_nobody, contents, context_for, fetch, listed, open_to_all, opened, rows_of, write
from tidings.connectors.base import Fetched, Listed, Unlistable
from tidings.connectors.reading import OUT_OF_BOUNDS, VANISHED
from tidings.errors import RowNotRead


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return write(tmp_path / "root outside" / "secret.md", secrets.token_bytes(64))


async def test_a_link_to_a_file_within_is_a_row(root: Path) -> None:
    write(root / "docs" / "a.md", b"a")
    write(root / ".versions" / "b.md", b"b")
    (root / "a-link.md").symlink_to("docs/a.md")
    (root / "again.md").symlink_to("a-link.md")
    (root / "docs" / "b.md").symlink_to(root / ".versions" / "b.md")
    assert await contents(root) == {"docs/a.md": b"a", "a-link.md": b"a", "again.md": b"a", "docs/b.md": b"b"}


async def test_a_link_out_of_the_folder_is_a_failed_row_and_never_read(root: Path, outside: Path) -> None:
    write(root / "a.md", b"a")
    (root / "file.md").symlink_to(outside)
    (root / "relative.md").symlink_to(f"../{outside.parent.name}/{outside.name}")
    (root / "folder").symlink_to(outside.parent)
    (root / "above").symlink_to("..")
    (root / "through.md").symlink_to("folder/secret.md")
    (root / "missing.md").symlink_to(outside.parent / "missing.md")
    (root / "kernel").symlink_to("/proc/self/environ")
    rows = await listed(root, context_for(root.parent))
    assert isinstance(rows.pop("a.md"), Listed)
    assert rows.keys() == {"file.md", "relative.md", "folder", "above", "through.md", "missing.md", "kernel"}
    for row in rows.values():
        assert isinstance(row, Unlistable)
        assert isinstance(row.error, RowNotRead), "it must not fail the sync"
        assert str(row.error) == OUT_OF_BOUNDS
    assert await listed(root, exclude=["folder", "above", "*.md", "kernel"]) == {}
    assert (await listed(root, include=["/a.md"])).keys() == {"a.md"}


async def test_links_to_nothing_and_in_circles_are_failed_rows(root: Path) -> None:
    (root / "nothing.md").symlink_to("missing.md")
    (root / "circle.md").symlink_to("circle.md")
    (root / "one.md").symlink_to("two.md")
    (root / "two.md").symlink_to("one.md")
    found = await contents(root)
    assert found.keys() == {"nothing.md", "circle.md", "one.md", "two.md"}
    assert "leads to nothing" in str(found["nothing.md"])
    assert all("in a circle" in str(found[key]) for key in ("circle.md", "one.md", "two.md"))


async def test_folders_are_listed_once_however_many_links_lead_to_them(root: Path) -> None:
    write(root / "docs" / "deep" / "a.md", b"a")
    (root / "another").symlink_to("docs")
    (root / "docs" / "up").symlink_to("..")
    (root / "docs" / "deep" / "self").symlink_to(".")
    (root / "a first").symlink_to("docs/deep")
    assert await contents(root) == {"docs/deep/a.md": b"a"}


async def test_a_link_to_a_hidden_folder_is_followed_once_and_out_of_circles(root: Path) -> None:
    """How releases are switched: the folder that is shown is a link to one that is not."""
    write(root / ".releases" / "7" / "a.md", b"a")
    write(root / ".releases" / "7" / "sub" / "b.md", b"b")
    write(root / "c.md", b"c")
    (root / ".releases" / "7" / "sub" / "top").symlink_to(root)
    (root / ".releases" / "7" / "sub" / "self").symlink_to("..")
    (root / ".releases" / "7" / "to c.md").symlink_to(root / "c.md")
    (root / "current").symlink_to(".releases/7")
    (root / "zz").symlink_to(".releases/7/sub")
    assert await contents(root) == {"c.md": b"c", "current/a.md": b"a", "zz/b.md": b"b", "current/to c.md": b"c"}
    assert await contents(root, include=["current/**"], exclude=["sub"]) == {"current/a.md": b"a", "current/to c.md": b"c"}
    assert await contents(root, include=["zz/sub/**", "zz/b.md"]) == {"zz/b.md": b"b"}


async def test_a_link_to_a_folder_whose_files_are_not_chosen_there_is_followed(root: Path) -> None:
    write(root / "releases" / "42" / "a.md", b"a")
    (root / "current").symlink_to("releases/42")
    assert await contents(root, include=["current/**"]) == {"current/a.md": b"a"}
    assert await contents(root, exclude=["releases"]) == {"current/a.md": b"a"}
    assert await contents(root) == {"releases/42/a.md": b"a"}


async def test_a_link_that_leads_elsewhere_now_has_another_validator(root: Path) -> None:
    write(root / "a.md", b"same size 1")
    write(root / "b.md", b"same size 2")
    link = root / "link.md"
    link.symlink_to("a.md")
    async with opened(root) as source:
        one = (await rows_of(source))["link.md"]
    link.unlink()
    link.symlink_to("b.md")
    async with opened(root) as source:
        row = (await rows_of(source))["link.md"]
        outcome = await fetch(source, row)
    assert isinstance(outcome, Fetched)
    assert outcome.content == b"same size 2"
    assert isinstance(one, Listed)
    assert isinstance(row, Listed)
    assert one.validator is None or one.validator != row.validator


@contextlib.contextmanager
def swapping(root: Path, outside: Path) -> Iterator[None]:
    """A process that keeps swapping `a.md` and `folder`, by turns the real thing and a link out of the root."""
    script = textwrap.dedent("""
        import os, sys
        root, outside = sys.argv[1:]
        os.chdir(root)
        while True:
            with open("new", "wb") as file: file.write(b"inside")
            os.replace("new", "a.md")
            os.symlink(outside, "new"); os.replace("new", "a.md")
            os.rename("folder", ".folder"); os.symlink(os.path.dirname(outside), "folder")
            os.unlink("folder"); os.rename(".folder", "folder")
    """)
    process = subprocess.Popen([sys.executable, "-c", script, str(root), str(outside)])
    try:
        yield
        assert process.poll() is None, "it swapped to the end"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("proc", [True, False])
async def test_no_swap_at_any_moment_leaks_what_lies_outside(*, proc: bool) -> None:
    """Listed as a file, a link out of the root by the time of reading; `proc`: whether the system tells what was opened."""
    with open_to_all() as parent:
        root = parent / "root"
        hidden = write(parent / "elsewhere" / f"{secrets.token_hex(4)}.md", secrets.token_bytes(50))
        write(root / "a.md", b"inside")
        write(root / "folder" / hidden.name, b"inside")
        seen: set[str | bytes] = set()
        rows = [Listed("a.md", None), Listed(f"folder/{hidden.name}", None)]
        async with opened(root) as source:
            with swapping(root, hidden), contextlib.nullcontext() if proc else as_nobody(parent):
                for _ in range(20_000):
                    outcomes = [await fetch(source, row) for row in rows]
                    seen |= {outcome.content if isinstance(outcome, Fetched) else str(outcome) for outcome in outcomes}
                    if {b"inside", OUT_OF_BOUNDS, VANISHED} <= seen:
                        break
        assert hidden.read_bytes() not in seen
        assert {b"inside", OUT_OF_BOUNDS} <= seen, "both sides of the swap were met"


async def test_no_swap_while_listing_tells_names_from_outside(root: Path, outside: Path) -> None:
    for number in range(50):
        write(outside.parent / f"outside {number}.md", b"")
    write(root / "a.md", b"")
    write(root / "folder" / "inside.md", b"")
    with swapping(root, outside):
        for _ in range(300):
            async with opened(root) as source:
                assert not any("outside" in key for key in await rows_of(source))

"""Single files, looked up: the very rows that a walk over the whole folder lists."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.flows.engine import age
from tidings.connectors.base import Found, Gone, Listed, Source
from tidings.connectors.bounds import Bounds
from tidings.connectors.globs import Selection
from tidings.connectors.local import LocalSource
from tidings.errors import SourceUnreachable
from tidings.model.targets import Targets

LIMIT = 1 << 20


def source(folder: Path, selection: Selection | None = None, home: Path | None = None) -> Source:
    return LocalSource(Bounds(os.path.realpath(folder), None if home is None else os.path.realpath(home)), selection or Selection(), LIMIT)


async def look(folder: Path, *keys: str, selection: Selection | None = None) -> list[Found] | None:
    found = await source(folder, selection).find_rows(Targets(keys))
    return None if found is None else list(found)


async def test_a_row_looked_up_is_the_row_listed(tmp_path: Path) -> None:
    for name in ("a.md", "sub/b.md", "sub/deep/c \\ d.md", "sub/.hidden", "drafts/e.md", "f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    os.mkfifo(tmp_path / "pipe.md")
    age(tmp_path)
    selection = Selection(["*.md"], ["drafts"])
    listed = {row.key: row async for batch in source(tmp_path, selection).list_rows() for row in batch}
    keys = [*listed, "sub/.hidden", "drafts/e.md", "f.txt", "missing.md", "a.md/under.md"]
    random.shuffle(keys)
    found = await look(tmp_path, *keys, selection=selection)
    assert found is not None
    assert [one.key for one in found] == keys
    assert {one.key for one in found if isinstance(one, Gone)} == set(keys) - set(listed)
    for one in found:
        if isinstance(one, Listed):
            assert one == listed[one.key]
            assert one.validator is not None
        elif not isinstance(one, Gone):
            assert str(one.error) == str(listed[one.key].error)  # type: ignore[union-attr]


async def test_only_a_walk_can_tell(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.md").write_text("a")
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "link.md").symlink_to("sub/a.md")
    (tmp_path / "broken").symlink_to("nothing")
    for key in ("/sub/a.md", "sub//a.md", "../x.md", "sub/", "sub", "link/a.md", "link.md", "broken/x.md", "sub\\a.md", "x" * 300):
        assert await look(tmp_path, "sub/a.md", key) is None
    assert await source(tmp_path).find_rows(Targets(("sub/a.md",), ("https://a.example/",))) is None
    found = await look(tmp_path, "sub/a.md")
    assert found is not None
    assert isinstance(found[0], Listed)


async def test_a_drive_that_went_away_takes_no_rows_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    assert await look(folder, "a.md") is None  # empty: only a whole listing, and its guard, can say what that means
    (folder / "b.md").write_text("b")
    assert await look(folder, "a.md") == [Gone("a.md")]
    shutil.rmtree(folder)
    with pytest.raises(SourceUnreachable):
        await look(folder, "a.md")


async def test_tidings_own_home_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/secret.key").write_text("s")
    found = await source(tmp_path, home=tmp_path / "home").find_rows(Targets(("home/secret.key",)))
    assert found == [Gone("home/secret.key")]

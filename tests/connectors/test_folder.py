"""The `folder` connector on real folders: what may be read, and what is listed."""
# ruff: noqa: ASYNC221, ASYNC240, PTH208 - tests wait for the disk themselves, and names of bytes are none of pathlib's

import asyncio
import os
import random
import secrets
import shutil
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import pytest

from tests.connectors.local_files import as_nobody, contents, context_for, fetch, listed, open_to_all, opened, rows_of, write
from tidings import clock
from tidings.connectors.base import Fetched, Listed, SourceContext
from tidings.connectors.folder import FolderConnector
from tidings.connectors.reading import OUT_OF_BOUNDS
from tidings.errors import Invalid, SourceRejected, SourceUnreachable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / f"root {secrets.token_hex(3)}"
    folder.mkdir()
    return folder


@pytest.fixture
def later() -> object:
    """Now is an hour later, so that what the test writes was not touched just now."""
    start = clock.now()
    clock.set_source(lambda: start + 3600 * clock.SECOND)
    yield
    clock.set_source(None)


async def objection(context: SourceContext, **config: object) -> str:
    connector = FolderConnector()
    with pytest.raises(Invalid) as caught:
        await connector.check(connector.parse(config), context)
    (error,) = caught.value.errors
    assert error.field == "config.path"
    return error.message


# what may be read


async def test_a_folder_under_a_local_root_is_taken(root: Path) -> None:
    (root / "sub").mkdir()
    connector = FolderConnector()
    for path in (root, root / "sub", f"{root}/", f"{root}/sub/../sub"):
        await connector.check(connector.parse({"path": str(path)}), context_for(root))


async def test_without_local_roots_the_setting_is_named(root: Path) -> None:
    assert "TIDINGS_LOCAL_ROOTS" in await objection(context_for(), path=str(root))


async def test_a_folder_elsewhere_is_refused_and_nothing_is_told_about_it(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(tmp_path)
    (tmp_path / f"{root.name}x").mkdir()
    said = {
        await objection(context_for(root), path=str(path))
        for path in (tmp_path, tmp_path / "missing", f"{root}x", "/", f"{root}/..", root / "link", root / "link" / "missing", "/etc/passwd")
    }
    assert len(said) == 1
    assert f"Only folders below {root} may be read." in next(iter(said))
    assert "TIDINGS_LOCAL_ROOTS" in said.pop()
    many = await objection(context_for(*(root / str(number) for number in range(7))), path=str(tmp_path))
    assert f"{root / '4'} and 2 more may be read" in many


async def test_a_link_to_a_folder_under_a_local_root_is_taken(root: Path, tmp_path: Path) -> None:
    write(root / "a.md", b"text")
    (tmp_path / "link").symlink_to(root)
    assert await contents(tmp_path / "link", context_for(root)) == {"a.md": b"text"}
    assert await contents(root, context_for(tmp_path / "link")) == {"a.md": b"text"}


async def test_what_is_no_folder_is_said(root: Path) -> None:
    write(root / "file", b"")
    assert "no such folder" in await objection(context_for(root), path=str(root / "missing"))
    assert "not a folder" in await objection(context_for(root), path=str(root / "file"))
    (root / "circle").symlink_to(root / "circle")
    assert await objection(context_for(root), path=str(root / "circle"))
    assert await objection(context_for(root), path=f"{root}/{'x' * 300}")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (None, "config"),
        ([], "config"),
        ({}, "config.path"),
        ({"path": ""}, "config.path"),
        ({"path": "docs"}, "config.path"),
        ({"path": "/a\0b"}, "config.path"),
        ({"path": "/\ud800"}, "config.path"),
        ({"path": "/" + "x" * 2000}, "config.path"),
        ({"path": 5}, "config.path"),
        ({"path": ["/a"]}, "config.path"),
        ({"path": "/a", "url": "s3://b"}, "config.url"),
        ({"path": "/a", "options": {}}, "config.options"),
        ({"path": "/a", "include": "*.md"}, "config.include"),
        ({"path": "/a", "include": None}, "config.include"),
        ({"path": "/a", "exclude": [1]}, "config.exclude.0"),
        ({"path": "/a", "exclude": ["a", "!b"]}, "config.exclude.1"),
        ({"path": "/a", "include": ["*"] * 51}, "config.include"),
    ],
)
def test_a_wrong_config_names_its_member(config: object, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        FolderConnector().parse(config)
    assert [error.field for error in caught.value.errors] == [field]
    assert caught.value.errors[0].message.endswith(".")


async def test_the_home_of_tidings_is_not_read(root: Path) -> None:
    home = root / "data"
    write(home / "secret.key", b"secret")
    write(home / "docs" / "a.md", b"a")
    write(root / "b.md", b"b")
    (root / "link.md").symlink_to(home / "secret.key")
    (root / "folder").symlink_to(home)
    context = context_for(root, home=home)
    found = await contents(root, context)
    assert found == {"b.md": b"b", "link.md": OUT_OF_BOUNDS, "folder": OUT_OF_BOUNDS}
    assert "TIDINGS_LOCAL_ROOTS" in await objection(context, path=str(home))
    assert "TIDINGS_LOCAL_ROOTS" in await objection(context, path=str(home / "docs"))
    assert await contents(home / "docs", context_for(root, home / "docs", home=home)) == {"a.md": b"a"}


async def test_a_root_that_is_gone_fails_the_sync(root: Path) -> None:
    write(root / "a.md", b"a")
    async with opened(root) as source:
        rows = await rows_of(source)
        shutil.rmtree(root)
        with pytest.raises(SourceUnreachable, match="vanished"):
            await fetch(source, rows["a.md"])
    async with opened(root) as source:
        with pytest.raises(SourceUnreachable, match="can't be listed"):
            await rows_of(source)
        assert not source.complete
    write(root, b"a file now")
    async with opened(root) as source:
        with pytest.raises(SourceUnreachable):
            await rows_of(source)


async def test_a_root_that_became_a_link_elsewhere_fails_the_sync(root: Path, tmp_path: Path) -> None:
    root.rmdir()
    write(tmp_path / "elsewhere" / "a.md", b"a")
    root.symlink_to(tmp_path / "elsewhere")
    context = context_for(tmp_path / "allowed")
    with pytest.raises(SourceRejected):
        async with opened(root, context):
            pass


async def test_a_root_that_may_not_be_listed_fails_the_sync() -> None:
    with open_to_all() as folder, as_nobody(folder):
        (folder / "root").mkdir(mode=0o000)
        assert "permission" in await objection(context_for(folder), path=str(folder / "root"))
        async with opened(folder / "root", context_for(folder)) as source:
            with pytest.raises(SourceRejected, match="permission"):
                await rows_of(source)


# what is listed


async def test_rows_are_files_with_their_paths_sizes_and_names(root: Path) -> None:
    files = {
        f"{random.choice(['', 'a/', 'a/b/', 'ä/'])}{secrets.token_hex(4)}{random.choice(['.md', '', '.png'])}": secrets.token_bytes(random.randrange(3000))
        for _ in range(40)
    }
    for key, content in files.items():
        write(root / key, content)
    (root / "empty folder").mkdir()
    rows = await listed(root)
    assert {key: row.size for key, row in rows.items() if isinstance(row, Listed)} == {key: len(content) for key, content in files.items()}
    assert {key: row.title for key, row in rows.items() if isinstance(row, Listed)} == {key: key.rpartition("/")[2] for key in files}
    assert await contents(root) == files
    assert list(rows) == list(await listed(root)), "in the same order"


async def test_patterns_choose_rows_and_folders_are_not_entered_in_vain(root: Path) -> None:
    for key in ("a.md", "a.txt", "docs/b.md", "docs/drafts/c.md", ".git/d.md", "node_modules/e.md", "docs/.hidden.md", ".github/f.md"):
        write(root / key, b"")
    assert sorted(await listed(root)) == ["a.md", "a.txt", "docs/b.md", "docs/drafts/c.md", "node_modules/e.md"]
    assert sorted(await listed(root, include=["*.md", ".github/**"], exclude=["drafts", "node_modules/"])) == [".github/f.md", "a.md", "docs/b.md"]
    assert sorted(await listed(root, include=["docs/**"])) == ["docs/b.md", "docs/drafts/c.md"]


async def test_a_validator_stays_while_the_file_does_and_changes_with_it(root: Path, later: object) -> None:
    path = write(root / "a.md", b"one")

    async def validators() -> tuple[str | None, str | None]:
        async with opened(root) as source:
            row = (await rows_of(source))["a.md"]
            outcome = await fetch(source, row)
        assert isinstance(row, Listed)
        assert isinstance(outcome, Fetched)
        return row.validator, outcome.validator

    seen = []
    at_listing, at_reading = await validators()
    assert at_listing == at_reading is not None
    assert await validators() == (at_listing, at_reading)
    seen.append(at_listing)
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # modified "at the same time", with the same size
    seen.append((await validators())[0])
    path.write_bytes(b"longer")
    seen.append((await validators())[0])
    write(root / "new", b"longer").replace(path)
    seen.append((await validators())[0])
    assert len({*seen}) == 4


async def test_a_file_touched_within_two_seconds_or_in_the_future_has_no_validator(root: Path) -> None:
    write(root / "now.md", b"now", age=None)
    write(root / "future.md", b"future", age=-3600)
    os.utime(write(root / "back-dated.md", b"written now, as from long ago"), (0, 0))
    async with opened(root) as source:
        for row in (await rows_of(source)).values():
            outcome = await fetch(source, row)
            assert isinstance(row, Listed)
            assert isinstance(outcome, Fetched)
            assert row.validator is outcome.validator is None


async def test_listing_opens_nothing(root: Path) -> None:
    """Counted by an audit hook in a process of its own."""
    for number in range(50):
        write(root / f"{number % 7}" / f"{number}.md", b"text")
    (root / "link.md").symlink_to("0/0.md")
    (root / ".hidden").mkdir()
    (root / "linked").symlink_to(".hidden")
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, ".")
        from tests.connectors.local_files import contents, listed
        root = Path(sys.argv[1])
        opened = []
        sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
        rows = asyncio.run(listed(root))
        print(len(rows), len([path for path in opened if path.startswith(str(root))]))
        opened.clear()
        asyncio.run(contents(root))
        print(len([path for path in opened if path.startswith(str(root))]))
    """)
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": "src"})
    assert done.stdout.split() == ["51", "0", "51"]


async def test_memory_does_not_grow_with_the_folder(root: Path) -> None:
    async def peak() -> tuple[int, int]:
        tracemalloc.start()
        count = 0
        async with opened(root) as source:
            async for batch in source.list_rows():
                assert len(batch) <= 500
                count += len(batch)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return count, peak

    for number in range(7_000):
        (root / f"{number}.md").touch()
    few, small = await peak()
    for number in range(7_000, 28_000):
        (root / f"{number}.md").touch()
    many, large = await peak()
    assert (few, many) == (7_000, 28_000)
    assert large < 1.3 * small


async def test_a_listing_left_halfway_leaves_nothing_open(root: Path) -> None:
    for number in range(1_200):
        (root / f"{number}.md").touch()
    before = len(os.listdir("/dev/fd"))
    async with opened(root) as source:
        async for _ in source.list_rows():
            break
        assert not source.complete
    async with opened(root) as source:
        task = asyncio.ensure_future(rows_of(source))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    for _ in range(200):  # a thread may have been at work for a moment longer
        if len(os.listdir("/dev/fd")) <= before:
            break
        await asyncio.sleep(0.02)
    assert len(os.listdir("/dev/fd")) <= before

"""Every kind of odd thing that lies in a folder: a row, or a failed row with its cause, and never a failed sync."""
# ruff: noqa: ASYNC230, PTH102, PTH118, PTH123 - tests wait for the disk themselves, and names of bytes are none of pathlib's

import os
import random
import secrets
import shutil
import socket
from pathlib import Path

import pytest

from tests.connectors.local_files import as_nobody, contents, context_for, fetch, listed, open_to_all, opened, rows_of, write
from tidings.connectors.base import Fetched, Listed, Unlistable
from tidings.connectors.reading import NO_PERMISSION, VANISHED
from tidings.errors import RowNotFetched, RowNotRead


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


async def test_odd_names_are_rows_like_others(root: Path) -> None:
    names = [
        b"new\nline.md",
        b"na\xefve.md",
        b"\xff\xfe",
        b"back\\slash",
        b"quote'\".md",
        "日本語.md".encode(),
        "e\u0301".encode(),
        "\u00e9".encode(),
        b"%41",
        b" ",
        b"-rf",
        b"\x01",
        b"x" * 255,
        b"CON",
        b"a:b",
    ]
    files = {name: secrets.token_bytes(20) for name in names}
    for name, content in files.items():
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(content)
    os.mkdir(os.path.join(os.fsencode(root), b"d\xff"))
    with open(os.path.join(os.fsencode(root), b"d\xff", b"f\xfe"), "wb") as file:
        file.write(b"deep")
    found = await contents(root)
    assert found["d\\xff/f\\xfe"] == b"deep"
    assert found["na\\xefve.md"] == files[b"na\xefve.md"]
    assert found["back\\\\slash"] == files[b"back\\slash"]
    assert sorted(content for content in found.values() if isinstance(content, bytes)) == sorted([*files.values(), b"deep"])
    for key in found:
        key.encode()


@pytest.mark.timeout(30)
async def test_what_is_no_file_is_a_failed_row_and_never_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    (root / "link.md").symlink_to("pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # a socket's path is short
        try:
            server.bind("socket.md")
        finally:
            os.chdir(here)
        rows = await listed(root)
    errors = {key: row.error for key, row in rows.items() if isinstance(row, Unlistable)}
    assert errors.keys() == {"pipe.md", "link.md", "socket.md"}
    assert all(isinstance(error, RowNotRead) for error in errors.values())
    assert "named pipe" in str(errors["pipe.md"])
    assert "socket" in str(errors["socket.md"])


@pytest.mark.timeout(30)
async def test_a_file_that_became_a_pipe_does_not_hang_the_sync(root: Path) -> None:
    path = write(root / "a.md", b"a")
    async with opened(root) as source:
        row = (await rows_of(source))["a.md"]
        path.unlink()
        os.mkfifo(path)
        outcome = await fetch(source, row)
        path.unlink()
        path.mkdir()
        other = await fetch(source, row)
    assert isinstance(outcome, RowNotRead)
    assert "named pipe" in str(outcome)
    assert isinstance(other, RowNotRead)


async def test_a_vanished_file_is_a_row_not_read(root: Path) -> None:
    for key in ("a.md", "b/c.md"):
        write(root / key, b"a")
    async with opened(root) as source:
        rows = await rows_of(source)
        (root / "a.md").unlink()
        shutil.rmtree(root / "b")
        for row in rows.values():
            outcome = await fetch(source, row)
            assert isinstance(outcome, RowNotRead)
            assert str(outcome) == VANISHED


async def test_a_file_over_the_limit_is_never_read(root: Path) -> None:
    limit = random.randrange(1000, 3000)
    write(root / "fits.md", b"x" * limit)
    path = write(root / "grows.md", b"x")
    write(root / "large.md", b"x" * (limit + 1))
    with open(root / "sparse.bin", "wb") as file:
        file.truncate(1 << 40)
    async with opened(root, context_for(root, limit=limit)) as source:
        rows = await rows_of(source)
        path.write_bytes(b"x" * (limit + 1))
        outcomes = {key: await fetch(source, row) for key, row in rows.items()}
    fits = outcomes.pop("fits.md")
    assert isinstance(fits, Fetched)
    assert len(fits.content) == limit
    assert len(outcomes) == 3
    for outcome in outcomes.values():
        assert isinstance(outcome, RowNotRead)
        assert "TIDINGS_MAX_FILE_MB" in str(outcome)


async def test_what_may_not_be_read_counts_as_not_fetched() -> None:
    with open_to_all() as folder, as_nobody(folder):
        write(folder / "a.md", b"a")
        write(folder / "forbidden.md", b"b").chmod(0o000)
        write(folder / "closed" / "c.md", b"c")
        write(folder / "no names" / "d.md", b"d")
        (folder / "closed").chmod(0o600)  # names, but nothing behind them
        (folder / "no names").chmod(0o000)
        try:
            async with opened(folder) as source:
                rows = await rows_of(source)
                assert not source.complete, "what lies in the folder without names is not known"
                outcomes = {key: await fetch(source, row) for key, row in rows.items()}
        finally:
            (folder / "closed").chmod(0o700)
            (folder / "no names").chmod(0o700)
    assert outcomes.keys() == {"a.md", "forbidden.md", "closed/c.md", "no names/"}
    assert isinstance(outcomes.pop("a.md"), Fetched), "also where /proc does not tell what was opened"
    assert str(outcomes["forbidden.md"]) == str(outcomes["closed/c.md"]) == NO_PERMISSION
    assert all(isinstance(outcome, RowNotFetched) for outcome in outcomes.values())


async def test_a_path_longer_than_the_system_opens_is_a_failed_row(root: Path) -> None:
    here = Path.cwd()
    name = "d" * 250
    os.chdir(root)
    try:
        for _ in range(18):
            os.mkdir(name)
            os.chdir(name)
        write(Path("a.md"), b"a")
    finally:
        os.chdir(here)
    write(root / "b.md", b"b")
    async with opened(root) as source:
        rows = await rows_of(source)
        assert source.complete
    shutil.rmtree(root)
    assert isinstance(rows.pop("b.md"), Listed)
    ((key, row),) = rows.items()
    assert key.endswith("/")
    assert isinstance(row, Unlistable)
    assert isinstance(row.error, RowNotRead)

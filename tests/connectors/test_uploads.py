"""Uploads on a real disk: whole or not at all, under their own names, whoever is killed, cut off or cancelled."""
# ruff: noqa: PTH208 - how many descriptors are open is asked of a folder of the system's

import asyncio
import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.local_files import fetch, rows_of
from tidings.connectors.base import Fetched, Listed, SourceContext
from tidings.connectors.files import FilesConnector
from tidings.connectors.uploads import UploadBatch, UploadedFile, check_name, delete_upload, drop_uploads, list_uploads, sweep_uploads
from tidings.errors import Invalid, NotFound, TooLarge
from tidings.outbound import Outbound

LIMIT = 1 << 20


async def chunks_of(content: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        await asyncio.sleep(0)
        yield content[start : start + size]


async def store_upload(home: Path, data_source_id: str, name: str, chunks: AsyncIterable[bytes], limit_bytes: int) -> UploadedFile:
    """A batch of one."""
    async with UploadBatch(home, data_source_id, limit_bytes) as batch:
        await batch.add(name, chunks)
        (kept,) = await batch.keep()
        return kept


def left_over(home: Path) -> list[Path]:
    return list(home.rglob("partial/*"))


@pytest.fixture
def source_id() -> str:
    return str(uuid.uuid4())


async def test_an_upload_is_kept_listed_read_replaced_and_deleted(home: Path, source_id: str) -> None:
    name, content = f"{secrets.token_hex(3)} é 日本.md", secrets.token_bytes(random.randrange(200_000))
    kept = await store_upload(home, source_id, name, chunks_of(content), LIMIT)
    assert (kept.name, kept.size) == (name, len(content))
    assert await list_uploads(home, source_id) == [kept]
    assert await found(home, source_id) == {name: content}
    other = await store_upload(home, source_id, name, chunks_of(b"new"), LIMIT)
    assert await list_uploads(home, source_id) == [other]
    assert await found(home, source_id) == {name: b"new"}
    await delete_upload(home, source_id, name)
    assert await list_uploads(home, source_id) == []
    assert await found(home, source_id) == {}
    with pytest.raises(NotFound):
        await delete_upload(home, source_id, name)


async def found(home: Path, source_id: str) -> dict[str, bytes]:
    connector = FilesConnector()
    contents = {}
    async with await connector.open(connector.parse({}), SourceContext(source_id, home, (), LIMIT, Outbound())) as source:
        for key, row in (await rows_of(source)).items():
            assert isinstance(row, Listed)
            outcome = await fetch(source, row)
            assert isinstance(outcome, Fetched)
            contents[key] = outcome.content
        assert source.complete
    return contents


async def test_data_sources_do_not_see_each_other(home: Path, source_id: str) -> None:
    other = str(uuid.uuid4())
    await store_upload(home, source_id, "a.md", chunks_of(b"a"), LIMIT)
    assert await list_uploads(home, other) == []
    assert await found(home, other) == {}
    await drop_uploads(home, other)
    assert await found(home, source_id) == {"a.md": b"a"}
    await drop_uploads(home, source_id)
    assert await list_uploads(home, source_id) == []
    assert not (home / "uploads" / source_id).exists()


@pytest.mark.parametrize("wrong", ["", "..", "../x", "a", "x" * 36, "00000000-0000-0000-0000-00000000000/"])
async def test_only_ids_name_folders(home: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        await drop_uploads(home, wrong)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "..\\b", "a\0", "a\nb", "\x7f", "\x85", "\ud800", "x" * 256, "é" * 128])
async def test_names_that_could_hurt_are_refused(home: Path, source_id: str, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        await store_upload(home, source_id, name, chunks_of(b"a"), LIMIT)
    assert [error.field for error in caught.value.errors] == ["name"]
    with pytest.raises(NotFound):
        await delete_upload(home, source_id, name)
    assert left_over(home) == []


@pytest.mark.parametrize(
    "name", ["partial", "files", ".env", "-rf", "~$a.docx", "%2e%2e", " ", "x" * 255, "é" * 127, "\u202etxt.md", "$(reboot)", "a\u0301", "\u00e1", "CON"]
)
async def test_odd_names_are_kept_as_they_are(home: Path, source_id: str, name: str) -> None:
    await store_upload(home, source_id, name, chunks_of(b"odd"), LIMIT)
    await store_upload(home, source_id, "plain.md", chunks_of(b"plain"), LIMIT)
    assert await found(home, source_id) == {name: b"odd", "plain.md": b"plain"}
    assert {one.name for one in await list_uploads(home, source_id)} == {name, "plain.md"}
    await delete_upload(home, source_id, name)
    assert await found(home, source_id) == {"plain.md": b"plain"}


@given(name=st.text(min_size=1, max_size=80))
def test_a_name_that_is_let_through_is_one_part_of_a_path(name: str) -> None:
    try:
        check_name(name)
    except Invalid:
        return
    path = Path("/folder") / name
    assert path.parent == Path("/folder")
    assert path.name == name
    assert len(os.fsencode(name)) <= 255


async def test_over_the_limit_nothing_is_left_and_no_more_is_taken_in(home: Path, source_id: str) -> None:
    limit = random.randrange(1000, 2_000_000)
    await store_upload(home, source_id, "a.md", chunks_of(b"x" * limit), limit)
    taken = 0

    async def without_end() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 100_000
            yield b"y" * 100_000

    with pytest.raises(TooLarge, match="TIDINGS_MAX_FILE_MB"):
        await store_upload(home, source_id, "a.md", without_end(), limit)
    assert taken <= limit + 100_000
    assert left_over(home) == []
    assert [(one.name, one.size) for one in await list_uploads(home, source_id)] == [("a.md", limit)]


async def test_several_files_come_together_or_not_at_all(home: Path, source_id: str) -> None:
    async with UploadBatch(home, source_id, 100) as batch:
        await batch.add("a.md", chunks_of(b"a" * 100))
        with pytest.raises(TooLarge):
            await batch.add("b.md", chunks_of(b"b" * 101))
        assert len(left_over(home)) == 1  # the refused one is gone at once
    assert left_over(home) == []
    assert await list_uploads(home, source_id) == []
    async with UploadBatch(home, source_id, 100) as batch:
        for name, content in (("a.md", b"1"), ("b.md", b"2"), ("a.md", b"333")):
            await batch.add(name, chunks_of(content))
        assert await list_uploads(home, source_id) == []
        kept = await batch.keep()
    assert sorted((one.name, one.size) for one in kept) == [("a.md", 3), ("b.md", 1)]
    assert await found(home, source_id) == {"a.md": b"333", "b.md": b"2"}
    assert left_over(home) == []


async def test_a_source_of_chunks_that_breaks_leaves_the_former_file(home: Path, source_id: str) -> None:
    await store_upload(home, source_id, "a.md", chunks_of(b"former"), LIMIT)

    async def breaks() -> AsyncIterator[bytes]:
        yield secrets.token_bytes(300_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store_upload(home, source_id, "a.md", breaks(), LIMIT)
    assert await found(home, source_id) == {"a.md": b"former"}
    assert left_over(home) == []


async def test_uploads_cancelled_at_any_moment_leave_nothing_and_harm_no_other(home: Path, source_id: str) -> None:
    """With many descriptors opened and closed at once: bytes of one upload must never land in another's file."""
    descriptors = len(os.listdir("/dev/fd"))
    contents = {f"{number}.md": bytes([number]) * random.randrange(3_000_000) for number in range(40)}
    tasks = {name: asyncio.ensure_future(store_upload(home, source_id, name, chunks_of(content), 10 * LIMIT)) for name, content in contents.items()}
    for task in random.sample(list(tasks.values()), 25):
        await asyncio.sleep(random.random() * 0.01)
        task.cancel()
    ended = await asyncio.gather(*tasks.values(), return_exceptions=True)
    kept = {one.name for one in await list_uploads(home, source_id)}
    assert kept >= {one.name for one in ended if not isinstance(one, BaseException)}
    for name in kept:
        assert (home / "uploads" / source_id / "files" / name).read_bytes() == contents[name]
    assert left_over(home) == []
    assert len(os.listdir("/dev/fd")) <= descriptors


async def test_what_a_kill_left_is_swept_and_what_is_alive_is_not(home: Path, source_id: str) -> None:
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from tidings.connectors.uploads import UploadBatch
        async def main():
            async def chunks():
                yield b"x" * 3_000_000
                print("half", flush=True)
                await asyncio.sleep(60)
            async with UploadBatch(Path(sys.argv[1]), sys.argv[2], 10_000_000) as batch:
                await batch.add("a.md", chunks())
        asyncio.run(main())
    """)

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(home), source_id], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "src"}
        )
        assert process.stdout
        assert process.stdout.readline() == "half\n"
        return process

    dead, alive = start(), start()
    with contextlib.ExitStack() as ending:
        for process in (dead, alive):
            ending.enter_context(process)
            ending.callback(process.kill)
        await sweep_uploads(home)
        assert len(left_over(home)) == 2, "both are at work"
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert len(left_over(home)) == 2
        if random.random() < 0.5:
            await sweep_uploads(home)
        else:
            await store_upload(home, source_id, "b.md", chunks_of(b"b"), LIMIT)
        assert len(left_over(home)) == 1
        assert "a.md" not in {one.name for one in await list_uploads(home, source_id)}


async def test_sweeps_at_any_moment_take_no_upload_away(home: Path, source_id: str) -> None:
    async def sweep_on() -> None:
        while True:
            await sweep_uploads(home)

    sweeping = asyncio.ensure_future(sweep_on())
    contents = {f"{number}.md": secrets.token_bytes(100) for number in range(60)}
    await asyncio.gather(*(store_upload(home, source_id, name, chunks_of(content), LIMIT) for name, content in contents.items()))
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping
    assert await found(home, source_id) == contents


async def test_an_upload_to_a_data_source_that_is_deleted_meanwhile_says_so(home: Path, source_id: str) -> None:
    async with UploadBatch(home, source_id, LIMIT) as batch:
        await batch.add("a.md", chunks_of(b"a"))
        await drop_uploads(home, source_id)
        with pytest.raises(NotFound):
            await batch.add("b.md", chunks_of(b"b"))
        with pytest.raises(NotFound):
            await batch.keep()
    assert not (home / "uploads" / source_id).exists()


@pytest.mark.parametrize(("config", "field"), [({"path": "/a"}, "config.path"), (None, "config"), ({"include": []}, "config.include")])
def test_files_have_no_settings(config: object, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        FilesConnector().parse(config)
    assert [error.field for error in caught.value.errors] == [field]

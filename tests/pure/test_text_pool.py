"""The processes that read documents: what goes wrong in one costs one row, and nothing outlives the server."""

import asyncio
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import psutil
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from tests.nursery import NURSERY
from tests.pure.text_samples import make_docx, make_pdf
from tidings.errors import RowNotRead, Unavailable
from tidings.text.documents import Extracted, Source
from tidings.text.extract import extract_source
from tidings.text.pool import BATCH_BYTES, BATCH_ITEMS, Nursery, TextPool, cut_batches


def small(count: int) -> list[Source]:
    return [Source(f"# Title {number}\n\nword{random.random()}\n".encode(), f"{number}.md") for number in range(count)]


def slow() -> Source:
    """Text that takes seconds to read, honestly."""
    return Source(b"many words of a very long text\n\n" * 1_200_000, "slow.md")


def explosive() -> Source:
    """A spreadsheet of a few KB whose two cells stand so far apart that its reader asks for hundreds of GB, and its process dies of it."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "here")
        sheet.write(1_048_575, 16_383, "there")
    return Source(buffer.getvalue(), "far.xlsx")


def nurseries() -> list[psutil.Process]:
    """Those that run, but for the one that the engines of other tests share."""
    running = [process for process in psutil.Process().children() if process.status() != psutil.STATUS_ZOMBIE and process.pid != NURSERY.process_id]
    return [process for process in running if "tidings.text.nursery" in process.cmdline()]


def readers() -> list[psutil.Process]:
    """The children of the nursery."""
    return [process for nursery in nurseries() for process in nursery.children() if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
async def pool() -> AsyncIterator[TextPool]:
    pool = TextPool(2)
    await pool.start()
    yield pool
    await pool.aclose()
    assert nurseries() == []


async def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


async def test_results_come_in_order_and_are_those_of_the_pure_function(pool: TextPool) -> None:
    office = [Source(make_docx("t", {"h": "x"}), "a.docx"), Source(make_pdf([[]]), "scan.pdf")]
    large = Source(b"# Large\n\n" + b"A few words.\n\n" * 25_000, "large.md")
    items = [*small(300), *office, large, Source(b"\x00\x01" * 100, "bad.bin"), Source(b"", "empty.md")]
    random.shuffle(items)
    for item, result in zip(items, await pool.extract(items), strict=True):
        if isinstance(result, RowNotRead):
            with pytest.raises(RowNotRead) as caught:
                extract_source(item)
            assert str(result) == str(caught.value)
        else:
            assert result == extract_source(item)
    assert await pool.extract([]) == []


async def test_many_calls_at_once(pool: TextPool) -> None:
    calls = [small(random.randint(1, 40)) for _ in range(20)]
    for items, results in zip(calls, await asyncio.gather(*(pool.extract(items) for items in calls)), strict=True):
        assert [result.title for result in results if isinstance(result, Extracted)] == [f"Title {number}" for number in range(len(items))]
    assert len(readers()) <= 2


async def test_the_processes_give_way_to_the_server(pool: TextPool) -> None:
    assert [process.nice() for process in readers()] == [os.nice(0) + 10]
    assert [nursery.nice() for nursery in nurseries()] == [os.nice(0)]  # which a sync waits for, beside busy neighbours too


async def test_a_process_killed_in_the_middle_of_its_work_costs_nothing(pool: TextPool) -> None:
    items = [*small(5), slow(), *small(5)]
    call = asyncio.create_task(pool.extract(items))
    await asyncio.sleep(0.3)
    for process in readers():
        process.kill()
    assert all(isinstance(result, Extracted) for result in await call)


async def test_processes_killed_while_they_wait_cost_nothing(pool: TextPool) -> None:
    for _ in range(10):
        await asyncio.gather(*(pool.extract(small(1)) for _ in range(4)))
        call = asyncio.create_task(pool.extract(small(1)))
        for process in readers():
            process.kill()
        assert all(isinstance(result, Extracted) for result in await call)


async def test_a_file_that_kills_its_process_is_the_only_one_not_read(pool: TextPool) -> None:
    items = [*small(20), explosive(), *small(20)]
    results = await pool.extract(items)
    assert [number for number, result in enumerate(results) if isinstance(result, RowNotRead)] == [20]
    assert all(isinstance(result, Extracted) for result in await pool.extract(small(10)))


async def test_a_file_that_takes_too_long_is_the_only_one_not_read() -> None:
    pool = TextPool(1, item_seconds=1)
    try:
        results = await pool.extract([*small(5), slow(), *small(5)])
        assert [isinstance(result, RowNotRead) for result in results] == [False] * 5 + [True] + [False] * 5
        assert "more than 1 s of processor time" in str(results[5])
    finally:
        await pool.aclose()


async def test_a_process_that_stands_still_is_replaced() -> None:
    pool = TextPool(1, still_seconds=5)
    await pool.start()
    try:
        (stopped,) = readers()
        stopped.suspend()
        assert all(isinstance(result, Extracted) for result in await pool.extract(small(2)))
        await until(lambda: not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE)
    finally:
        await pool.aclose()


async def test_cancelling_ends_the_work_and_leaves_the_pool_usable(pool: TextPool) -> None:
    for _ in range(4):
        call = asyncio.create_task(pool.extract([slow(), slow(), slow()]))
        await asyncio.sleep(random.uniform(0, 0.3))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert all(isinstance(result, Extracted) for result in await pool.extract(small(50)))
    await until(lambda: len(readers()) <= 2)


async def test_the_nursery_is_replaced_when_it_dies(pool: TextPool) -> None:
    for process in [*nurseries(), *readers()]:
        process.kill()
    results = await asyncio.gather(*(pool.extract(small(3)) for _ in range(5)))
    assert all(isinstance(result, Extracted) for call in results for result in call)


async def test_a_nursery_that_pools_share_outlives_them() -> None:
    nursery = Nursery()
    processes = set()
    for _ in range(2):
        pool = TextPool(1, nursery=nursery)
        assert isinstance((await pool.extract(small(1)))[0], Extracted)
        processes.add(nursery.process_id)
        await pool.aclose()
        await until(lambda: readers() == [])
    assert len(processes) == 1
    await nursery.end()
    assert nurseries() == []


@pytest.mark.parametrize("nursery", [None, NURSERY])
async def test_a_closed_pool_says_so(nursery: Nursery | None) -> None:
    pool = TextPool(1, nursery=nursery)
    call = asyncio.create_task(pool.extract([slow()]))
    await asyncio.sleep(1)
    await pool.aclose()
    with pytest.raises(Unavailable, match="shutting down"):
        await call
    with pytest.raises(Unavailable, match="shutting down"):
        await pool.extract(small(1))


SERVER = """
import asyncio, signal, sys
from tidings.text.documents import Source
from tidings.text.pool import TextPool

async def main():
    pool = TextPool(2)
    await pool.start()
    while True:
        await asyncio.gather(*(pool.extract([Source(b"a,b,c,d\\n1,2,3,4\\n" * 2_000_000, "slow.csv")]) for _ in range(2)))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background programs ignore it, and what they start does
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """A process with a busy pool, in a group of its own, and all that it started: a nursery and two readers that have begun to read."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stderr=subprocess.PIPE, start_new_session=True) as server:
        deadline = time.monotonic() + 120
        started: list[psutil.Process] = []
        while len(started) < 3 or sum(process.cpu_times().user for process in started[1:]) < 0.2:
            assert time.monotonic() < deadline
            assert server.poll() is None
            time.sleep(0.02)
            started = psutil.Process(server.pid).children(recursive=True)
        yield server, started
        server.kill()


def test_nothing_outlives_a_server_that_is_killed(server: tuple[subprocess.Popen[bytes], list[psutil.Process]]) -> None:
    process, started = server
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []


def test_an_interrupt_from_the_terminal_is_the_servers_business_alone(server: tuple[subprocess.Popen[bytes], list[psutil.Process]]) -> None:
    process, started = server
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 7
    assert errors == b""
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []


@given(st.lists(st.integers(0, BATCH_BYTES // 2), max_size=30), st.integers(1, 8), st.integers(1, 30))
def test_batches_keep_the_order_and_the_bounds(sizes: list[int], processes: int, repeat: int) -> None:
    zeros = memoryview(bytes(BATCH_BYTES // 2))
    items = [Source(zeros[:size]) for size in sizes] * repeat  # type: ignore[arg-type]
    batches = cut_batches(items, processes)
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= BATCH_ITEMS
        assert len(batch) == 1 or sum(len(item.content) for item in batch) <= BATCH_BYTES
    if sum(sizes) * repeat <= BATCH_BYTES and len(items) <= BATCH_ITEMS:
        assert len(batches) <= processes

"""What becomes of a running Tidings when one of its parts ends before it should, or does not end when it should."""

import asyncio
import secrets

import pytest

from tidings.cli import running
from tidings.errors import TidingsError, Unavailable


async def until(stop: asyncio.Event) -> None:
    await stop.wait()


async def test_a_part_that_dies_takes_the_others_along_and_is_named() -> None:
    stop, cause = asyncio.Event(), secrets.token_hex(8)

    async def die() -> None:
        await asyncio.sleep(0)
        raise RuntimeError(cause)

    other = asyncio.create_task(until(stop), name="web")
    with pytest.raises(TidingsError, match=f"worker part.*{cause}"):
        await running.until_stopped([other, asyncio.create_task(die(), name="worker")], stop)
    assert other.done()


async def test_a_part_that_ends_by_itself_is_named() -> None:
    stop = asyncio.Event()

    async def end() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TidingsError, match="worker part"):
        await running.until_stopped([asyncio.create_task(until(stop), name="web"), asyncio.create_task(end(), name="worker")], stop)


async def test_the_sentence_of_an_error_of_ours_is_kept() -> None:
    stop, sentence = asyncio.Event(), f"The disk {secrets.token_hex(4)} is full."

    async def refuse() -> None:
        await asyncio.sleep(0)
        raise ExceptionGroup("of a task group", [Unavailable(sentence)])

    with pytest.raises(TidingsError) as raised:
        await running.until_stopped([asyncio.create_task(refuse(), name="worker")], stop)
    assert sentence in str(raised.value)


async def test_what_does_not_stop_in_time_is_cancelled() -> None:
    stop = asyncio.Event()
    stubborn = asyncio.create_task(asyncio.Event().wait(), name="worker")
    stop.set()
    await running.until_stopped([stubborn], stop, seconds=0.05)
    assert stubborn.cancelled()

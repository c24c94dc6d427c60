"""Signals are set by the threads that commit, while the event loop makes new ones."""

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from tidings.store.signals import Signals

LISTENERS = 1_000
ROUNDS = 8_000


@pytest.fixture
def threads_that_take_turns_often() -> Iterator[None]:
    """As many switches between threads as there can be, so that what goes wrong between two of them does so here."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_that_take_turns_often")
async def test_a_thread_wakes_while_others_begin_and_cease_to_listen() -> None:
    """Were the writer's thread to fall over a listener that comes at this moment, nothing would be written any more."""
    signals = Signals()
    kept = [signals.listen("ended") for _ in range(LISTENERS)]
    fell: list[Exception] = []
    enough = threading.Event()

    def wake() -> None:
        try:
            while not enough.is_set():
                signals.wake(["ended"])
        except RuntimeError as error:
            fell.append(error)

    thread = threading.Thread(target=wake)
    thread.start()
    for _ in range(ROUNDS):
        signals.listen("ended")
    enough.set()
    await asyncio.to_thread(thread.join)
    assert fell == []
    assert await kept[0].wait(1.0)


async def test_a_signal_hears_what_was_woken_since_it_was_made_and_nothing_else() -> None:
    signals = Signals()
    ended, syncs = signals.listen("ended"), signals.listen("syncs")
    signals.wake(["ended", "nobody listens for this"])
    assert await ended.wait(1.0)
    assert not await syncs.wait(0.0)
    assert sorted(signals.names()) == ["ended", "syncs"]

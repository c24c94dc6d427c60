"""Writes on their way to a writer thread, and the way back of their results to the event loops that wait for them."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tidings.store.transactions import Tx


class Write:
    """One write: what to run, and whom to tell. Made in the event loop that waits for it. `together`: does the same for the `item`s of several at once."""

    def __init__(
        self, run: Callable[[Tx], Any], *, bulk: bool = False, together: Callable[[Tx, Sequence[Any]], Sequence[Any]] | None = None, item: Any = None
    ) -> None:
        self.run, self.bulk, self.together, self.item = run, bulk, together, item
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.value: Any = None
        self.error: BaseException | None = None
        self.woken: set[str] = set()


def join(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Writes that stand next to each other, as far as one call can run them."""
    for _, neighbours in itertools.groupby(writes, lambda write: write.together or write):
        yield list(neighbours)


def run(tx: Tx, joined: Sequence[Write]) -> None:
    """Runs what was joined by one call; each keeps its value."""
    one = joined[0]
    if one.together is None or len(joined) == 1:
        one.value = one.run(tx)
    else:
        for write, value in zip(joined, one.together(tx, [write.item for write in joined]), strict=True):
            write.value = value


def answer(done: Iterable[Write]) -> None:
    """Tells those who wait what came of their writes; from any thread, each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Write]] = defaultdict(list)
    for write in done:
        by_loop[write.loop].append(write)
    for loop, writes in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, writes)


def _settle(writes: list[Write]) -> None:
    for write in writes:
        if write.future.done():  # the caller was cancelled meanwhile
            continue
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.value)

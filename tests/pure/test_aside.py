"""What is large is worked on where it holds nobody up."""

import threading

from tidings.aside import SMALL, aside


async def test_small_work_is_done_at_once_and_large_work_in_a_thread() -> None:
    here = threading.get_ident()
    assert await aside(SMALL, threading.get_ident) == here
    assert await aside(SMALL + 1, threading.get_ident) != here

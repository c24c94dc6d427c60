"""How much of a sync may be in the air."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tidings.syncs.window import FIRST_ROWS, SHARE, Window


@given(groups=st.lists(st.integers(1, 40), max_size=120), fetchers=st.integers(1, 5))
def test_what_is_in_the_air_stays_a_small_part_of_what_is_done(groups: list[int], fetchers: int) -> None:
    most = asyncio.run(run_through(groups, fetchers))
    assert all(in_the_air <= max(FIRST_ROWS, done / SHARE) for in_the_air, done in most)
    assert (most[-1] if most else (0, 0)) == (0, sum(groups))


async def run_through(groups: list[int], fetchers: int) -> list[tuple[int, int]]:
    """Lets all rows through; (in the air, done) after each step."""
    window, waiting = Window(), list(groups)
    air = done = 0
    seen: list[tuple[int, int]] = []

    async def fetch() -> None:
        nonlocal air, done
        while waiting:
            left = waiting.pop()
            while left:
                portion = await window.enter(left)
                assert 1 <= portion <= left
                air, left = air + portion, left - portion
                seen.append((air, done))
                await asyncio.sleep(0)
                air, done = air - portion, done + portion
                await window.leave(portion)
                seen.append((air, done))

    await asyncio.gather(*(fetch() for _ in range(fetchers)))
    return seen

"""How much of a sync may be in the air: fetched, and not yet staged. That is what a crash makes it do twice."""

import asyncio

FIRST_ROWS = 24
SHARE = 20  # a twentieth of what is done, once that is more: so a long sync works in larger portions
PORTIONS = 3  # one is being staged, one read, one fetched


class Window:
    """Rows enter before they are fetched and leave when they are staged, or given up."""

    def __init__(self) -> None:
        self._under_way = 0
        self._left = 0
        self._moved = asyncio.Condition()

    @property
    def rows(self) -> int:
        """How many rows may be in the air."""
        return max(FIRST_ROWS, self._left // SHARE)

    async def enter(self, wanted: int) -> int:
        """Waits until there is room for a portion; how many of the `wanted` rows it lets in, at least one."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._under_way + min(wanted, self.rows // PORTIONS) <= self.rows)
            portion = min(wanted, self.rows // PORTIONS)
            self._under_way += portion
            return portion

    async def leave(self, rows: int) -> None:
        """Rows are staged, and make room for others."""
        async with self._moved:
            self._under_way -= rows
            self._left += rows
            self._moved.notify_all()

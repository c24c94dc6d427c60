"""How the text of a row changed, line by line."""

import asyncio
from collections.abc import Sequence
from difflib import Match, SequenceMatcher
from itertools import accumulate

from tidings.store import change_texts
from tidings.store.database import Database

CONTEXT_LINES = 3
MOST_STEPS = 3_000_000  # about a second


async def diff_of_change(db: Database, sync_id: str, n: int) -> str:
    """The unified diff of the text before and after change number `n` of a sync; "" where only the title changed. NotFound, Gone, TooLarge."""
    texts = await db.read(change_texts.of_change, sync_id, n)
    return await asyncio.to_thread(unified_diff, texts.before, texts.after)


def unified_diff(before: str, after: str) -> str:
    """The lines that went and came, in the format of `diff -u`; "" where there are none. A text of "" has no lines."""
    old, new = (text.split("\n") if text else [] for text in (before, after))
    lines: list[str] = []
    for group in _Matcher(old, new).get_grouped_opcodes(CONTEXT_LINES):
        lines.append(f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@")
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                lines += [f" {line}" for line in old[old_from:old_to]]
            else:
                lines += [f"-{line}" for line in old[old_from:old_to]]
                lines += [f"+{line}" for line in new[new_from:new_to]]
    return "\n".join(["--- before", "+++ after", *lines]) if lines else ""


class _Matcher(SequenceMatcher[str]):
    """Looks for the longest match between two texts, and then on both sides of it, which can take the square of their lines: ten thousand lines of which every
    other one changed took 13 s. When that has taken long enough, it makes do with the next match that is easily found; more lines may then seem changed."""

    b2j: dict[str, list[int]]  # where each line stands in the new text; of those that stand in very many places nothing

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__(None, old, new)
        self._old, self._new = old, new
        self._left = MOST_STEPS
        self._steps = list(accumulate((1 + len(self.b2j.get(line, ())) for line in old), initial=0))  # up to each line

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        """Between these lines of both texts; its size is 0 where none is found."""
        ahi, bhi = len(self._old) if ahi is None else ahi, len(self._new) if bhi is None else bhi
        steps = self._steps[ahi] - self._steps[alo]
        if steps <= self._left:
            self._left -= steps
            return super().find_longest_match(alo, ahi, blo, bhi)
        most = min(ahi - alo, bhi - blo)
        if same := next((n for n in range(most) if self._old[alo + n] != self._new[blo + n]), most):
            return Match(alo, blo, same)
        if same := next((n for n in range(most) if self._old[ahi - 1 - n] != self._new[bhi - 1 - n]), most):
            return Match(ahi - same, bhi - same, same)
        for place in range(alo, ahi):  # a line that the new text has once
            there = self.b2j.get(self._old[place], ())
            if len(there) == 1 and blo <= there[0] < bhi:
                return Match(place, there[0], 1)
        return Match(alo, blo, 0)


def _range(start: int, stop: int) -> str:
    """Lines as the head of a hunk names them: the first, and how many; of none, the one before."""
    return f"{start + 1}" if stop - start == 1 else f"{start + (stop > start)},{stop - start}"

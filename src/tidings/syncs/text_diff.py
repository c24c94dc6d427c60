"""How the text of a row changed, line by line."""

import asyncio
import difflib

from tidings.store import change_texts
from tidings.store.database import Database

CONTEXT_LINES = 3


async def diff_of_change(db: Database, sync_id: str, n: int) -> str:
    """The unified diff of the text before and after change number `n` of a sync; "" where only the title changed. NotFound, Gone, TooLarge."""
    texts = await db.read(change_texts.of_change, sync_id, n)
    return await asyncio.to_thread(unified_diff, texts.before, texts.after)


def unified_diff(before: str, after: str) -> str:
    """The lines that went and came, in the format of `diff -u`; "" where there are none. A text of "" has no lines."""
    old, new = (text.split("\n") if text else [] for text in (before, after))
    return "\n".join(difflib.unified_diff(old, new, "before", "after", n=CONTEXT_LINES, lineterm=""))

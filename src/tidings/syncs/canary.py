"""After a publication: whether a sample of the changed rows is found by search, by rare words of their own."""

import asyncio
import re
from collections.abc import Callable, Sequence

import structlog

from tidings.errors import TidingsError
from tidings.model.syncs import Sync, SyncWarning
from tidings.store import canary, warnings
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.store.search import Hit
from tidings.store.transactions import Tx

SAMPLE = 50  # rows
WORDS = 6  # of a row that are looked for together
HITS = 50  # with more rows than that of the same words, nothing can be said
SECONDS = 20.0
NAMED = 5  # rows in a sentence

_log = structlog.get_logger()


# The documents among what a bot knows that have all of some words: the best hits, at most so many.
Search = Callable[[Tx, str, str, int], Sequence[Hit]]


async def look_up_changes(db: Database, search: Search, held: Held, sync: Sync) -> None:
    """Warns of the rows, of a sample of those that a sync has published, that search does not find; and when that could not be looked at."""
    try:
        async with asyncio.timeout(SECONDS):
            lost = [key for row_n in await db.read(canary.sample, sync.id, SAMPLE) if (key := await db.read(_lost, search, sync.bot_id, row_n)) is not None]
    except (TimeoutError, TidingsError) as error:
        why = str(error) or f"It was not done within {SECONDS:g} seconds."
        _log.warning("the changed rows could not be looked up", sync=sync.id, reason=why)
        told = SyncWarning("not_looked_up", f"Whether search finds the changed rows could not be looked at. {why} Search for one of them to see.")
    else:
        if not lost:
            return
        others = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        told = SyncWarning(
            "not_found_by_search",
            f"Search does not find {', '.join(key[:200] for key in lost[:NAMED])}{others}, although this sync published it. "
            "Tell the operator: the full-text index may be damaged, and can be made anew.",
        )
    await db.write(warnings.warn, held, [told])


def rare_words(text: str) -> str:
    """The longest words of a text, which are likely rare; "" where it has none that can be looked for. Only those that stand by themselves: databases do
    not agree on what the words of an address or a number are."""
    words = dict.fromkeys(re.findall(r"(?<!\S)[^\W\d_]{4,40}(?=[\s,;]|$)", text))
    return " ".join(sorted(words, key=lambda word: (-len(word), word))[:WORDS])


def _lost(tx: Tx, search: Search, bot_id: str, row_n: int) -> str | None:
    """The key of a row that search does not find by its words; None where it does, or nothing can be said."""
    shown = canary.shown(tx, row_n)
    words = "" if shown is None else rare_words(shown.text)
    if shown is None or not canary.searchable(tx, words):
        return None
    hits = search(tx, bot_id, words, HITS)
    return None if len(hits) == HITS or any(hit.row_id == shown.id for hit in hits) else shown.key

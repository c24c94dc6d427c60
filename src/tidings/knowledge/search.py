"""Search over published documents: all words are wanted, any is accepted.

Documents that have all of the words come first, then, where there is room, those that have some. What a person types is
words, never an operator.
"""

import re

from tidings.store.search import Hit, find
from tidings.store.transactions import Tx

WORDS = 32  # of a query; further ones do not count


def words_of(q: str) -> tuple[str, ...]:
    """The distinct words of a query, in order: runs of letters and digits, in lower case."""
    return tuple(dict.fromkeys(re.findall(r"[^\W_]+", q.lower())))[:WORDS]


def search(tx: Tx, bot_id: str, q: str, limit: int) -> list[Hit]:
    """The best documents of a bot for the words of `q`, best first; none for a query without words."""
    words, hits = words_of(q), search_every(tx, bot_id, q, limit)
    if len(hits) < limit and len(words) > 1:
        have = {hit.document_id for hit in hits}
        some = find(tx, bot_id, words, limit, every=False)
        hits += [hit for hit in some if hit.document_id not in have][: limit - len(hits)]
    return hits


def search_every(tx: Tx, bot_id: str, q: str, limit: int) -> list[Hit]:
    """Only the documents that have all of the words of `q`, best first; none for a query without words."""
    words = words_of(q)
    return find(tx, bot_id, words, limit, every=True) if words else []

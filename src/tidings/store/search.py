"""Full-text look-ups in published documents: FTS5 on SQLite, tsvector on PostgreSQL. The scope is part of the full-text query."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text

from tidings.store.staging import scope
from tidings.store.tables import data_sources, snapshots
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Hit:
    """One document found. `score` sorts the hits: from 1 up where all words are there, below 1 where some are."""

    row_id: str
    document_id: str
    title: str
    url: str | None
    text: str
    score: float
    data_source: str
    data_source_id: str
    tokens: int


def to_search(tx: Tx, bot_id: str) -> tuple[int, int]:
    """(data sources of a bot, published documents of all of them)"""
    published = (snapshots.c.data_source_id == data_sources.c.id) & (snapshots.c.n == data_sources.c.published)
    query = select(func.count(), func.coalesce(func.sum(snapshots.c.documents), 0)).select_from(data_sources.outerjoin(snapshots, published))
    sources, documents = tx.execute(query.where(data_sources.c.bot_id == bot_id, data_sources.c.deleted_at.is_(None))).one()
    return int(sources), int(documents)


_SQLITE = text("""
    SELECT r.id, d.id, v.title, v.url, d.text, -bm25(documents_text, 3.0, 1.0, 0.0) AS relevance, s.name, s.id, d.tokens
    FROM documents_text f
    JOIN documents d ON d.n = f.rowid
    JOIN versions v ON v.n = d.version_n
    JOIN data_sources s ON s.id = v.data_source_id
    JOIN rows r ON r.n = v.row_n
    WHERE documents_text MATCH :query AND s.bot_id = :bot AND s.deleted_at IS NULL AND v.from_n <= s.published AND v.to_n > s.published
    ORDER BY relevance DESC, d.n LIMIT :limit
""")
_POSTGRESQL = text("""
    SELECT r.id, d.id, v.title, v.url, d.text, ts_rank_cd(d.words, wanted.q) AS relevance, s.name, s.id, d.tokens
    FROM (SELECT to_tsquery('english', :query) AS q) wanted
    JOIN documents d ON d.words @@ (wanted.q && CAST(:scopes AS tsquery))
    JOIN versions v ON v.n = d.version_n
    JOIN data_sources s ON s.id = v.data_source_id
    JOIN rows r ON r.n = v.row_n
    WHERE numnode(wanted.q) > 0  -- words that mean nothing by themselves (the, is) are left out of it, and without any it would ask for all documents
    AND s.bot_id = :bot AND s.deleted_at IS NULL AND v.from_n <= s.published AND v.to_n > s.published
    ORDER BY relevance DESC, d.n LIMIT :limit
""")


def find(tx: Tx, bot_id: str, words: Sequence[str], limit: int, *, every: bool) -> list[Hit]:
    """The published documents of a bot that hold every one of these words, or at least one; the most relevant first.

    Words are runs of letters and digits in lower case, at least one.
    """
    sources = tx.execute(select(data_sources.c.id).where(data_sources.c.bot_id == bot_id, data_sources.c.deleted_at.is_(None))).scalars().all()
    if not sources:
        return []
    scopes = [scope(source) for source in sources]
    if tx.dialect == "sqlite":
        joined = (" AND " if every else " OR ").join(f'"{word}"' for word in words)
        query = f"scope: ({' OR '.join(scopes)}) AND {{heading text}}: ({joined})"
        found = tx.execute(_SQLITE, {"query": query, "bot": bot_id, "limit": limit})
    else:
        joined = (" & " if every else " | ").join(f"'{word}'" for word in words)
        found = tx.execute(_POSTGRESQL, {"query": joined, "scopes": " | ".join(f"'{one}'" for one in scopes), "bot": bot_id, "limit": limit})
    base = 1.0 if every else 0.0
    return [
        Hit(row_id, document_id, title, url, body, base + max(relevance, 0.0) / (1.0 + max(relevance, 0.0)), *rest)
        for row_id, document_id, title, url, body, relevance, *rest in found
    ]

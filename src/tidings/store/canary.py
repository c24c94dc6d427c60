"""What is looked up again after a publication: a sample of the changed rows, each with a text that readers see of it."""

from dataclasses import dataclass

from sqlalchemy import and_, func, select

from tidings.store.tables import changes, data_sources, documents, rows, versions
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Shown:
    """A row, and one of its documents with the headings above it."""

    id: str
    key: str
    text: str


def sample(tx: Tx, sync_id: str, most: int) -> list[int]:
    """The numbers of rows that a sync has added or changed: all of them, or `most`, spread evenly."""
    mine = (changes.c.sync_id == sync_id) & changes.c.kind.in_(("added", "changed"))
    count = tx.execute(select(func.count()).where(mine)).scalar_one()
    step = max(1, -(-count // most))
    places = select(changes.c.row_n, func.row_number().over(order_by=changes.c.n).label("place")).where(mine).subquery()
    return list(tx.execute(select(places.c.row_n).where((places.c.place - 1) % step == 0).order_by(places.c.place)).scalars())


def shown(tx: Tx, row_n: int) -> Shown | None:
    """What readers see of a row now, its document in the middle; None where they see no text of it."""
    visible = and_(versions.c.row_n == rows.c.n, versions.c.from_n <= data_sources.c.published, versions.c.to_n > data_sources.c.published)
    query = (
        select(rows.c.id, rows.c.key, documents.c.heading, documents.c.text)
        .select_from(rows.join(data_sources, data_sources.c.id == rows.c.data_source_id).join(versions, visible))
        .join(documents, and_(documents.c.version_n == versions.c.n, documents.c.ord == versions.c.documents // 2))
        .where(rows.c.n == row_n, data_sources.c.deleted_at.is_(None))
    )
    found = tx.execute(query).one_or_none()
    return None if found is None else Shown(found.id, found.key, f"{found.heading} {found.text}")


def searchable(tx: Tx, words: str) -> bool:
    """Whether words can be searched for at all: PostgreSQL leaves out those that mean nothing by themselves (there, will, more)."""
    if tx.dialect == "sqlite" or not words:
        return bool(words)
    return bool(tx.execute(select(func.numnode(func.plainto_tsquery("english", words)))).scalar_one())

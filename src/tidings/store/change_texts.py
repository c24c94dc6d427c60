"""The texts of a row before and after a change of the manifest, as long as their versions are kept."""

from dataclasses import dataclass

from sqlalchemy import func, or_, select

from tidings.errors import Gone, NotFound, TooLarge
from tidings.store.tables import FOREVER, changes, documents, rows, syncs, versions
from tidings.store.transactions import AnyRow, Tx

MOST_DOCUMENTS = 400  # of one version: about 800 KB of text
_GONE = "The text of this change is not kept any more: it is for as long as the snapshots that show it (TIDINGS_KEEP_SNAPSHOTS)."


@dataclass(frozen=True, slots=True)
class ChangeTexts:
    """What a row said before a change and after it; "" where it was not there."""

    before: str
    after: str


def of_change(tx: Tx, sync_id: str, n: int) -> ChangeTexts:
    """The texts of change number `n` of a sync. NotFound where there is none or it has no text, Gone where it is not kept any more, TooLarge."""
    found = tx.execute(select(changes).where(changes.c.sync_id == sync_id, changes.c.n == n)).one_or_none()
    if found is None:
        raise NotFound(f"There is no change {n} of this sync. Its changes are listed with their numbers.")
    if found.kind == "failed":
        raise NotFound("This row could not be brought up to date, so there is no text to compare; the change says why.")
    if found.version_before is None and found.version_after is None:
        raise Gone(_GONE)
    return ChangeTexts(_text(tx, found, found.version_before), _text(tx, found, found.version_after))


def _text(tx: Tx, change: AnyRow, version_n: int | None) -> str:
    if version_n is None:
        return ""
    # SQLite gives numbers of what was deleted out again: it has to be a version of this very row, made before the sync ended, or one of the same bytes:
    # what a sync did not publish is made anew by the next one that uses it.
    same = (rows.c.key == change.key) & (rows.c.data_source_id == syncs.c.data_source_id)
    made = or_(versions.c.created_at <= func.coalesce(syncs.c.finished_at, FOREVER), versions.c.content_hash.in_((change.hash_before, change.hash_after)))
    joined = versions.join(rows, rows.c.n == versions.c.row_n).join(syncs, same & made)
    query = select(versions.c.documents).select_from(joined).where(versions.c.n == version_n, syncs.c.id == change.sync_id)
    count = tx.execute(query).scalar_one_or_none()
    if count is not None and count > MOST_DOCUMENTS:
        raise TooLarge(
            f"The text of this row has {count} documents, more than the {MOST_DOCUMENTS} that are compared. `GET /api/v1/rows/{{id}}` has all of it."
        )
    texts = tx.execute(select(documents.c.text).where(documents.c.version_n == version_n).order_by(documents.c.ord).limit(MOST_DOCUMENTS)).scalars().all()
    if len(texts) != count:  # gone, or half swept
        raise Gone(_GONE)
    return "\n\n".join(texts)

"""Whether the database has room for more, as far as writes have told."""

import os

from sqlalchemy import delete, insert

from tidings.errors import DiskFull, Unavailable
from tidings.store.database import Database
from tidings.store.tables import guesses
from tidings.store.transactions import Tx


async def lack_of_room(db: Database) -> str | None:
    """Why nothing more is kept, in a sentence, once a write has failed for it; None where there is room, or again room, which is tried out."""
    if not db.full:
        return None
    try:
        await db.write(_touch)
    except DiskFull as error:
        return str(error)
    except Unavailable:
        return None  # another trouble, which tells of itself
    db.full = False
    return None


def _touch(tx: Tx) -> None:
    """Writes something, and takes it back: SQLite skips a change that changes nothing."""
    about = os.urandom(16)
    tx.execute(insert(guesses).values(about=about, since=0, count=0))
    tx.execute(delete(guesses).where(guesses.c.about == about))

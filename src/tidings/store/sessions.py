"""Sessions by the SHA-256 of what the browser holds, the people behind them, and failed guesses of passwords."""

from collections.abc import Sequence

from sqlalchemy import case, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tidings.clock import Micros
from tidings.model.ids import new_id
from tidings.model.workspaces import Session, Visitor
from tidings.store.members import workspaces_of
from tidings.store.tables import guesses, members, sessions, users, workspaces
from tidings.store.transactions import Tx


def password_of(tx: Tx, user_id: str) -> str:
    """The hash of a person's password."""
    return str(tx.execute(select(users.c.password_hash).where(users.c.id == user_id)).scalar_one())


def set_password(tx: Tx, user_id: str, password_hash: str) -> None:
    """Gives a person another password."""
    tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))


def latest_workspace(tx: Tx, user_id: str, among: Sequence[str]) -> str | None:
    """The workspace, one of these, that a person looked at last, as far as a session of it is left."""
    query = select(sessions.c.workspace_id).where(sessions.c.user_id == user_id, sessions.c.workspace_id.in_(among))
    found: str | None = tx.execute(query.order_by(sessions.c.seen_at.desc()).limit(1)).scalar_one_or_none()
    return found


def begin(tx: Tx, session_hash: bytes, user_id: str, workspace_id: str, at: Micros, *, address: str | None, agent: str | None) -> None:
    """Writes down that somebody has signed in."""
    row = {"id": new_id(), "hash": session_hash, "user_id": user_id, "workspace_id": workspace_id, "created_at": at, "seen_at": at}
    tx.execute(insert(sessions).values(**row, address=address, agent=agent))


def visitor(tx: Tx, session_hash: bytes, *, begun_since: Micros, seen_since: Micros) -> tuple[Visitor, Micros] | None:
    """Who holds a session that began and was last used since these instants, and when that was; None where nobody does."""
    query = (
        select(sessions.c.id, sessions.c.seen_at, users.c.id.label("user_id"), users.c.email, members.c.role, workspaces.c.id.label("workspace_id"))
        .add_columns(workspaces.c.name.label("workspace"))
        .join(users, users.c.id == sessions.c.user_id)
        .join(members, (members.c.user_id == sessions.c.user_id) & (members.c.workspace_id == sessions.c.workspace_id))
        .join(workspaces, workspaces.c.id == sessions.c.workspace_id)
        .where(sessions.c.hash == session_hash, sessions.c.created_at > begun_since, sessions.c.seen_at > seen_since)
    )
    found = tx.execute(query).one_or_none()
    if found is None:
        return None
    others = tuple(one for one in workspaces_of(tx, found.user_id) if one[0] != found.workspace_id)
    return Visitor(found.user_id, found.email, found.workspace_id, found.workspace, found.role, found.id, others), found.seen_at


def switch(tx: Tx, session_id: str, workspace_id: str) -> None:
    """Leads a session to another workspace."""
    tx.execute(update(sessions).where(sessions.c.id == session_id).values(workspace_id=workspace_id))


def rename(tx: Tx, session_id: str, session_hash: bytes) -> None:
    """What a browser holds for a session from now on; what it held before is worthless."""
    tx.execute(update(sessions).where(sessions.c.id == session_id).values(hash=session_hash))


def seen(tx: Tx, session_id: str, at: Micros) -> None:
    """Notes that a session was used."""
    tx.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=at))


def of_user(tx: Tx, user_id: str, *, begun_since: Micros, seen_since: Micros) -> tuple[Session, ...]:
    """The living sessions of a person, the one used last first."""
    living = (sessions.c.user_id == user_id, sessions.c.created_at > begun_since, sessions.c.seen_at > seen_since)
    found = tx.execute(select(sessions).where(*living).order_by(sessions.c.seen_at.desc(), sessions.c.id).limit(100))
    return tuple(Session(row.id, row.created_at, row.seen_at, row.address, row.agent) for row in found)


def end(tx: Tx, user_id: str, session_id: str) -> None:
    """Ends one session of a person; nothing happens where it has ended already."""
    tx.execute(delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id == session_id))


def end_all(tx: Tx, user_id: str | None, *, but: str | None = None) -> None:
    """Ends all sessions of a person, or of everybody, `but` perhaps one."""
    gone = delete(sessions) if user_id is None else delete(sessions).where(sessions.c.user_id == user_id)
    tx.execute(gone if but is None else gone.where(sessions.c.id != but))


def guess(tx: Tx, about: bytes, at: Micros, since: Micros) -> int:
    """Counts one more guess about an account or from an address; how many there were in the stretch that began after `since`, this one included."""
    begins_anew = guesses.c.since <= since
    again = {"since": case((begins_anew, at), else_=guesses.c.since), "count": case((begins_anew, 1), else_=guesses.c.count + 1)}
    counted = upsert(guesses).values(about=about, since=at, count=1).on_conflict_do_update(index_elements=["about"], set_=again)
    return int(tx.execute(counted.returning(guesses.c.count)).scalar_one())


def take_back_guess(tx: Tx, about: bytes) -> None:
    """One guess that was counted was none: it was right."""
    tx.execute(update(guesses).where(guesses.c.about == about, guesses.c.count > 0).values(count=guesses.c.count - 1))


def forget_guesses(tx: Tx, about: bytes) -> None:
    """Whoever signs in has not been guessing."""
    tx.execute(delete(guesses).where(guesses.c.about == about))


def prune(tx: Tx, *, begun_before: Micros, seen_before: Micros, guessed_before: Micros, limit: int) -> int:
    """Removes a batch of sessions that have ended by themselves, and of guesses that count no more; how many."""
    old = select(sessions.c.id).where((sessions.c.created_at <= begun_before) | (sessions.c.seen_at <= seen_before)).limit(limit)
    stale = select(guesses.c.about).where(guesses.c.since <= guessed_before).limit(limit)
    ended = tx.execute(delete(sessions).where(sessions.c.id.in_(old))).rowcount
    return int(ended + tx.execute(delete(guesses).where(guesses.c.about.in_(stale))).rowcount)

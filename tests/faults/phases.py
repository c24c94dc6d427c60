"""What processes were doing at a moment, as their database says: read from outside, while they run and right after they were killed."""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg

Phase = Literal["claim", "stage", "publish", "settle"]
PHASES: tuple[Phase, ...] = ("claim", "stage", "publish", "settle")
SQLITE_FILE = "tidings.sqlite"
LOOK_SECONDS = 0.0005


class Peek:
    """A connection that only looks. It never becomes the one that tidies up after a server that died."""

    def __init__(self, home: Path, database_url: str | None) -> None:
        self._sqlite: sqlite3.Connection | None = None
        self._postgres: psycopg.Connection[tuple[Any, ...]] | None = None
        if database_url is None:
            self._sqlite = sqlite3.connect(f"file:{home / SQLITE_FILE}?mode=ro", uri=True, isolation_level=None, timeout=20)
        else:
            self._postgres = psycopg.connect(database_url, autocommit=True)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query whose places for values are marked `?`."""
        if self._sqlite is not None:
            return self._sqlite.execute(query, values).fetchall()
        assert self._postgres is not None
        cursor = self._postgres.execute(query.replace("?", "%s").encode(), values or None)
        return cursor.fetchall() if cursor.description is not None else []

    def one(self, query: str, *values: Any) -> Any:
        """The first value of the only row."""
        return self.rows(query, *values)[0][0]

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """All that is read in the block is of one moment."""
        self.rows("BEGIN" if self._sqlite is not None else "BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            self.rows("ROLLBACK")

    def close(self) -> None:
        """Ends the connection."""
        for connection in (self._sqlite, self._postgres):
            if connection is not None:
                connection.close()


@contextlib.contextmanager
def peeking(home: Path, database_url: str | None) -> Iterator[Peek]:
    """A connection for the length of the block."""
    with contextlib.closing(Peek(home, database_url)) as peek:
        yield peek


@dataclass(frozen=True, slots=True)
class Moment:
    """What some processes held at one moment, in numbers of syncs and deliveries."""

    running: int = 0  # syncs that they ran
    claim: int = 0  # of these: claimed, nothing begun
    stage: int = 0  # ...: some of the rows were staged, the others under way
    publish: int = 0  # ...: all listed rows were staged and removals as well; what was left to do was to publish
    settle: int = 0  # deliveries that they held: on their way, or answered and not yet written down
    owed: int = 0  # deliveries that wait for their first attempt

    @property
    def phases(self) -> set[Phase]:
        """The phases that they were in."""
        return {phase for phase in PHASES if getattr(self, phase)}


_SYNCS = "SELECT id, target_n, added + changed + failed, removed FROM syncs WHERE state = 'running' AND owner LIKE ?"
_HELD = "SELECT webhook_id, event_id FROM deliveries WHERE state = 'pending' AND owner LIKE ?"
_OWED = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND owner IS NULL AND attempt_count = 0"
Progress = dict[str, tuple[int, int]]


def progress(peek: Peek) -> Progress:
    """How far each running sync is: rows staged, removals staged."""
    return {id_: (staged, removed) for id_, staged, removed in peek.rows(_SYNCS.replace("target_n, ", ""), "%")}


def held(peek: Peek, pids: Iterable[int] | None) -> set[tuple[str, str]]:
    """(hook, event) of the deliveries that the processes hold; None: that anybody holds."""
    return {(hook, event) for owner in _owners(pids) for hook, event in peek.rows(_HELD, owner)}


def _owners(pids: Iterable[int] | None) -> list[str]:
    return ["%"] if pids is None else [f"%:{pid}" for pid in pids]


def look(peek: Peek, pids: Iterable[int] | None, before: Progress) -> Moment:
    """What the processes are doing; None: all. `before`: how far the syncs were when they started, so that only what themselves did counts."""
    owners = _owners(pids)
    claim = stage = publish = 0
    found = [row for owner in owners for row in peek.rows(_SYNCS, owner)]
    for id_, target, staged, removed in found:
        staged_before, removed_before = before.get(id_, (0, 0))
        if target is None:
            claim += 1
        elif removed > removed_before:
            publish += 1
        elif staged > staged_before:
            stage += 1
    return Moment(len(found), claim, stage, publish, len(held(peek, pids)), peek.one(_OWED))


def await_phase(peek: Peek, pids: Sequence[int], before: Progress, phase: Phase, seconds: float) -> bool:
    """Returns as soon as one of the processes is seen in a phase (True), or after `seconds` (False)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if phase in look(peek, pids, before).phases:
            return True
        time.sleep(LOOK_SECONDS)
    return False

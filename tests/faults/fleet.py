"""The processes over one database, and the ways to kill them: on SQLite the one server, on PostgreSQL a web, a worker, its dispatchers, the database."""

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tests.faults.house import server_over
from tests.faults.phases import Phase
from tests.faults.server import GONE_SECONDS, Server
from tests.postgres import Keeper, create_database, postgres_server

Victim = Literal["everything", "web", "worker", "worker and dispatchers", "dispatcher", "database", "database and everything"]

DISPATCHERS = 2
AWAY_SECONDS = 1.0  # a killed database is started again within so many
ON_SQLITE: Mapping[Victim, int] = {"everything": 1}
ON_POSTGRES: Mapping[Victim, int] = {
    "dispatcher": 5,
    "worker": 3,
    "worker and dispatchers": 3,
    "web": 2,
    "everything": 3,
    "database": 4,
    "database and everything": 1,
}
SENDS: frozenset[Victim] = frozenset({"dispatcher", "worker and dispatchers", "everything", "database"})
SYNCS: frozenset[Victim] = frozenset({"worker", "worker and dispatchers", "everything", "database"})


@dataclass(frozen=True, slots=True)
class Struck:
    """What a kill hit: process ids of those that may have held work; None: the database, and so whatever anybody held."""

    victim: Victim
    pids: frozenset[int] | None


class Fleet:
    """Servers over one database. `web` answers; `keeper` is the database's where it is a PostgreSQL of its own."""

    def __init__(self, home: Path, roots: Path, database_url: str | None, keeper: Keeper | None) -> None:
        self.home, self.database_url, self.keeper = home, database_url, keeper
        if keeper is None:
            self.web = self._worker = server_over(home, None, roots)
            self._chances = ON_SQLITE
        else:
            self.web = server_over(home, database_url, roots, role="web")
            self._worker = server_over(home, database_url, roots, role="worker", dispatchers=DISPATCHERS)
            self._chances = ON_POSTGRES
        self._orphans: list[psutil.Process] = []

    @property
    def servers(self) -> list[Server]:
        """Each once."""
        return list(dict.fromkeys([self.web, self._worker]))

    def start(self, *, hatched: bool = False) -> None:
        """Starts whatever does not run."""
        for server in self.servers:
            if not server.runs():
                server.start(hatched=hatched)

    def pids(self) -> list[int]:
        """The processes that may hold work."""
        return [self._worker.pid, *(process.pid for process in self._worker.dispatchers())]

    def choose(self, chance: random.Random, aim: Phase | None) -> Victim:
        """Whom to kill, so that whoever is in that phase is hit, or may be."""
        fitting = set(self._chances) if aim is None else set(self._chances) & (SENDS if aim == "settle" else SYNCS)
        victims = [victim for victim in self._chances if victim in fitting]
        return chance.choices(victims, [self._chances[victim] for victim in victims])[0]

    def strike(self, victim: Victim, chance: random.Random) -> Struck:
        """`kill -9`, now. A database is back when this returns."""
        if victim == "dispatcher":
            return self._kill_a_dispatcher(chance)
        if victim == "worker":
            self._orphans += self._worker.dispatchers()
            self._worker.kill_alone()
            return Struck(victim, frozenset({self._worker.pid}))
        if victim == "web":
            self.web.kill()
            return Struck(victim, frozenset())
        pids = frozenset(self.pids())
        if victim == "worker and dispatchers":
            self._worker.kill()
            return Struck(victim, pids)
        if victim in {"database", "database and everything"}:
            assert self.keeper is not None
            self.keeper.kill()
        if victim != "database":
            for server in self.servers:
                server.kill()
        if victim != "everything":
            assert self.keeper is not None
            time.sleep(chance.uniform(0, AWAY_SECONDS))
            self.keeper.start_again()
            return Struck(victim, None)
        return Struck(victim, pids)

    def _kill_a_dispatcher(self, chance: random.Random) -> Struck:
        there = self._worker.dispatchers()
        if not there:  # in the midst of the worker's start
            return Struck("dispatcher", frozenset())
        one = chance.choice(there)
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
            one.wait(GONE_SECONDS)
        return Struck("dispatcher", frozenset({one.pid}))

    def kill(self) -> None:
        """`kill -9` of all that still runs, the database aside."""
        for server in self.servers:
            if server.runs():
                server.kill()

    def stop(self) -> list[int]:
        """Stops all cleanly: the exit codes."""
        return [server.stop() for server in self.servers]

    def survivors(self) -> list[psutil.Process]:
        """Processes that outlive by far who started them."""
        return [*psutil.wait_procs(self._orphans, timeout=GONE_SECONDS)[1], *(one for server in self.servers for one in server.survivors())]

    def end(self) -> None:
        """For the end of a test, however it went."""
        for server in self.servers:
            server.end()


@contextlib.contextmanager
def fleet_over(kind: Literal["sqlite", "postgresql"], home: Path, roots: Path) -> Iterator[Fleet]:
    """A fleet whose database is its own: a file, or a PostgreSQL that writes as in production. It still has to be set up and started."""
    with contextlib.ExitStack() as until_the_end:
        keeper = until_the_end.enter_context(postgres_server(durable=True)) if kind == "postgresql" else None
        fleet = Fleet(home, roots, None if keeper is None else create_database(keeper.url()), keeper)
        until_the_end.callback(fleet.end)
        yield fleet

"""`kill -9` of a busy server at random moments, again and again: nothing that was promised is lost (product rules 10, 11, 21, 22).

The kills and the changes are thrown with dice whose seed is printed; FAULTS_SEED throws the same again (the machine's own timing stays its own).
"""

import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import judge
from tests.faults.client import Client
from tests.faults.hatchery import Hatchery
from tests.faults.house import House, dice, furnished, server_over
from tests.faults.phases import PHASES, SQLITE_FILE, Moment, Phase, await_phase, look, peeking, progress
from tests.faults.server import Server

KILLS = 44  # of these
AIMED = 4  # in each phase as soon as it is seen, the others at any moment
MOST_KILLS = 80
EACH_PHASE = 3  # kills at least
AIM_SECONDS = 5.0
LIFE_SECONDS, LIFE_STARTS = 1.2, 3.0  # how long a server lives at most: so long, or so many times what its start took, on a machine that is busy otherwise
IN_FLIGHT_SECONDS = 0.02  # what was sent to PostgreSQL is carried out or undone by then
FINAL_CHANGES = 60

Aim = Phase | None


def plan(chance: random.Random) -> list[Aim]:
    """Where each kill is aimed at; None: anywhere."""
    aims: list[Aim] = [phase for phase in PHASES for _ in range(AIMED)]
    aims += [None] * (KILLS - len(aims))
    chance.shuffle(aims)
    return aims


@dataclass
class Ordeal:
    """A house, and the server that is killed in it."""

    house: House
    server: Server
    hatchery: Hatchery
    home: Path
    database_url: str | None

    def kill_again_and_again(self) -> Counter[str]:
        """Kills as planned, and then at the phases that were hit too rarely: how many kills hit what."""
        hit: Counter[str] = Counter()
        aims = plan(self.house.dice)
        while aims:
            moment, answered = self.live_and_die(aims.pop())
            hit.update(moment.phases)
            hit.update({"kills": 1, "running": moment.running > 0, "answered, not written down": answered > 0})
            if not aims and hit["kills"] < MOST_KILLS:
                aims = [phase for phase in PHASES if hit[phase] < EACH_PHASE]
                aims += ["stage"] * max(0, hit["kills"] - 2 * hit["running"])  # half of the kills are to hit a running sync
        return hit

    def live_and_die(self, aim: Aim) -> tuple[Moment, int]:
        """One life of the server, ended by `kill -9`: (what it was doing then, deliveries that were answered and not yet written down)."""
        chance, server = self.house.dice, self.server
        with peeking(self.home, self.database_url) as peek:
            before = progress(peek)
            server.start(self.hatchery)
            if aim is None and chance.random() < 0.1:
                time.sleep(chance.uniform(0, 0.6))  # in the midst of its start
            else:
                took = server.await_ready()
                if aim is None:
                    time.sleep(chance.uniform(0, max(LIFE_SECONDS, LIFE_STARTS * took)))
                elif aim == "settle" and chance.random() < 0.5:
                    self.house.receiver.answered.clear()
                    self.house.receiver.answered.wait(AIM_SECONDS)
                else:
                    await_phase(peek, server.pid, before, aim, AIM_SECONDS)
            server.kill()
            time.sleep(0.0 if self.database_url is None else IN_FLIGHT_SECONDS)
            with peek.standing_still():
                judge.judge_snapshots(peek)  # what readers see is whole at every moment
            written = {tuple(row) for row in peek.rows("SELECT webhook_id, event_id FROM deliveries WHERE state = 'delivered'")}
            ids = {hook.name: hook.id for hook in self.house.hooks}
            answered = {(ids[hook], event) for hook, event in self.house.receiver.taken()}
            return look(peek, server.pid, before), len(answered - written)

    def judge_at_rest(self, client: Client) -> str:
        """A start that nobody disturbs, a last change to each folder, a call for each; then everything has to be as it was promised. What there was."""
        self.server.start()
        self.server.await_ready()
        for source in self.house.sources:
            source.folder.edit(FINAL_CHANGES)
            assert client.call(source) is not None
        judge.await_rest(self.house.api, self.house.sources)
        syncs = self.house.judge(client)
        assert self.server.stop() == 0
        with peeking(self.home, self.database_url) as peek:
            judge.judge_store(peek)
            takeovers = peek.one("SELECT sum(takeovers) FROM syncs")
        if self.database_url is None:
            judge.judge_file(self.home / SQLITE_FILE)
        assert self.server.survivors() == []
        ends = Counter(sync["code"] or sync["state"] for sync in syncs.values())
        return (
            f"{len(client.log.accepted)} calls accepted, {len(client.log.unanswered)} unanswered; {dict(ends)}, {takeovers} takeovers; "
            f"{len(self.house.receiver.arrivals)} POSTs; {client.log.visible} rows seen in time"
        )


@pytest.mark.timeout(1200)
def test_kills_lose_nothing(home: Path, database_url: str | None, tmp_path: Path) -> None:
    roots = tmp_path / "roots"
    server = server_over(home, database_url, roots)
    try:
        key = server.set_up()
        server.start()
        server.await_ready()
        with furnished(server, key, roots, dice()) as house, house.client() as client, contextlib.closing(Hatchery()) as hatchery:
            server.kill()
            began = time.monotonic()
            ordeal = Ordeal(house, server, hatchery, home, database_url)
            hit = ordeal.kill_again_and_again()
            seconds = time.monotonic() - began
            client.finish()
            told = ordeal.judge_at_rest(client)
    finally:
        server.end()
    print(f"{dict(hit)} in {seconds:.0f} s; {told}")  # noqa: T201 - what was tried, for `pytest -s`
    assert hit["kills"] >= KILLS
    assert hit["running"] * 2 >= hit["kills"], f"Too few kills hit a running sync: {hit}"
    assert {phase: hit[phase] for phase in PHASES if hit[phase] < EACH_PHASE} == {}

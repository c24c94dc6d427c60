"""`kill -9` at random moments, again and again, of whatever does the work: nothing that was promised is lost (product rules 10, 11, 21, 22).

On SQLite it hits the one server. On PostgreSQL web, worker and dispatchers are processes of their own and die alone or together; so does the database server.

FAULTS_KILLS says how many kills (100 without it, shared by both databases). They and the changes are thrown with dice whose seed is printed; FAULTS_SEED
throws the same again (the machine's own timing stays its own).
"""

import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tests.faults import judge
from tests.faults.client import Client
from tests.faults.fleet import Fleet, Struck, fleet_over
from tests.faults.house import House, dice, furnished
from tests.faults.phases import PHASES, SQLITE_FILE, Moment, Phase, await_phase, held, look, peeking, progress
from tidings import clock

KILLS = int(os.environ.get("FAULTS_KILLS") or 100) // 2  # on each database
AIMED = KILLS // 11  # of these in each phase as soon as it is seen, the others at any moment
MOST_KILLS = 2 * KILLS
EACH_PHASE = 3  # kills at least
LISTENERS = 20
AIM_SECONDS = 5.0
LOOK_SECONDS = 0.1
LIFE_SECONDS, LIFE_STARTS = 1.0, 1.5  # from one kill to the next at most: so long, or so many times what a start took, on a machine that is busy otherwise
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
    """A house, and the fleet that is killed in it. `hit`: how many kills hit what; `at_risk`: (hook, event) -> at how many kills it was in flight."""

    house: House
    fleet: Fleet
    hit: Counter[str] = field(default_factory=Counter)
    at_risk: Counter[tuple[str, str]] = field(default_factory=Counter)
    most_in_flight: int = 0

    def kill_again_and_again(self) -> None:
        """Kills as planned, and then at the phases that were hit too rarely."""
        aims, hit = plan(self.house.dice), self.hit
        while aims:
            self.live_and_die(aims.pop())
            if not aims and hit["kills"] < MOST_KILLS:
                aims = [phase for phase in PHASES if hit[phase] < EACH_PHASE]
                aims += ["stage"] * max(0, hit["kills"] // 3 - hit["a sync running"])  # a third of the kills are to hit a running sync

    def live_and_die(self, aim: Aim) -> None:
        """Everything runs for a while; then something is killed, at a moment that is aimed at or any."""
        chance, fleet = self.house.dice, self.fleet
        fleet.start(hatched=True)
        with peeking(fleet.home, fleet.database_url) as peek:
            before = progress(peek)
            if aim is None and chance.random() < 0.1:
                time.sleep(chance.uniform(0, 0.6))  # in the midst of a start
            else:
                took = fleet.web.await_ready()
                if aim is None:
                    time.sleep(chance.uniform(0, max(LIFE_SECONDS, LIFE_STARTS * took)))
                elif aim == "settle" and chance.random() < 0.5:
                    self.house.receiver.answered.clear()
                    self.house.receiver.answered.wait(AIM_SECONDS)
                else:
                    until = time.monotonic() + AIM_SECONDS
                    while time.monotonic() < until and not await_phase(peek, fleet.pids(), before, aim, LOOK_SECONDS):
                        pass
        struck = fleet.strike(fleet.choose(chance, aim), chance)
        time.sleep(0.0 if fleet.database_url is None else IN_FLIGHT_SECONDS)
        with peeking(fleet.home, fleet.database_url) as peek:
            with peek.standing_still():
                judge.judge_snapshots(peek)  # what readers see is whole at every moment
            in_flight = held(peek, struck.pids)
            self._note(struck, look(peek, struck.pids, before), in_flight)

    def _note(self, struck: Struck, moment: Moment, in_flight: set[tuple[str, str]]) -> None:
        ids = {hook.name: hook.id for hook in self.house.hooks}
        answered = {(ids[hook], event) for hook, event in self.house.receiver.taken()}
        self.hit.update(moment.phases)
        self.hit.update({"kills": 1, f"of {struck.victim}": 1, "a sync running": moment.running > 0, "answered, not written down": bool(answered & in_flight)})
        self.at_risk.update(in_flight)
        self.most_in_flight = max(self.most_in_flight, len(in_flight))

    def judge_at_rest(self, client: Client) -> str:
        """A start that nobody disturbs, a last change to each folder, a call for each; then everything has to be as it was promised. What there was."""
        fleet, house = self.fleet, self.house
        fleet.kill()
        fleet.start()
        fleet.web.await_ready()
        since = clock.now()
        for source in house.sources:
            source.folder.edit(FINAL_CHANGES)
            assert client.call(source) is not None
        with peeking(fleet.home, fleet.database_url) as peek:
            judge.await_rest(house.api, house.sources, meanwhile=lambda: judge.judge_overdue(peek, since))
            syncs = house.judge(client)
            assert set(fleet.stop()) == {0}
            judge.judge_store(peek)
            repeats = judge.count_repeats(peek, house.receiver, house.hooks, self.at_risk)
            takeovers = peek.one("SELECT sum(takeovers) FROM syncs")
        if fleet.database_url is None:
            judge.judge_file(fleet.home / SQLITE_FILE)
        assert fleet.survivors() == []
        ends = Counter(sync["code"] or sync["state"] for sync in syncs.values())
        deliveries = len({(each.hook, each.id) for each in house.receiver.arrivals})
        return (
            f"{len(client.log.accepted)} calls accepted, {len(client.log.unanswered)} unanswered; syncs: {dict(ends)}, {takeovers} takeovers; "
            f"{deliveries} deliveries, {len(house.receiver.arrivals)} POSTs, of these {repeats} repeats of the {self.at_risk.total()} in flight at a kill "
            f"(at most {self.most_in_flight} at one); {client.log.visible} rows seen in time"
        )


@pytest.mark.timeout(900 + 10 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kills_lose_nothing(kind: Literal["sqlite", "postgresql"], home: Path, tmp_path: Path) -> None:
    roots = tmp_path / "roots"
    with fleet_over(kind, home, roots) as fleet:
        key = fleet.web.set_up()
        fleet.start()
        fleet.web.await_ready()
        with furnished(fleet.web, key, roots, dice(), listeners=LISTENERS) as house, house.client() as client:
            fleet.kill()
            began = time.monotonic()
            ordeal = Ordeal(house, fleet)
            ordeal.kill_again_and_again()
            hit = ordeal.hit
            print(f"{dict(hit)} in {time.monotonic() - began:.0f} s")  # noqa: T201 - what was tried, for `pytest -s`
            client.finish()
            print(ordeal.judge_at_rest(client))  # noqa: T201
    assert hit["kills"] >= KILLS
    assert hit["a sync running"] * 3 >= hit["kills"], f"Too few kills hit a running sync: {hit}"
    assert {phase: hit[phase] for phase in PHASES if hit[phase] < EACH_PHASE} == {}

"""A house to break: a bot with three data sources over real folders, trigger URLs, outgoing hooks, a receiver, and a client that keeps it busy."""

import contextlib
import os
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import judge
from tests.faults.client import Client, Source
from tests.faults.folders import Folder
from tests.faults.judge import Hook, Wanted
from tests.faults.receiver import Receiver, receiving
from tests.faults.server import Api, Server

SEED = "FAULTS_SEED"
FILES = 400
SETTINGS = {
    "ALLOWED_NETWORKS": "127.0.0.0/8",
    "RETRY_SCHEDULE": ",".join(["0.1", "0.3", *["0.5"] * 40]),
    "TRIGGER_RATE": "0",
    "REMOVAL_GUARD": "1",  # what goes in many rounds may go in one sync, when the ones before it were killed
    "KEEP_SNAPSHOTS": "2",  # so that the sweep, which runs at each start, has work
    "LEASE_SECONDS": "2",
}


def dice() -> random.Random:
    """Chance that can be had again: the seed is printed, and taken from FAULTS_SEED where it is set."""
    seed = os.environ.get(SEED) or secrets.token_hex(4)
    print(f"{SEED}={seed}")  # noqa: T201 - pytest shows it when a test fails
    return random.Random(seed)


@dataclass
class House:
    """What `furnish` made."""

    url: str
    api: Api
    key: str
    bot: str
    sources: list[Source]
    hooks: list[Hook]
    receiver: Receiver
    dice: random.Random

    def judge(self, client: Client) -> dict[str, Any]:
        """Everything that can be asked while the server runs, at rest; the syncs by id."""
        syncs = judge.syncs_of(self.api, self.sources)
        judge.judge_calls(client.log, syncs)
        judge.judge_webhooks(self.receiver, self.hooks, syncs)
        for source in self.sources:
            judge.judge_rows(self.api, client.log, source, syncs)
            judge.judge_search(self.api, self.bot, source, self.dice)
        return syncs

    @contextlib.contextmanager
    def client(self, *, running: bool = True) -> Iterator[Client]:
        """A client that runs, until `finish` or the end of the block; or one that only makes the calls that it is told to make."""
        with contextlib.closing(Client(self.url, self.key, self.bot, self.sources, random.Random(self.dice.random()))) as client:
            if running:
                client.start()
            try:
                yield client
            finally:
                client.finish()


def server_over(home: Path, database_url: str | None, roots: Path, *, role: str = "all", dispatchers: int = 1, **more: str) -> Server:
    """A server with settings that suit these tests."""
    return Server(home, database_url, role=role, dispatchers=dispatchers, **{**SETTINGS, "LOCAL_ROOTS": str(roots), **more})


@contextlib.contextmanager
def furnished(
    server: Server, key: str, roots: Path, chance: random.Random, *, files: int = FILES, sources: int = 3, subfolders: int = 8, listeners: int = 0
) -> Iterator[House]:
    """Makes bot, data sources and hooks on a running server; a receiver listens for the length of the block.

    `listeners`: so many more hooks, half of which want to hear of each success, the others of each failure.
    """
    api = Api(server.url, key)
    with receiving(Receiver(random.Random(chance.random()))) as receiver, contextlib.closing(api):
        bot: str = api.post("/bots", {"name": f"Bot {chance.randrange(10**6)}"})["id"]
        hooks = [_hook(api, bot, receiver, kind) for kind in ("sync_success", "sync_failure")]
        made = []
        for number in range(sources):
            folder = Folder(roots / str(number) / "docs", random.Random(chance.random()), subfolders)
            folder.add(files)
            asked = {"name": f"Source {number}", "type": "folder", "config": {"path": str(folder.root)}, "syncNow": False}
            source_id: str = api.post(f"/bots/{bot}/data-sources", asked)["id"]
            url: str = api.post(f"/bots/{bot}/webhooks", {"type": "sync_trigger", "dataSourceId": source_id})["url"]
            made.append(Source(source_id, folder, url, vanishes=number == sources - 1))
        hooks.append(_hook(api, bot, receiver, "sync_success", source=made[0].id, envelope="standard"))
        hooks.append(_hook(api, bot, receiver, "sync_failure", source=made[-1].id, envelope="standard"))
        hooks += [_hook(api, bot, receiver, ("sync_success", "sync_failure")[n % 2], name=f"listener-{n}") for n in range(listeners)]
        yield House(server.url, api, key, bot, made, hooks, receiver, chance)


def _hook(api: Api, bot: str, receiver: Receiver, kind: Wanted, *, source: str | None = None, envelope: str = "plain", name: str | None = None) -> Hook:
    name = name or f"{kind}-{envelope}"
    made = api.post(f"/bots/{bot}/webhooks", {"type": kind, "dataSourceId": source, "envelope": envelope, "targetUrl": f"{receiver.url}/{name}"})
    receiver.secrets[name] = made["secret"]
    return Hook(made["id"], name, kind, source, envelope)

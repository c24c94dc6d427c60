"""A client that keeps the server busy: it edits files, calls trigger URLs, looks at what becomes of its calls; the server may be dead at any moment."""

import random
import threading
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx

from tests.faults.folders import File, Folder
from tests.faults.server import Api, Away

DEAD_SECONDS = 0.3  # before the next round, when nobody answers
ENDED = {"succeeded", "failed", "cancelled"}


@dataclass
class Source:
    """A data source over a folder, with its trigger URL. `vanishes`: its folder is away now and then, so that syncs fail."""

    id: str
    folder: Folder
    trigger: str
    vanishes: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A call that was answered with 200, and the versions of the files it spoke of."""

    source: Source
    sync_id: str
    ref: str
    versions: dict[str, int]  # key -> number of the version that was there before the call


@dataclass
class Log:
    """What the client did and saw."""

    accepted: list[Accepted] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)  # refs of calls of which nobody knows whether they were taken
    row_ids: dict[tuple[str, str], str] = field(default_factory=dict)
    sync_ids: set[str] = field(default_factory=set)
    visible: int = 0  # rows of which it was seen that they are as new as the call that told of them
    rounds: int = 0
    wrong: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """Runs rounds over its data sources until `finish`."""

    def __init__(self, url: str, key: str, bot: str, sources: list[Source], dice: random.Random, *, pause: tuple[float, float] = (0.05, 0.3)) -> None:
        super().__init__(name="client")
        self.log = Log()
        self._api = Api(url, key)
        self._calls = httpx.Client(timeout=20, trust_env=False)
        self._bot = bot
        self._sources = sources
        self._dice = dice
        self._pause = pause
        self._enough = threading.Event()
        self._open: list[Accepted] = []

    def run(self) -> None:
        """Rounds, until it was enough. What goes wrong is told by `finish`, in the thread of the test."""
        try:
            for source in cycle(self._sources):
                if self._enough.wait(self._dice.uniform(*self._pause)):
                    return
                self.round(source)
                self._look()
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self.log.wrong.append(f"The client fell: {error!r}")

    def finish(self) -> None:
        """Ends the rounds; single calls still work."""
        self._enough.set()
        if self.ident is not None:
            self.join()

    def close(self) -> None:
        """Ends its connections."""
        self._calls.close()
        self._api.close()

    def round(self, source: Source) -> None:
        """Several hundred changes, and a call that tells of them."""
        self.log.rounds += 1
        folder, count = source.folder, len(source.folder.present)
        gone = source.vanishes and self._dice.random() < 0.25
        if gone:
            folder.root.rename(folder.root.with_name("away"))
        else:
            folder.edit(self._dice.randint(count * 5 // 8, count * 7 // 8))
            folder.remove(self._dice.randint(count // 10, count // 4))
            folder.add(self._dice.randint(max(0, 370 - len(folder.present)), max(0, 430 - len(folder.present))))
        if self.call(source) is None:
            self._enough.wait(DEAD_SECONDS)
        if gone:
            self._enough.wait(0.3)
            folder.root.with_name("away").rename(folder.root)

    def call(self, source: Source) -> Accepted | None:
        """Calls the trigger URL; what was accepted, or None where there was no answer."""
        ref = f"{source.folder.root.name} {self.log.rounds} {self._dice.randrange(10**6)}"
        versions = {file.key: len(file.markers) - 1 for file in source.folder.present}
        try:
            answer = self._calls.request(self._dice.choice(["GET", "POST"]), source.trigger, params={"ref": ref})
        except httpx.TransportError:
            self.log.unanswered.append(ref)
            return None
        if answer.status_code == 503 and answer.json()["reason"].startswith("PostgreSQL does not answer"):
            self.log.unanswered.append(ref)  # whether a commit was carried out whose answer never came, nobody knows
            return None
        if answer.status_code != 200 or answer.json() != {"success": True}:
            self.log.wrong.append(f"A trigger URL answered {answer.status_code} {answer.text}")
            return None
        accepted = Accepted(source, answer.headers["tidings-sync-id"], ref, versions)
        self.log.accepted.append(accepted)
        self.log.sync_ids.add(accepted.sync_id)
        self._open.append(accepted)
        return accepted

    def _look(self) -> None:
        try:
            self._note_ids(self._dice.choice(self._sources))
            for sync_id in {accepted.sync_id for accepted in self._open}:
                state = self._api.get(f"/syncs/{sync_id}")["state"]
                if state in ENDED:
                    told = [accepted for accepted in self._open if accepted.sync_id == sync_id]
                    self._open = [accepted for accepted in self._open if accepted.sync_id != sync_id]
                    if state == "succeeded":
                        self._note_visible(told[-1])
        except (httpx.TransportError, Away):
            pass  # it, or its database, was killed just now

    def _note_ids(self, source: Source) -> None:
        for row in self._api.pages(f"/data-sources/{source.id}/rows"):
            known = self.log.row_ids.setdefault((source.id, row["key"]), row["id"])
            if known != row["id"]:
                self.log.wrong.append(f"The row {row['key']} had the id {known}, and now {row['id']}")
        self.log.sync_ids |= {sync["id"] for sync in self._api.get(f"/data-sources/{source.id}/syncs")["items"]}

    def _note_visible(self, accepted: Accepted) -> None:
        """The sync of a call has succeeded: what search finds of its files is as new as the call, or newer."""
        for key in self._dice.sample(sorted(accepted.versions), 2):
            file = accepted.source.folder.files[key]
            if file.removed:
                continue
            found = newest(self._api, self._bot, file)
            if found is None or found < accepted.versions[key]:
                told = accepted.versions[key]
                self.log.wrong.append(f"{key}: a call told of version {told}, its sync {accepted.sync_id} succeeded, and search finds {found}")
            self.log.visible += 1


def newest(api: Api, bot: str, file: File) -> int | None:
    """Which version of a file search finds; None where it finds none. Two at once are an AssertionError."""
    found = {version for hit in search(api, bot, file.word) for version, marker in enumerate(file.markers) if marker in hit["text"]}
    assert len(found) <= 1, f"Search shows several versions of {file.key}: {found}"
    return next(iter(found), None)


def search(api: Api, bot: str, words: str) -> list[Any]:
    """The hits for some words."""
    hits: list[Any] = api.get(f"/bots/{bot}/search", q=words, limit=50)["items"]
    return hits

"""A source whose rows are texts in memory, and which can be told where to hang."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tidings.connectors.base import UNCHANGED, Fetched, Listed, Outcome, Source, Unlistable, Wanted
from tidings.store.leases import Held
from tidings.syncs.run import SourceToSync

Stage = Literal["open", "list", "fetch", "close"]


@dataclass
class Texts:
    """What the source holds, by key. `asked`: the keys of each call of fetch, in order."""

    texts: dict[str, str] = field(default_factory=dict)
    hangs: Stage | None = None
    hanging_rows: set[str] = field(default_factory=set)
    stubborn: bool = False  # goes on hanging although it is cancelled
    versions: bool = True  # tells versions apart while it lists
    fingerprint: str = "print"
    asked: list[list[str]] = field(default_factory=list)
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)  # ends what hangs stubbornly

    async def open(self, _held: Held) -> SourceToSync:
        """As `open_source` does it."""
        await self.pass_("open")
        return SourceToSync(TextsSource(self), self.fingerprint, "settings")

    async def pass_(self, stage: Stage, keys: Sequence[str] = ()) -> None:
        """Hangs where it was told to."""
        if self.hangs != stage and not self.hanging_rows.intersection(keys):
            return
        self.hung.set()
        while not self.let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError) if self.stubborn else contextlib.nullcontext():
                await self.let_go.wait()


class TextsSource(Source):
    def __init__(self, texts: Texts) -> None:
        self.held = texts

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        for start in range(0, len(self.held.texts), 100):
            keys = list(self.held.texts)[start : start + 100]
            yield [Listed(key, self.validator(key)) for key in keys]
        await self.held.pass_("list")
        self.complete = True

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        keys = [one.row.key for one in wanted]
        self.held.asked.append(keys)
        await self.held.pass_("fetch", keys)
        return [Fetched(self.held.texts[key].encode(), self.validator(key), filename="a.md") for key in keys]

    async def aclose(self) -> None:
        await self.held.pass_("close")

    def validator(self, key: str) -> str | None:
        return hashlib.sha256(self.held.texts[key].encode()).hexdigest() if self.held.versions else None


class Asking(TextsSource):
    """Tells versions apart only when it is asked about one row, as websites do."""

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        async for batch in super().list_rows():
            yield [Listed(row.key, None) for row in batch]

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        fresh = [one for one in wanted if one.known is None or one.known != self.validator(one.row.key)]
        got = dict(zip([one.row.key for one in fresh], await super().fetch(fresh), strict=True))
        return [got.get(one.row.key, UNCHANGED) for one in wanted]


class AskedTexts(Texts):
    """The same, for such a source."""

    async def open(self, _held: Held) -> SourceToSync:
        return SourceToSync(Asking(self), self.fingerprint, "settings")

"""Everything that happened in a workspace, as one list for people: syncs, calls of trigger URLs, deliveries, and what is written down besides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidings.clock import Micros

What = Literal["sync", "call", "delivery", "change"]


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `key`: its place in the list of its kind; `state`: what became of it; `reason`: a sentence, where there is one;
    `about` and `bot`: the names of the data source or webhook and of the bot, also of what was deleted (the data source: `gone`; the bot: `bot_gone`)."""

    what: What
    key: str
    at: Micros
    state: str
    reason: str | None
    bot_id: str | None
    data_source_id: str | None
    webhook_id: str | None
    detail: Mapping[str, Any]
    bot: str | None = None
    about: str | None = None
    gone: bool = False
    bot_gone: bool = False

"""Bots and their data sources, as other rooms see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidings.clock import Micros
from tidings.model.freshness import Stale
from tidings.model.schedules import Plan
from tidings.model.syncs import Progress, Sync

DataSourceState = Literal["new", "ok", "failing", "paused"]


@dataclass(frozen=True, slots=True)
class Bot:
    """What people talk to."""

    id: str
    workspace_id: str
    name: str
    created_at: Micros


@dataclass(frozen=True, slots=True)
class DataSource:
    """One connector plus its settings. Secret members of `config` are sealed here."""

    id: str
    workspace_id: str
    bot_id: str
    name: str
    type: str
    config: Mapping[str, Any]
    paused: bool
    created_at: Micros
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next listing of a data source can go on (None: at the beginning), and the mark of the settings that this holds under."""

    at: str | None
    mark: str


@dataclass(frozen=True, slots=True)
class DataSourceView:
    """A data source with how it stands. The figures are those of the published snapshot; `unread`: why, where its latest sync succeeded without having been
    able to read one row, and nothing is stored."""

    data_source: DataSource
    state: DataSourceState
    last_sync: Sync | None
    rows: int
    documents: int
    tokens: int
    stale: Stale | None
    unread: str | None = None


def state_of(*, paused: bool, last_outcome: str | None) -> DataSourceState:
    """What people should know first. `last_outcome` is `succeeded` or `failed`: the latest sync that came to an end by itself."""
    if paused:
        return "paused"
    if last_outcome is None:
        return "new"
    return "ok" if last_outcome == "succeeded" else "failing"


@dataclass(frozen=True, slots=True)
class SourceName:
    """A data source as it is named where many are."""

    id: str
    name: str
    type: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Going:
    """A sync that is running, of the data source of this name, and how far it is."""

    name: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class BotView:
    """A bot with how it stands: its data sources by state, the sums of their published snapshots, the first of their names, a sync that is
    running, and of one that fails (name, reason). `hooks_disabled`: those that were disabled since their receivers fail or want no more."""

    bot: Bot
    hooks: int = 0
    hooks_failing: int = 0
    hooks_disabled: int = 0
    sources: int = 0
    paused: int = 0
    failing: int = 0
    new: int = 0
    stale: int = 0
    rows: int = 0
    documents: int = 0
    tokens: int = 0
    synced_at: Micros | None = None
    named: tuple[SourceName, ...] = ()
    going: Going | None = None
    failed: tuple[str, str] | None = None

"""Bots and their data sources, as other rooms see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidings.clock import Micros
from tidings.model.freshness import Stale
from tidings.model.schedules import Plan
from tidings.model.syncs import Sync

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
    """A data source with how it stands. The figures are those of the published snapshot."""

    data_source: DataSource
    state: DataSourceState
    last_sync: Sync | None
    rows: int
    documents: int
    tokens: int
    stale: Stale | None


def state_of(*, paused: bool, last_outcome: str | None) -> DataSourceState:
    """What people should know first. `last_outcome` is `succeeded` or `failed`: the latest sync that came to an end by itself."""
    if paused:
        return "paused"
    if last_outcome is None:
        return "new"
    return "ok" if last_outcome == "succeeded" else "failing"

"""A sync as other rooms see it: what asked for it, how far it is, what came of it."""

from dataclasses import dataclass
from typing import Literal

from tidings.clock import Micros
from tidings.model.targets import Targets

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TriggeredBy = Literal["manual", "hook", "schedule", "api", "cli", "created"]
ChangeKind = Literal["added", "changed", "removed", "failed"]

# Why a sync failed, for programs (contract, section 3).
FailureCode = Literal["over_plan_limit", "source_unreachable", "source_rejected", "too_many_failed_rows", "removal_guard", "timeout", "internal"]


WarningCode = Literal["quarantined", "not_found_by_search", "not_looked_up", "left_out"]


@dataclass(frozen=True, slots=True)
class SyncWarning:
    """What is to be looked at, although the sync succeeded: a code for programs, a sentence for people."""

    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True)
class Requested:
    """The answer to a request for a sync: the one that will carry the asker's change, new or already queued."""

    sync_id: str
    state: Literal["queued", "merged"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync is, for people; written at most twice a second. `rows_total` is None while the listing goes on; `listed_at` and `read_at` are when the
    listing and the reading had ended."""

    phase: str = "waiting"
    rows_seen: int = 0
    rows_done: int = 0
    rows_failed: int = 0
    rows_total: int | None = None
    listed_at: Micros | None = None
    read_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what this sync did to them; `held_back`: of the failed, those whose new text is held back."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    failed: int = 0
    held_back: int = 0


@dataclass(frozen=True, slots=True)
class Results:
    """What goes out in the success hook (product rule 4); tokens are o200k_base tokens."""

    total_tokens: int
    modified_rows: int
    total_documents: int
    unmodified_rows: int
    total_data_source_rows: int


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync. `targets` are the rows that it is about, None where that is the whole data source; `results` when it succeeded, `code` and `reason`
    when it failed; of a dry run, what it would have come to. `merged`: requests that joined while it was queued."""

    id: str
    workspace_id: str
    bot_id: str
    data_source_id: str
    state: State
    triggered_by: TriggeredBy
    dry_run: bool
    refs: tuple[str, ...]
    targets: Targets | None
    queued_at: Micros
    started_at: Micros | None
    finished_at: Micros | None
    progress: Progress
    counts: Counts
    results: Results | None
    code: FailureCode | None
    reason: str | None
    warnings: tuple[SyncWarning, ...] = ()
    not_before: Micros | None = None  # it waits for the window of its data source
    merged: int = 0

    def waits_until(self, at: Micros) -> Micros | None:
        """When the window opens that it waits for at an instant; None where it waits for none."""
        return self.not_before if self.state == "queued" and self.not_before is not None and self.not_before > at else None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a sync's manifest. `row_id`: None where the row is not stored any more."""

    n: int
    row_id: str | None
    key: str
    title: str | None
    kind: ChangeKind
    tokens: int
    hash_before: str | None
    hash_after: str | None
    reason: str | None
    quarantined: bool = False  # failed, because its new text was held back

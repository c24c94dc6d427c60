"""Calls of trigger hooks, as people look at them afterwards."""

from dataclasses import dataclass

from tidings.clock import Micros

LONGEST_AGENT = 200  # characters


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `agent` is what it says of itself, cut and without secrets."""

    method: str
    address: str | None
    agent: str | None


@dataclass(frozen=True, slots=True)
class TriggerCall:
    """One call of a trigger hook. `reason` says why it was refused, and is None where it was accepted; then `sync_id` is the sync
    that it queued, or `merged` into. `mapped` says what the hook's mapping made of the body, if it has one."""

    webhook_id: str
    at: Micros
    caller: Caller
    status: int
    reason: str | None
    sync_id: str | None = None
    merged: bool = False
    mapped: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether it asked for a sync."""
        return self.reason is None

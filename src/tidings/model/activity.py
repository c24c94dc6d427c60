"""What happened in a workspace, beside syncs, calls and deliveries, which tell of themselves."""

from dataclasses import dataclass
from typing import Literal

from tidings.clock import Micros

ActivityKind = Literal[
    "plan_changed",
    "plan_forecast",
    "rolled_back",
    "stale",
    "sync_warning",
    "workspace_created",
    "workspace_renamed",
    "member_invited",
    "invitation_revoked",
    "member_joined",
    "member_removed",
    "role_changed",
    "key_created",
    "key_revoked",
    "bot_created",
    "bot_renamed",
    "bot_deleted",
    "data_source_created",
    "data_source_changed",
    "data_source_deleted",
    "webhook_created",
    "webhook_changed",
    "webhook_deleted",
    "webhook_disabled",
    "webhook_enabled",
]


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that happened: when, a kind for programs, a sentence for people, and what it is about."""

    at: Micros
    kind: ActivityKind
    sentence: str
    bot_id: str | None = None
    data_source_id: str | None = None
    sync_id: str | None = None
    webhook_id: str | None = None

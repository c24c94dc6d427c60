"""Hooks and what they send, as other rooms see them: a hook, an event, a delivery, an attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tidings.clock import Micros
from tidings.model.bots import SourceName
from tidings.model.targets import KeysAndUrls

HookType = Literal["sync_trigger", "sync_success", "sync_failure"]
Envelope = Literal["plain", "standard"]
Held = Literal["send", "drop"]
KeepHeld = Literal["all", "latest"]  # of what is held while a hook is disabled: everything, or the latest success of each data source
HookState = Literal["ok", "failing", "disabled"]
DisabledBy = Literal["user", "gone", "failing"]
EventType = Literal["sync.success", "sync.failure"]
DeliveryState = Literal["pending", "delivered", "exhausted", "held", "discarded"]

# Where trigger URLs live, under the base URL (contract, section 2).
TRIGGER_PATH = "/api/public/hooks/"


@dataclass(frozen=True, slots=True)
class RowMapping(KeysAndUrls):
    """Where the body of a call names rows: JSONPath expressions that lead to keys and to URLs."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """How deliveries have fared since the present secret joined (`since`): the first that was accepted, the latest that failed, and the first to be
    accepted that the present secret alone had signed. An acceptance while the former secret signs as well says nothing about the present one."""

    since: Micros
    delivered_at: Micros | None = None
    failed_at: Micros | None = None
    proven_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public part of an Ed25519 key that a hook signs with. `kid`: its name in the JWKS; `raw`: 32 bytes."""

    kid: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Hook:
    """One configured hook of a bot, its secrets opened: whoever shows it to a member masks `secret`, URLs and `headers`."""

    id: str
    workspace_id: str
    bot_id: str
    data_source_id: str | None
    type: HookType
    enabled: bool
    disabled_by: DisabledBy | None
    disabled_at: Micros | None  # None also where it was disabled before that was kept
    post_only: bool
    target_url: str | None
    envelope: Envelope | None
    keep_held: KeepHeld
    certificate_until: Micros | None  # of the endpoint, as last seen
    headers: Mapping[str, str]
    secret: str
    overlap_until: Micros | None  # until when the former secret still counts
    failing_since: Micros | None
    created_at: Micros
    last_used_at: Micros | None
    last_used_address: str | None  # of a trigger hook: who made the last accepted call
    last_used_agent: str | None
    rotation: Rotation | None = None  # of an outgoing hook whose secret was changed
    key: PublicKey | None = None  # where it signs with Ed25519 as well
    mapping: RowMapping | None = None  # of a trigger hook whose calls say which rows they mean

    @property
    def state(self) -> HookState:
        """What people should know first."""
        if not self.enabled:
            return "disabled"
        return "ok" if self.failing_since is None else "failing"

    @property
    def trigger_path(self) -> str:
        """Path of the trigger URL, below the base URL. It holds the secret."""
        return f"{TRIGGER_PATH}{self.id}/{self.secret}"


@dataclass(frozen=True, slots=True)
class Event:
    """A thing that happened, recorded once. `data` is the standard envelope's. In a hook's own feed `seq` is its Tidings-Sequence."""

    seq: int
    id: str
    type: EventType
    at: Micros
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST of a delivery. `status` is None when there was no answer; `error` is the sentence then."""

    number: int
    at: Micros
    status: int | None
    duration_ms: int
    error: str | None
    address: str | None
    phases: Mapping[str, float] | None  # milliseconds
    tls: str | None
    certificate_until: Micros | None
    request_headers: Mapping[str, str]
    response_headers: Mapping[str, str] | None
    response_body: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one hook. `body` is None once it was pruned; `url` and `headers` are those of the next attempt, secrets masked."""

    id: str
    workspace_id: str
    webhook_id: str
    event_id: str
    event: EventType
    data_source_id: str | None  # None of a test
    sync_id: str | None
    sequence: int | None
    test: bool
    state: DeliveryState
    reason: str | None
    attempt_count: int
    next_attempt_at: Micros | None
    created_at: Micros
    ended_at: Micros | None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def unwanted(self) -> bool:
        """Whether it says only that, and why, the hook was not told."""
        return self.sequence is None and not self.test


@dataclass(frozen=True, slots=True)
class HookName:
    """A hook as it is named where many are, and what became of it. `target_url` is not for members."""

    id: str
    bot_id: str
    bot: str
    type: HookType
    target_url: str | None
    data_source_id: str | None
    enabled: bool
    disabled_by: DisabledBy | None
    draining: bool
    failing_since: Micros | None
    deleted: bool


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery with the names of what it is about; no data source of a test."""

    delivery: Delivery
    hook: HookName
    source: SourceName | None

"""Webhooks: the trigger URLs, and where the ends of syncs are told."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from tidings import clock
from tidings.clock import Micros
from tidings.model.webhooks import Envelope, EventType, Held, Hook, HookState, HookType, KeepHeld, Rotation
from tidings.outbound import Explanation
from tidings.settings import MASK
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.mappings import MappingInput, MappingShape
from tidings.web.api.shapes import Id, Input, Listed, Paging, PathId, Reference, Shape, Time, Timestamp, listed, maybe_time_of, time_of
from tidings.webhooks import deliveries, hooks, keys
from tidings.webhooks.hooks import HookChange, HookInput
from tidings.webhooks.rotation import told

router = APIRouter(prefix="/api/v1", tags=["Webhooks"])

Url = Annotated[str, Field(min_length=1, max_length=2048)]
Secret = Annotated[str, Field(min_length=1, max_length=512)]
HeadersInput = Annotated[dict[str, str], Field(max_length=20)]


class WebhookInput(Input):
    """A new webhook. A trigger hook needs `dataSourceId`, an outgoing one `targetUrl`."""

    type: HookType
    data_source_id: Annotated[Reference | None, Field(description="Of an outgoing hook: null is all data sources of the bot.")] = None
    secret: Annotated[Secret | None, Field(description='A text of your own; a new one where it is left out, null or "generate".')] = None
    target_url: Url | None = None
    envelope: Envelope | None = None
    keep_held: KeepHeld | None = Field(None, description="Of what is held while disabled: all, or the latest success of each data source.")
    headers: HeadersInput | None = None
    post_only: bool | None = None
    mapping: MappingInput | None = Field(None, description="Trigger hooks: where the body of a POST names the rows to sync; null: nowhere, all are synced.")
    ed25519: bool | None = Field(None, description="Outgoing hooks: signs with an Ed25519 key of its own as well (`v1a`).")


class WebhookChange(Input):
    """What can be changed of a webhook."""

    type: HookType = Field(default_factory=lambda: "sync_trigger", description="Can't be changed; may be sent as it is.")
    data_source_id: Reference | None = None
    secret: Secret = Field(default_factory=str, description='A text of your own, or "generate".')
    overlap_seconds: int = Field(default_factory=int, ge=0, le=7 * 86_400, description="For how long the former secret goes on to count, with a new `secret`.")
    target_url: Url = Field(default_factory=str)
    envelope: Envelope = Field(default_factory=lambda: "plain")
    keep_held: KeepHeld = Field(default_factory=lambda: "all")
    headers: HeadersInput = Field(default_factory=dict)
    post_only: bool = Field(default_factory=bool)
    mapping: MappingInput | None = None
    enabled: bool = Field(default_factory=bool)
    held: Held = Field(default_factory=lambda: "send", description="What becomes of what was held, with `enabled` true.")
    ed25519: bool = Field(default_factory=bool, description="Off and on again makes a new key; the former one stays in the key set for a week.")


class SampleInput(Input):
    """Which event to test with."""

    event: EventType | None = None


class RecoverInput(Input):
    """From when on."""

    since: Timestamp


class TargetInput(Input):
    """A URL to ask the address guard about."""

    url: Url


class HookShape(Shape):
    """What every webhook has."""

    id: Id
    bot_id: Id
    type: HookType
    data_source_id: Id | None
    enabled: bool
    state: HookState
    disabled_by: Literal["user", "gone", "failing"] | None = Field(description="Who disabled it: a person, an answer of 410, or days of failing.")
    secret: str | None = Field(description="null for members.")
    overlap_until: Time | None = Field(description="Until when the former secret counts.")
    created_at: Time
    last_used_at: Time | None
    headers: dict[str, str] = Field(description="What an outgoing hook sends besides; values are masked for members. A trigger hook has none.")
    post_only: bool = Field(description="Whether a trigger hook takes POST alone.")


class LastUseShape(Shape):
    """The last accepted call of a trigger hook."""

    at: Time
    address: str | None
    agent: str | None


class TriggerShape(HookShape):
    """A trigger hook."""

    type: Literal["sync_trigger"]
    url: str = Field(description="The trigger URL; its secret is masked for members.")
    mapping: MappingShape | None
    last_used: LastUseShape | None = Field(description="null until a call was accepted. `GET /webhooks/{id}/calls` lists more of them.")


class RotationShape(Shape):
    """How deliveries have fared since the present secret joined."""

    since: Time
    overlap_until: Time | None = Field(description="Until when the former secret signs as well.")
    delivered_since: Time | None = Field(description="The first delivery that was accepted since.")
    failed_since: Time | None = Field(description="The latest that failed since.")
    proven_at: Time | None = Field(description="The first to be accepted that the new secret alone had signed.")
    sentence: str = Field(description="What that shows.")


class OutgoingShape(HookShape):
    """A webhook that is told how syncs went."""

    type: Literal["sync_success", "sync_failure"]
    target_url: str = Field(description="Masked for members.")
    envelope: Envelope
    keep_held: KeepHeld
    certificate_until: Time | None = Field(description="Until when the endpoint's TLS certificate is valid, as last seen.")
    warning: str | None = Field(description="What will go wrong soon if nobody looks after it.")
    ed25519: bool
    public_key: str | None = Field(description="`whpk_...`; null without `ed25519`.")
    kid: str | None = Field(description="The name of the key in `/.well-known/jwks.json`.")
    rotation: RotationShape | None = Field(description="null as long as the secret is the first one.")


WebhookShape = TriggerShape | OutgoingShape


class SampleShape(Shape):
    """The delivery of the test."""

    delivery_id: Id


class RecoveredShape(Shape):
    """How many deliveries are sent again."""

    deliveries: int


class ExplanationShape(Shape):
    """What the address guard says of a URL."""

    allowed: bool
    reason: str | None
    addresses: list[str]


@router.post("/webhooks/explain-target", summary="Ask the address guard about a URL")
async def explain_target(body: TargetInput, _caller: Owner, house: House) -> ExplanationShape:
    """Whether webhooks may be sent there. Resolves the name, never connects."""
    said: Explanation = await house.outbound.explain(body.url)
    return ExplanationShape(allowed=said.allowed, reason=said.reason, addresses=list(said.addresses))


@router.post("/bots/{bot_id}/webhooks", status_code=201, summary="Create a webhook", response_model=WebhookShape)
async def create_webhook(bot_id: PathId, body: WebhookInput, caller: Owner, db: Db, house: House) -> Shape:
    """A new webhook of a bot."""
    given = HookInput(**_members(body, WebhookInput.model_fields))
    return _shape(await hooks.create(db, house.secretbox, house.outbound, caller.workspace_id, bot_id, given), house.base_url)


@router.get("/bots/{bot_id}/webhooks", summary="List a bot's webhooks")
async def list_webhooks(bot_id: PathId, paging: Annotated[Paging, Query()], caller: Reader, db: Db, house: House) -> Listed[WebhookShape]:
    """The webhooks of a bot, the oldest first."""
    page = await hooks.page(db, house.secretbox, caller.workspace_id, bot_id, limit=paging.limit, cursor=paging.cursor)
    return listed(page, lambda hook: _shape(hook, house.base_url, masked=not caller.may_act_as("owner")))


@router.get("/webhooks/{webhook_id}", summary="One webhook", response_model=WebhookShape)
async def get_webhook(webhook_id: PathId, caller: Reader, db: Db, house: House) -> Shape:
    """One webhook."""
    hook = await hooks.read(db, house.secretbox, caller.workspace_id, webhook_id)
    return _shape(hook, house.base_url, masked=not caller.may_act_as("owner"))


@router.patch("/webhooks/{webhook_id}", summary="Change a webhook", response_model=WebhookShape)
async def change_webhook(webhook_id: PathId, body: WebhookChange, caller: Owner, db: Db, house: House) -> Shape:
    """Changes the members that are named. Disabling holds what is pending; enabling sends what was held, or drops it."""
    change: HookChange = _members(body, body.model_fields_set)
    return _shape(await hooks.change(db, house.secretbox, house.outbound, caller.workspace_id, webhook_id, change), house.base_url)


@router.delete("/webhooks/{webhook_id}", status_code=204, summary="Delete a webhook")
async def delete_webhook(webhook_id: PathId, caller: Owner, db: Db) -> None:
    """Deletes a webhook; what was owed to it is given up, and its trigger URL answers 404."""
    await hooks.delete(db, caller.workspace_id, webhook_id)


@router.post("/webhooks/{webhook_id}/test", status_code=202, summary="Send a test")
async def send_test(webhook_id: PathId, caller: Owner, db: Db, body: SampleInput | None = None) -> SampleShape:
    """Sends sample figures to an outgoing hook, once, also to a disabled one."""
    event = None if body is None else body.event
    return SampleShape(delivery_id=await deliveries.send_test(db, caller.workspace_id, webhook_id, event))


@router.post("/webhooks/{webhook_id}/recover", status_code=202, summary="Send again what was not delivered")
async def recover_webhook(webhook_id: PathId, body: RecoverInput, caller: Owner, db: Db) -> RecoveredShape:
    """Sends again all that is exhausted, held or discarded since an instant. 409 while the hook is disabled."""
    return RecoveredShape(deliveries=await deliveries.recover(db, caller.workspace_id, webhook_id, clock.parse_rfc3339(body.since)))


def _members(body: Input, names: Iterable[str]) -> Any:
    """The members of a body by these names, as the room of webhooks takes them."""
    members = {name: getattr(body, name) for name in names}
    return {name: member.mapping() if isinstance(member, MappingInput) else member for name, member in members.items()}


def _shape(hook: Hook, base_url: str, *, masked: bool = False) -> TriggerShape | OutgoingShape:
    common: dict[str, Any] = {
        "id": hook.id,
        "bot_id": hook.bot_id,
        "type": hook.type,
        "data_source_id": hook.data_source_id,
        "enabled": hook.enabled,
        "state": hook.state,
        "disabled_by": hook.disabled_by,
        "secret": None if masked else hook.secret,
        "overlap_until": maybe_time_of(hook.overlap_until),
        "created_at": time_of(hook.created_at),
        "last_used_at": maybe_time_of(hook.last_used_at),
        "headers": dict.fromkeys(hook.headers, MASK) if masked else dict(hook.headers),
        "post_only": hook.post_only,
    }
    if hook.type == "sync_trigger":
        url = base_url + hook.trigger_path
        shown = url.removesuffix(hook.secret) + MASK if masked else url
        mapping = None if hook.mapping is None else MappingShape(keys=list(hook.mapping.keys), urls=list(hook.mapping.urls))
        return TriggerShape(**common, url=shown, mapping=mapping, last_used=_last_use(hook))
    return OutgoingShape(
        **common,
        target_url=MASK if masked else hook.target_url or "",
        envelope=hook.envelope or "plain",
        keep_held=hook.keep_held,
        certificate_until=maybe_time_of(hook.certificate_until),
        warning=hooks.warning(hook, clock.now()),
        ed25519=hook.key is not None,
        public_key=None if hook.key is None else keys.shown(hook.key),
        kid=None if hook.key is None else hook.key.kid,
        rotation=None if hook.rotation is None else _rotation(hook.rotation, hook.overlap_until),
    )


def _rotation(rotation: Rotation, overlap_until: Micros | None) -> RotationShape:
    return RotationShape(
        since=time_of(rotation.since),
        overlap_until=maybe_time_of(overlap_until),
        delivered_since=maybe_time_of(rotation.delivered_at),
        failed_since=maybe_time_of(rotation.failed_at),
        proven_at=maybe_time_of(rotation.proven_at),
        sentence=told(rotation, overlap_until),
    )


def _last_use(hook: Hook) -> LastUseShape | None:
    if hook.last_used_at is None:
        return None
    return LastUseShape(at=time_of(hook.last_used_at), address=hook.last_used_address, agent=hook.last_used_agent)

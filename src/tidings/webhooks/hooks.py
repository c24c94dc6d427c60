"""Hooks: created, changed, disabled and enabled, deleted; their secrets made and sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from tidings import clock
from tidings.clock import DAY, SECOND, Micros
from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.ids import new_random_id
from tidings.model.pages import Page
from tidings.model.webhooks import Envelope, Held, Hook, HookType, KeepHeld, Rotation, RowMapping
from tidings.outbound import Outbound, check_url
from tidings.secretbox import SecretBox
from tidings.store import bots, data_sources, deliveries, webhook_keys
from tidings.store import webhooks as store
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.store.webhooks import StoredHook
from tidings.webhooks.custom_headers import checked_headers, packed, unpacked
from tidings.webhooks.keys import new_key
from tidings.webhooks.mapping import check_mapping
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret
from tidings.webhooks.trigger_secret import check_trigger_secret, new_trigger_secret

GENERATE = "generate"
LONGEST_OVERLAP = 7 * 86_400  # seconds
DISABLED = "The hook was disabled by hand; this is kept until it is enabled."
CERTIFICATE_WARNING: Micros = 14 * DAY
DROPPED = "Dropped by hand when the hook was enabled."

_ONLY_OUTGOING = ("target_url", "envelope", "headers", "ed25519", "keep_held")
_FIELDS = {"target_url": "targetUrl", "data_source_id": "dataSourceId", "post_only": "postOnly", "overlap_seconds": "overlapSeconds", "keep_held": "keepHeld"}


@dataclass(frozen=True, slots=True)
class HookInput:
    """What a new hook is made of. `secret`: a text, or None or "generate" for a new one; `ed25519`: it signs with a key of its own as well."""

    type: HookType
    data_source_id: str | None = None
    secret: str | None = None
    target_url: str | None = None
    envelope: Envelope | None = None
    headers: Mapping[str, str] | None = None
    post_only: bool | None = None
    mapping: RowMapping | None = None
    ed25519: bool | None = None
    keep_held: KeepHeld | None = None


class HookChange(TypedDict, total=False):
    """The members that a change names; those that it leaves out stay. `held` goes with `enabled: True`, `overlap_seconds` with `secret`."""

    type: HookType
    data_source_id: str | None
    target_url: str
    envelope: Envelope
    headers: Mapping[str, str]
    post_only: bool
    mapping: RowMapping | None
    secret: str
    overlap_seconds: int
    enabled: bool
    held: Held
    ed25519: bool
    keep_held: KeepHeld


async def create(db: Database, box: SecretBox, outbound: Outbound, workspace_id: str, bot_id: str, given: HookInput) -> Hook:  # noqa: PLR0917
    """A new hook of a bot. NotFound, Invalid (by the names of the API)."""
    members = {name: getattr(given, name) for name in ("data_source_id", "target_url", "envelope", "headers", "post_only", "mapping", "ed25519", "keep_held")}
    _check_kind(given.type, {name: value for name, value in members.items() if value is not None})
    if given.type == "sync_trigger" and given.data_source_id is None:
        raise Invalid(FieldError("dataSourceId", "A trigger hook needs the data source that it syncs."))
    if given.type != "sync_trigger" and given.target_url is None:
        raise Invalid(FieldError("targetUrl", "An outgoing hook needs the URL that it posts to."))
    secret = _secret(given.type, given.secret or GENERATE)
    headers = checked_headers(given.headers or {})
    values: dict[str, Any] = {"type": given.type, "data_source_id": given.data_source_id, "post_only": bool(given.post_only), "mapping": _packed(given.mapping)}
    if given.keep_held is not None:
        values["keep_held"] = given.keep_held
    if given.target_url is not None:
        values |= {"target_url": given.target_url, "endpoint": await _endpoint(outbound, given.target_url), "envelope": given.envelope or "plain"}
    stored = await db.write(_create, box, workspace_id, bot_id, values=values, headers=headers, secret=secret, ed25519=bool(given.ed25519))
    return _opened(box, stored)


async def change(db: Database, box: SecretBox, outbound: Outbound, workspace_id: str, hook_id: str, given: HookChange) -> Hook:  # noqa: PLR0917
    """A hook, changed. NotFound, Invalid (by the names of the API)."""
    before = await db.read(store.get, workspace_id, hook_id)
    _check_change(before, given)
    values: dict[str, Any] = {name: given[name] for name in ("data_source_id", "envelope", "post_only", "keep_held") if name in given}
    if "target_url" in given:
        values |= {"target_url": given["target_url"], "endpoint": await _endpoint(outbound, given["target_url"])}
    if "headers" in given:
        headers = checked_headers(given["headers"])
        values["headers"] = box.seal(packed(headers), "webhooks", hook_id, "headers") if headers else None
    if "mapping" in given:
        values["mapping"] = _packed(given["mapping"])
    secret = _secret(before.type, given["secret"]) if "secret" in given else None
    drop = given.get("enabled") is True and given.get("held") == "drop" and not before.enabled
    while (stored := await db.write(_change, box, workspace_id, hook_id, given, values=values, secret=secret, drop=drop)) is None:
        pass
    while given.get("enabled") is False and await db.write(_hold, hook_id) > 0:
        pass
    return _opened(box, stored)


async def delete(db: Database, workspace_id: str, hook_id: str) -> None:
    """Deletes a hook; what was owed to it is given up. NotFound."""
    await db.write(_delete, workspace_id, hook_id)


async def read(db: Database, box: SecretBox, workspace_id: str, hook_id: str) -> Hook:
    """One hook, opened. NotFound."""
    return _opened(box, await db.read(store.get, workspace_id, hook_id))


async def page(db: Database, box: SecretBox, workspace_id: str, bot_id: str, *, limit: int, cursor: str | None) -> Page[Hook]:
    """The hooks of a bot, the oldest first, opened. NotFound."""
    found = await db.read(_page, workspace_id, bot_id, limit, cursor)
    return Page(tuple(_opened(box, one) for one in found.items), found.next_cursor)


def warning(hook: Hook, now: Micros) -> str | None:
    """What will go wrong soon at the hook's endpoint if nobody looks after it, in a sentence."""
    return certificate_warning(hook.certificate_until, now)


def certificate_warning(certificate_until: Micros | None, now: Micros) -> str | None:
    """The same of an endpoint whose certificate is valid until then."""
    if certificate_until is None or certificate_until - now > CERTIFICATE_WARNING:
        return None
    left = (certificate_until - now) // DAY
    when = "has expired" if left < 0 else "expires today" if left == 0 else f"expires in {left} {'day' if left == 1 else 'days'}"
    return f"The TLS certificate of the endpoint {when}. Renew it, or deliveries will fail."


def _page(tx: Tx, workspace_id: str, bot_id: str, limit: int, cursor: str | None) -> Page[StoredHook]:
    bots.get(tx, workspace_id, bot_id)
    return store.page(tx, bot_id, limit=limit, cursor=cursor)


def _create(
    tx: Tx, box: SecretBox, workspace_id: str, bot_id: str, *, values: Mapping[str, Any], headers: Mapping[str, str], secret: str, ed25519: bool
) -> StoredHook:
    bots.get(tx, workspace_id, bot_id, lock=True)
    _check_source(tx, workspace_id, bot_id, values["data_source_id"])
    hook_id = new_random_id()
    sealed = box.seal(packed(headers), "webhooks", hook_id, "headers") if headers else None
    store.add(tx, id=hook_id, workspace_id=workspace_id, bot_id=bot_id, headers=sealed, created_at=clock.now(), **values)
    _put_secret(tx, box, hook_id, secret, 0)
    if ed25519:
        webhook_keys.add(tx, hook_id, new_key(box))
    made = store.get(tx, workspace_id, hook_id)
    store.tell(tx, made.id, "webhook_created", "was made.")
    return made


def _change(
    tx: Tx,
    box: SecretBox,
    workspace_id: str,
    hook_id: str,
    given: HookChange,
    *,
    values: Mapping[str, Any],
    secret: str | None,
    drop: bool,
) -> StoredHook | None:
    """The hook, changed; None where there is still more to drop before that than one transaction should."""
    enabled = given.get("enabled")
    hook = store.get(tx, workspace_id, hook_id, lock=True)
    if "data_source_id" in values and values["data_source_id"] != hook.data_source_id:
        _check_source(tx, workspace_id, hook.bot_id, values["data_source_id"])
    if drop and not hook.enabled and deliveries.discard(tx, hook_id, DROPPED) == deliveries.BATCH:
        return None
    if values:
        store.change(tx, hook_id, **values)
    if secret is not None and _put_secret(tx, box, hook_id, secret, given.get("overlap_seconds", 0) * SECOND) and hook.type != "sync_trigger":
        store.rotated(tx, hook_id, Rotation(clock.now()))
    if given.get("ed25519") is True and hook.key is None:
        webhook_keys.add(tx, hook_id, new_key(box))
    elif given.get("ed25519") is False:
        webhook_keys.retire(tx, [hook_id])
    if enabled is False and (hook.enabled or hook.disabled_by != "user"):
        store.disable(tx, hook_id, "user", DISABLED)
    elif enabled is True and not hook.enabled:
        store.enable(tx, hook_id)
    changed = store.get(tx, workspace_id, hook_id)
    if not given:
        return changed
    switched = "was enabled." if changed.enabled else "was disabled."
    done = switched if changed.enabled != hook.enabled else "has a new secret." if secret is not None else "was changed."
    store.tell(tx, hook_id, "webhook_changed", done)
    return changed


def _delete(tx: Tx, workspace_id: str, hook_id: str) -> None:
    store.remove(tx, workspace_id, hook_id)
    store.tell(tx, hook_id, "webhook_deleted", "was deleted.")


def _hold(tx: Tx, hook_id: str) -> int:
    """Keeps more of what is pending, unless somebody has enabled the hook again: there, nothing would send it."""
    health = store.health(tx, hook_id)
    return 0 if health is None or health.enabled else deliveries.hold(tx, hook_id, DISABLED)


def _put_secret(tx: Tx, box: SecretBox, hook_id: str, secret: str, overlap: Micros) -> bool:
    sealed = box.seal(secret, "webhook_secrets", hook_id, "sealed")
    return store.put_secret(tx, hook_id, box.lookup_mac(hook_id, secret), sealed, same=box.lookup_macs(hook_id, secret), overlap=overlap)


def _check_source(tx: Tx, workspace_id: str, bot_id: str, data_source_id: str | None) -> None:
    if data_source_id is None:
        return
    try:
        source = data_sources.get(tx, workspace_id, data_source_id, lock=True)
    except NotFound:
        source = None
    if source is None or source.bot_id != bot_id:
        raise Invalid(FieldError("dataSourceId", "This is no data source of this bot. `GET /api/v1/bots/{id}/data-sources` lists them."))


def _check_kind(hook_type: HookType, members: Mapping[str, Any]) -> None:
    """Invalid where a member does not go with the kind of the hook."""
    wrong = _ONLY_OUTGOING if hook_type == "sync_trigger" else ("post_only", "mapping")
    kind = "A trigger hook sends nothing" if hook_type == "sync_trigger" else "Only a trigger hook is called"
    problems = [FieldError(_FIELDS.get(name, name), f"{kind}, so it has no such member. Leave it out.") for name in wrong if name in members]
    if hook_type == "sync_failure" and members.get("keep_held") == "latest":
        problems.append(FieldError("keepHeld", "The latest success stands for those before it; of failures each counts, so a failure hook keeps all."))
    if problems:
        raise Invalid(*problems)


def _check_change(hook: StoredHook, given: HookChange) -> None:
    if given.get("type", hook.type) != hook.type:
        raise Invalid(FieldError("type", "The type of a hook stays as it is. Create another hook, and delete this one."))
    _check_kind(hook.type, given)
    if hook.type == "sync_trigger" and "data_source_id" in given and given["data_source_id"] is None:
        raise Invalid(FieldError("dataSourceId", "A trigger hook needs the data source that it syncs."))
    if "held" in given and given.get("enabled") is not True:
        raise Invalid(FieldError("held", 'It says what becomes of held deliveries when the hook is enabled: send it with "enabled": true.'))
    if "overlap_seconds" in given:
        if "secret" not in given:
            raise Invalid(FieldError("overlapSeconds", "It says for how long the former secret goes on to count: send it with a new secret."))
        if not 0 <= given["overlap_seconds"] <= LONGEST_OVERLAP:
            raise Invalid(FieldError("overlapSeconds", f"It has to be 0 to {LONGEST_OVERLAP} seconds (7 days)."))


def _packed(mapping: RowMapping | None) -> str | None:
    """A mapping as it is kept. Invalid."""
    if mapping is None:
        return None
    check_mapping(mapping)
    return mapping.packed()


def _secret(hook_type: HookType, given: str) -> str:
    """The secret to use: a new one, or the user's own, if it will do. Invalid."""
    if hook_type == "sync_trigger":
        return new_trigger_secret() if given == GENERATE else check_trigger_secret(given)
    if given == GENERATE:
        return new_signing_secret()
    parse_signing_secret(given)
    return given


async def _endpoint(outbound: Outbound, url: str) -> str:
    """`scheme://host:port` of a target that the guard lets pass. A name that leads nowhere at the moment passes: it may lead somewhere later. Invalid."""
    explanation = await outbound.explain(url)
    if explanation.refused:
        raise Invalid(FieldError("targetUrl", explanation.reason or "This address is refused."))
    return check_url(url).endpoint


def _opened(box: SecretBox, hook: StoredHook) -> Hook:
    present = hook.secrets[0]
    return Hook(
        id=hook.id,
        workspace_id=hook.workspace_id,
        bot_id=hook.bot_id,
        data_source_id=hook.data_source_id,
        type=hook.type,
        enabled=hook.enabled,
        disabled_by=hook.disabled_by,
        disabled_at=hook.disabled_at,
        post_only=hook.post_only,
        target_url=hook.target_url,
        envelope=hook.envelope,
        keep_held=hook.keep_held,
        certificate_until=hook.certificate_until,
        headers={} if hook.headers is None else unpacked(box.open(hook.headers, "webhooks", hook.id, "headers")),
        secret=box.open(present.sealed, "webhook_secrets", hook.id, "sealed"),
        overlap_until=max((one.expires_at for one in hook.secrets if one.expires_at is not None), default=None),
        failing_since=hook.failing_since,
        created_at=hook.created_at,
        last_used_at=hook.last_used_at,
        last_used_address=hook.last_used_address,
        last_used_agent=hook.last_used_agent,
        rotation=hook.rotation,
        key=None if hook.key is None else hook.key.public,
        mapping=hook.mapping,
    )

"""The incoming hook: calls of trigger URLs, taken or refused in one transaction (contract, section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidings import clock
from tidings.clock import SECOND, Micros
from tidings.model.syncs import Requested
from tidings.model.targets import Targets
from tidings.model.trigger_calls import Caller
from tidings.model.webhooks import RowMapping
from tidings.store import events, syncs, triggers
from tidings.store.transactions import Tx
from tidings.store.triggers import Known
from tidings.webhooks.mapping import Mapped
from tidings.webhooks.payloads import outcome

LONGEST_REF = 200  # characters


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `macs`: of the secret in the URL, see `SecretBox.lookup_macs`; `rate`: accepted calls a minute, 0 without limit; `body`: whether there
    is one that a mapping may look at; `mapped`: what it was mapped to, once it was."""

    hook_id: str
    macs: Sequence[bytes]
    caller: Caller
    refs: Sequence[str]
    rate: int
    body: bool = False
    mapped: Mapped | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The call was taken; the sync that will carry the caller's change. `mapped`: what the hook's mapping made of the body, in a sentence."""

    requested: Requested
    workspace_id: str
    mapped: str | None = None


@dataclass(frozen=True, slots=True)
class ToMap:
    """The call is in order, but its hook has a mapping: the body is to be mapped, and the call to be made again with what came out. Nothing was done yet."""

    mapping: RowMapping


@dataclass(frozen=True, slots=True)
class Refused:
    """The call was not taken, and nothing was triggered. `stranger`: whoever called did not show the hook's secret, as far as was looked."""

    status: int
    reason: str
    stranger: bool = False
    retry_after: int | None = None  # seconds
    allow: str | None = None  # the methods that would be


# Whoever asks for what is not there learns nothing more: the same for an unknown hook, a wrong or former secret, a malformed URL.
UNKNOWN = Refused(404, "There is no hook with this URL. Copy the URL from the hook's page; it changes with the secret.", stranger=True)
POST_ONLY = Refused(405, "This hook takes POST only.", allow="POST")
DISABLED = Refused(403, "This hook is disabled. Enable it on its bot's page to use the URL again.")
PAUSED = Refused(403, "The data source of this hook is paused. Resume it to sync again.")
GONE = Refused(410, "The data source of this hook was deleted. Remove the call to this URL.")


def trigger(tx: Tx, calls: Sequence[Call]) -> list[Accepted | Refused | ToMap]:
    """Takes or refuses each call. Nearly all find their hook, and a queued sync to be merged into: that takes two statements for all of them."""
    now = clock.now()
    hooks = triggers.find(tx, [(call.hook_id, call.macs) for call in calls], now)
    in_order = sorted(range(len(calls)), key=lambda n: calls[n].hook_id)  # two groups at once meet the rows in the same one
    admitted = {n: _admit(tx, hooks[n], calls[n]) for n in in_order}
    called = [(hook, calls[n].caller) for n, hook in admitted.items() if isinstance(hook, Known)]
    triggers.used(tx, called, now)
    merged = syncs.merge(tx, [hook.data_source_id for n, hook in admitted.items() if isinstance(hook, Known) and _targets(calls[n]) is None])
    return [_take(tx, admitted[n], call, merged) for n, call in enumerate(calls)]


def _targets(call: Call) -> Targets | None:
    return None if call.mapped is None else call.mapped.targets


def _admit(tx: Tx, hook: Known | None, call: Call) -> Known | Refused | ToMap:
    """The hook, or why it does not take the call at present. What stands first here wins."""
    if hook is None:
        return UNKNOWN
    closed = _closed(hook, call.caller.method)
    if closed is not None:
        return closed
    if hook.mapping is not None and call.body and call.mapped is None:
        return ToMap(hook.mapping)
    if call.rate:
        wait = triggers.count_call(tx, call.hook_id, call.rate)
        if wait is not None:
            return _too_many(call.rate, wait)
    return hook


def _closed(hook: Known, method: str) -> Refused | None:
    if hook.post_only and method != "POST":
        return POST_ONLY
    if not hook.enabled:
        return DISABLED
    if hook.paused or hook.gone:
        return PAUSED if hook.paused else GONE
    return None


def _take(tx: Tx, hook: Known | Refused | ToMap, call: Call, merged: Mapping[str, str]) -> Accepted | Refused | ToMap:
    if not isinstance(hook, Known):
        return hook
    targets = _targets(call)
    mapped = None if call.mapped is None else call.mapped.sentence
    sync_id = merged.get(hook.data_source_id) if targets is None else None
    if sync_id is not None:
        syncs.add_refs(tx, sync_id, call.refs)
        return Accepted(Requested(sync_id, "merged"), hook.workspace_id, mapped)
    paused, gone = triggers.stands(tx, hook)  # it may have changed since, and must not until the new sync is committed
    if paused or gone:
        return PAUSED if paused else GONE
    return Accepted(syncs.request(tx, hook.data_source_id, "hook", refs=call.refs, targets=targets), hook.workspace_id, mapped)


def outcome_of(tx: Tx, workspace_id: str, sync_id: str) -> dict[str, Any] | None:
    """The plain body that tells of a sync's end; None while it goes on."""
    sync = syncs.get(tx, workspace_id, sync_id)
    return outcome(sync, *events.names(tx, sync.bot_id, sync.data_source_id)) if sync.ended else None


def taken_refs(given: Sequence[str]) -> tuple[str, ...]:
    """The refs of a call as they are kept: cut, distinct, without what no database takes."""
    return tuple(dict.fromkeys(ref[:LONGEST_REF] for ref in (one.replace("\0", "") for one in given) if ref))


def _too_many(rate: int, wait: Micros) -> Refused:
    seconds = max(1, -(-wait // SECOND))
    return Refused(429, f"This hook takes {rate} calls a minute. Try again in {seconds} s; one call is enough for all changes before it.", retry_after=seconds)

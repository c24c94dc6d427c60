"""The incoming hook: one call of a trigger URL, as one transaction (contract, section 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidings import clock
from tidings.clock import SECOND, Micros
from tidings.model.syncs import Requested
from tidings.model.trigger_calls import Caller
from tidings.store import events, syncs, triggers
from tidings.store.transactions import Tx
from tidings.store.triggers import Known
from tidings.webhooks.payloads import outcome

LONGEST_REF = 200  # characters


@dataclass(frozen=True, slots=True)
class Accepted:
    """The call was taken; the sync that will carry the caller's change."""

    requested: Requested
    workspace_id: str


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


def trigger(tx: Tx, hook_id: str, macs: Sequence[bytes], *, caller: Caller, refs: Sequence[str], rate: int) -> Accepted | Refused:
    """Takes or refuses one call. `macs`: of the secret in the URL, see `SecretBox.lookup_macs`; `rate`: accepted calls a minute, 0 without limit."""
    now = clock.now()
    hook = triggers.find(tx, hook_id, macs, now)
    if hook is None:
        return UNKNOWN
    refused = _refusal(tx, hook, caller.method)
    if refused is not None:
        return refused
    if rate:
        wait = triggers.count_call(tx, hook_id, rate)
        if wait is not None:
            return _too_many(rate, wait)
    triggers.used(tx, hook, caller, now)
    return Accepted(syncs.request(tx, hook.data_source_id, "hook", refs=refs), hook.workspace_id)


def _refusal(tx: Tx, hook: Known, method: str) -> Refused | None:
    """Why a hook does not take a call at present. What stands first here wins."""
    if hook.post_only and method != "POST":
        return POST_ONLY
    if not hook.enabled:
        return DISABLED
    paused, gone = triggers.stands(tx, hook)
    if paused:
        return PAUSED
    return GONE if gone else None


def outcome_of(tx: Tx, workspace_id: str, sync_id: str) -> dict[str, Any] | None:
    """The plain body that tells of a sync's end; None while it goes on."""
    sync = syncs.get(tx, workspace_id, sync_id)
    return outcome(sync, *events.names(tx, sync)) if sync.ended else None


def taken_refs(given: Sequence[str]) -> tuple[str, ...]:
    """The refs of a call as they are kept: cut, distinct, without what no database takes."""
    return tuple(dict.fromkeys(ref[:LONGEST_REF] for ref in (one.replace("\0", "") for one in given) if ref))


def _too_many(rate: int, wait: Micros) -> Refused:
    seconds = max(1, -(-wait // SECOND))
    return Refused(429, f"This hook takes {rate} calls a minute. Try again in {seconds} s; one call is enough for all changes before it.", retry_after=seconds)

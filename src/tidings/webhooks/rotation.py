"""Whether deliveries succeed since the present secret of a hook joined, and what that shows.

While the former secret still counts, both sign, and an acceptance shows nothing about the present one. What it alone has signed does, as far
as the receiver checks signatures at all, which only a self-test can tell.
"""

from collections.abc import Iterable
from dataclasses import replace

from tidings.clock import SECOND, Micros, rfc3339
from tidings.model.webhooks import Rotation
from tidings.store import webhooks
from tidings.store.outcomes import Outcome
from tidings.store.transactions import Tx
from tidings.store.webhooks import Health


def observe(tx: Tx, health: Health, outcomes: Iterable[Outcome]) -> None:
    """Remembers what attempts show about the present secret of a hook whose row is locked."""
    if health.rotation is None:
        return
    after = observed(health.rotation, outcomes)
    if after != health.rotation:
        webhooks.rotated(tx, health.hook_id, after)


def observed(rotation: Rotation, outcomes: Iterable[Outcome]) -> Rotation:
    """What is known after attempts; those that an earlier secret had signed say nothing about this one."""
    for outcome in sorted(outcomes, key=lambda each: each.at):
        if outcome.secret_since != rotation.since:
            continue
        if not outcome.delivered:
            if rotation.failed_at is None or outcome.at - rotation.failed_at >= SECOND:  # exact to a second, so that a backlog that fails is not a write each
                rotation = replace(rotation, failed_at=outcome.at)
            continue
        rotation = replace(rotation, delivered_at=rotation.delivered_at or outcome.at)
        if outcome.alone:
            rotation = replace(rotation, proven_at=rotation.proven_at or outcome.at)
    return rotation


def told(rotation: Rotation, overlap_until: Micros | None) -> str:
    """Sentences for people. `overlap_until`: until when the former secret signs as well."""
    failed = "" if rotation.failed_at is None else f" The latest failure was at {rfc3339(rotation.failed_at)}; the attempts of its delivery say why."
    if rotation.proven_at is not None:
        known = f"At {rfc3339(rotation.proven_at)} the endpoint accepted what the new secret alone had signed"
        later = failed if (rotation.failed_at or 0) > rotation.proven_at else ""
        return f"{known}: if it checks signatures, which the self-test shows, it has the new secret.{later}"
    both = "" if overlap_until is None else f" Until {rfc3339(overlap_until)} the former secret signs as well, so only the self-test can show it before."
    if rotation.delivered_at is None:
        nothing = "Nothing was sent" if rotation.failed_at is None else "Nothing was accepted"
        return f"{nothing} since the new secret joined, so it is not known whether the endpoint has it.{failed}{both}"
    accepted = f"Deliveries were accepted since the new secret joined, the first at {rfc3339(rotation.delivered_at)}, but none that it alone had signed"
    return f"{accepted}, so it is not known whether the endpoint has it.{failed}{both}"

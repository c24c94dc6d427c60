"""The receiver self-test: what an endpoint accepts and what it refuses, found out by sending it both, as test deliveries."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings import clock
from tidings.clock import SECOND
from tidings.errors import FieldError, Invalid
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.store import attempts, checks, deliveries, webhooks
from tidings.store.attempts import Claimed, Target
from tidings.store.database import Database
from tidings.store.outcomes import Outcome, record
from tidings.store.transactions import Tx
from tidings.store.webhooks import StoredHook
from tidings.webhooks.deliver import Opened, Policy, attempt, opened
from tidings.webhooks.deliveries import sample_delivery
from tidings.webhooks.rotation import observe

Name = Literal["good", "wrong_signature", "stale_timestamp", "repeat", "new_secret"]
Verdict = Literal["good", "bad", "unknown"]

STALE_SECONDS = 600  # twice what receivers tolerate
SLACK_SECONDS = 30  # for all that is not sending
_SHOWS: dict[tuple[Name, bool], tuple[Verdict, str]] = {  # by whether it was accepted
    ("good", True): ("good", "It accepted a delivery that is in order."),
    ("good", False): ("bad", "It did not accept a delivery that is in order: see that it knows the secret, and answers 2xx."),
    ("wrong_signature", True): (
        "bad",
        "It accepted a wrong signature: anyone who knows the URL can post to it. Verify webhook-signature, and answer 401 where it is wrong.",
    ),
    ("wrong_signature", False): ("good", "It refused a wrong signature."),
    ("stale_timestamp", True): (
        "bad",
        f"It accepted a timestamp {STALE_SECONDS // 60} minutes old: what somebody recorded can be sent again. Refuse one more than five minutes off.",
    ),
    ("stale_timestamp", False): ("good", f"It refused a timestamp {STALE_SECONDS // 60} minutes old."),
    ("repeat", True): ("good", "It answered a repeat with 2xx. Whether it did the work twice can't be seen from outside: drop repeats by webhook-id."),
    ("repeat", False): ("bad", "It did not accept a repeat of what it has: such a one is sent again and again. Answer 2xx to a webhook-id that you know."),
    ("new_secret", True): ("good", "It accepted what the new secret alone had signed, so it has the new secret."),
    ("new_secret", False): ("bad", "It refused what the new secret alone had signed: give it the new secret before the former one ends."),
}
SKIPPED = "Not sent: as long as a delivery in order is not accepted, a refusal shows nothing."


@dataclass(frozen=True, slots=True)
class Probe:
    """One request of the self-test: the delivery that stands for it, by the names of its columns, and what it is signed with. `stale`: in seconds."""

    name: Name
    delivery: Mapping[str, Any]
    secrets: Opened
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one request. The members about its answer are None where it was not sent, `status` also where no answer came."""

    name: Name
    verdict: Verdict
    sentence: str
    delivery_id: str | None = None
    status: int | None = None
    accepted: bool | None = None
    duration_ms: int | None = None


def verdict_of(found: Sequence[Check]) -> Verdict:
    """The worst there is."""
    verdicts = {check.verdict for check in found}
    return "bad" if "bad" in verdicts else "unknown" if "unknown" in verdicts else "good"


async def check(db: Database, box: SecretBox, outbound: Outbound, timeout: float, workspace_id: str, hook_id: str) -> tuple[Check, ...]:  # noqa: ASYNC109, PLR0917
    """Sends a good delivery, one with a wrong signature, one with an old timestamp, the good one again, and while a former secret counts one that
    the new secret alone has signed; each at most `timeout` seconds. Disabled hooks are checked as well. NotFound, Invalid, Conflict."""
    hook, target = await db.read(_read, workspace_id, hook_id)
    right = opened(box, target)
    probes = _probes(hook, right)
    lease = round((len(probes) * timeout + SLACK_SECONDS) * SECOND)
    await db.write(_begin, workspace_id, hook_id, probes[0], lease)
    outcomes: dict[Name, Outcome] = {}
    for probe in probes:
        outcomes[probe.name] = await attempt(outbound, _claimed(hook, probe), target, probe.secrets, Policy((), timeout, 0), stale=probe.stale)
        if not outcomes["good"].delivered:
            break
    found = tuple(judged(probe.name, outcomes, ed25519=right.private is not None) for probe in probes)
    await db.write(_end, hook_id, probes, outcomes, found)
    return found


def judged(name: Name, outcomes: Mapping[Name, Outcome], *, ed25519: bool) -> Check:
    """What one request shows, in the light of the others; `ed25519`: receivers may check that signature and need no secret. Pure."""
    outcome = outcomes.get(name)
    if outcome is None:
        return Check(name, "unknown", SKIPPED)
    verdict, sentence = _SHOWS[name, outcome.delivered]
    if name == "new_secret" and outcome.delivered and not _refuses(outcomes):
        verdict, sentence = "unknown", "It accepted what the new secret alone had signed, but it does not refuse wrong signatures, so this shows nothing."
    if name == "new_secret" and ed25519 and not outcome.delivered:
        verdict, sentence = "unknown", "It refused what the new secret alone had signed. Right if it checks Ed25519 signatures; else give it the secret."
    answered = f"It answered {outcome.status}."
    if outcome.status is None:
        answered = outcome.error or ""
        verdict, sentence = (verdict, sentence) if name == "good" else ("unknown", "No answer came, so this shows nothing.")
    return Check(name, verdict, f"{sentence} {answered}", outcome.claimed.id, outcome.status, outcome.delivered, outcome.duration_ms)


def _refuses(outcomes: Mapping[Name, Outcome]) -> bool:
    """Whether wrong signatures are refused, so that an acceptance shows something."""
    wrong = outcomes.get("wrong_signature")
    return wrong is not None and wrong.status is not None and not wrong.delivered


def _probes(hook: StoredHook, right: Opened) -> list[Probe]:
    """What is to be sent, in order, and so in the list of deliveries."""
    wrong = replace(right, keys=tuple(secrets.token_bytes(32) for _ in right.keys), private=right.private and Ed25519PrivateKey.generate())
    good = sample_delivery(hook)
    probes = [
        Probe("good", good, right),
        Probe("wrong_signature", sample_delivery(hook), wrong),
        Probe("stale_timestamp", sample_delivery(hook), right, STALE_SECONDS),
        Probe("repeat", {**sample_delivery(hook), "event_id": good["event_id"], "body": good["body"]}, right),
    ]
    if len(right.keys) > 1:
        probes.append(Probe("new_secret", sample_delivery(hook), replace(right, keys=right.keys[:1], private=None)))
    return probes


def _claimed(hook: StoredHook, probe: Probe) -> Claimed:
    made = probe.delivery
    return Claimed(
        made["id"], 0, hook.id, hook.endpoint or "", made["event_id"], None, test=True, headers=made["headers"], body=made["body"], attempt_count=0, step=0
    )


def _read(tx: Tx, workspace_id: str, hook_id: str) -> tuple[StoredHook, Target]:
    hook = webhooks.get(tx, workspace_id, hook_id)
    target = attempts.target(tx, hook_id, clock.now())
    if hook.type == "sync_trigger" or target is None:
        raise Invalid(FieldError("webhookId", "A trigger hook sends nothing, so there is no receiver to check."))
    return hook, target


def _begin(tx: Tx, workspace_id: str, hook_id: str, first: Probe, lease: clock.Micros) -> None:
    webhooks.get(tx, workspace_id, hook_id, lock=True)
    checks.begin(tx, hook_id, first.delivery, lease)


def _end(tx: Tx, hook_id: str, probes: Sequence[Probe], outcomes: Mapping[Name, Outcome], found: Sequence[Check]) -> None:
    """Writes down what was sent as the tests that they were, and what it shows about a secret that has joined."""
    health = webhooks.health(tx, hook_id)
    sent = [(probe, verdict) for probe, verdict in zip(probes, found, strict=True) if probe.name in outcomes]
    for probe, _ in sent[1:]:
        deliveries.add(tx, [probe.delivery])
    record(tx, [replace(outcomes[probe.name], reason=f"A self-test ({probe.name}). {verdict.sentence}") for probe, verdict in sent])
    if health is not None and _refuses(outcomes):
        observe(tx, health, [outcomes[probe.name] for probe, verdict in sent if probe.name in {"good", "new_secret"} and verdict.verdict == "good"])

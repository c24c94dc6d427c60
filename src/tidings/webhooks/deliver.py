"""One attempt: made into a signed request, sent, judged; and a group of attempts settled in one transaction."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings import __version__, clock
from tidings.clock import SECOND, Micros
from tidings.errors import RefusedAddress, RequestFailed
from tidings.model.retry_after import read_retry_after
from tidings.outbound import Answer, Outbound
from tidings.secretbox import SecretBox
from tidings.store import webhooks
from tidings.store.attempts import Claimed, Target
from tidings.store.outcomes import Outcome, record
from tidings.store.transactions import Tx
from tidings.webhooks.custom_headers import masked, unpacked
from tidings.webhooks.keys import open_private
from tidings.webhooks.retry import Delivered, Failed, judge, next_attempt
from tidings.webhooks.rotation import observe
from tidings.webhooks.signing import parse_signing_secret, sign

USER_AGENT = f"Tidings/{__version__}"
USED_STEP: Micros = SECOND  # `last_used_at` of a hook is exact to this
FAILING = "The hook was disabled: its endpoint has failed for {days} without one success. It is tried once an hour; this is kept until it answers."
_DICE = random.Random()  # noqa: S311 - jitter, no secret
GONE = "The hook was disabled, because its endpoint answered 410 Gone; this is kept until it is enabled."


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator set: seconds between attempts, seconds for one, when a failing hook is disabled."""

    schedule: tuple[float, ...]
    timeout: float
    disable_after: Micros


@dataclass(frozen=True, slots=True)
class Opened:
    """What is secret about a target, opened: custom headers, signing keys."""

    headers: Mapping[str, str]
    shown_headers: Mapping[str, str]
    keys: tuple[bytes, ...]
    private: Ed25519PrivateKey | None


def opened(box: SecretBox, target: Target) -> Opened:
    """The secrets of a target. TidingsError where they were sealed with a key that is not known here."""
    return _open(box, target.webhook_id, target.headers, target.secrets, target.key)


@lru_cache(maxsize=4096)
def _open(box: SecretBox, webhook_id: str, sealed_headers: str | None, sealed: tuple[str, ...], key: tuple[str, str] | None) -> Opened:
    headers = {} if sealed_headers is None else unpacked(box.open(sealed_headers, "webhooks", webhook_id, "headers"))
    keys = tuple(parse_signing_secret(box.open(one, "webhook_secrets", webhook_id, "sealed")) for one in sealed)
    return Opened(headers, masked(headers), keys, None if key is None else open_private(box, *key))


def fixed_headers(event_id: str, frozen: Mapping[str, str], sequence: int | None) -> dict[str, str]:
    """The headers of a delivery that are the same on each attempt."""
    numbered = {} if sequence is None else {"Tidings-Sequence": str(sequence)}
    return {"Content-Type": "application/json", "User-Agent": USER_AGENT, "webhook-id": event_id, **frozen, **numbered}


async def attempt(outbound: Outbound, claimed: Claimed, target: Target, secrets: Opened, policy: Policy, *, stale: int = 0) -> Outcome:
    """Sends a delivery once, and says what came of it. `stale`: seconds by which its timestamp is in the past."""
    at, body = clock.now(), claimed.body.encode()
    timestamp = at // SECOND - stale
    headers = fixed_headers(claimed.event_id, claimed.headers, claimed.sequence)
    headers["webhook-timestamp"] = str(timestamp)
    headers["webhook-signature"] = sign(secrets.keys, claimed.event_id, timestamp, body, secrets.private)
    headers["Tidings-Attempt"] = str(claimed.attempt_count + 1)
    answer: Answer | RefusedAddress | RequestFailed
    try:
        answer = await outbound.post(target.target_url, {**headers, **secrets.headers}, body, policy.timeout)
    except (RefusedAddress, RequestFailed) as error:
        answer = error
    outcome = decide(claimed, at, {**headers, **secrets.shown_headers}, answer, policy)
    if target.secret_since is None:
        return outcome
    return replace(outcome, secret_since=target.secret_since, alone=len(secrets.keys) == 1)


def decide(claimed: Claimed, at: Micros, sent: dict[str, str], answer: Answer | RefusedAddress | RequestFailed, policy: Policy) -> Outcome:
    """What an answer, or what there is instead of one, means for the delivery (product rules 12 and 13). `at`: when the attempt began."""
    now = clock.now()
    got = answer if isinstance(answer, Answer) else None
    verdict = judge(got.status if got is not None else answer)  # type: ignore[arg-type]
    wait = read_retry_after(got.headers.get("retry-after"), now) if got is not None else None
    state, reason, due = _next(claimed, verdict, wait, now, policy)
    return Outcome(
        claimed=claimed,
        at=at,
        status=got.status if got is not None else None,
        duration_ms=got.duration_ms if got is not None else (now - at) // 1000,
        error=str(answer) if got is None else None,
        address=answer.address or None,
        phases=answer.phases,
        tls=answer.tls,
        certificate_until=answer.certificate_until,
        request_headers=sent,
        response_headers=got.headers if got is not None else None,
        response_body=_text(got.body) if got is not None else None,
        state=state,
        reason=reason,
        next_attempt_at=due,
        gone=isinstance(verdict, Failed) and verdict.disable,
        overloaded=got.status in {429, 503} if got is not None else isinstance(answer, RequestFailed) and answer.code == "timeout",
    )


def _next(claimed: Claimed, verdict: Delivered | Failed, wait: Micros | None, now: Micros, policy: Policy) -> tuple[str, str | None, Micros | None]:
    """(state, reason, when the next attempt is due) after an attempt."""
    if isinstance(verdict, Delivered):
        return "delivered", None, None
    if claimed.test:
        return "exhausted", f"{verdict.reason} A test is sent once.", None
    if verdict.disable:
        return "held", f"{verdict.reason} So the hook is disabled.", None
    due = None if verdict.permanent else next_attempt(policy.schedule, claimed.step + 1, now, wait, _DICE)
    if due is not None:
        return "pending", verdict.reason, due
    tried = "Trying again can't help" if verdict.permanent else f"That was the last of {claimed.step + 1} attempts"
    return "exhausted", f"{verdict.reason} {tried}; redeliver it once this is put right.", None


def settle(tx: Tx, outcomes: Sequence[Outcome], policy: Policy) -> None:
    """Settles finished attempts and what they say about their hooks: rule 16, and the end of a hook whose receiver wants no more."""
    by_hook: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if not outcome.claimed.test or outcome.secret_since is not None:
            by_hook.setdefault(outcome.claimed.webhook_id, []).append(outcome)
    found = {hook_id: webhooks.health(tx, hook_id) for hook_id in sorted(by_hook)}
    record(tx, outcomes)
    for hook_id, health in found.items():
        if health is not None:
            observe(tx, health, by_hook[hook_id])
            _judge_hook(tx, health, [outcome for outcome in by_hook[hook_id] if not outcome.claimed.test], policy)


def _judge_hook(tx: Tx, health: webhooks.Health, outcomes: Sequence[Outcome], policy: Policy) -> None:
    if not outcomes:
        return
    failing, latest = health.failing_since, max(outcome.at for outcome in outcomes)
    for outcome in outcomes:
        failing = None if outcome.delivered else failing or outcome.at
    stale = health.last_used_at is None or abs(latest - health.last_used_at) >= USED_STEP
    certificate = next((outcome.certificate_until for outcome in reversed(outcomes) if outcome.certificate_until is not None), health.certificate_until)
    if stale or failing != health.failing_since or certificate != health.certificate_until:
        webhooks.fared(tx, health.hook_id, failing, latest if stale else health.last_used_at, certificate)
    probed = not health.enabled and health.disabled_by == "failing"
    if probed and any(outcome.delivered for outcome in outcomes):
        webhooks.enable(tx, health.hook_id)
        webhooks.tell(tx, health.hook_id, "webhook_enabled", "was enabled by itself: its receiver accepts deliveries again.")
    elif (health.enabled or probed) and any(outcome.gone for outcome in outcomes):
        webhooks.disable(tx, health.hook_id, "gone", GONE)
        told = "was disabled: its receiver" if health.enabled else "is tried no more: its receiver has"
        webhooks.tell(tx, health.hook_id, "webhook_disabled", f"{told} answered 410, which asks for no more.")
    elif health.enabled and failing is not None and latest - failing >= policy.disable_after:
        days = policy.disable_after / clock.DAY
        lasting = f"{days:g} day{'' if days == 1 else 's'}"
        webhooks.disable(tx, health.hook_id, "failing", FAILING.format(days=lasting))
        webhooks.tell(tx, health.hook_id, "webhook_disabled", f"was disabled: nothing that it sent was accepted for {lasting}.")


def _text(body: bytes) -> str:
    """A body as text that any database takes."""
    return body.decode(errors="replace").replace("\0", "\ufffd")

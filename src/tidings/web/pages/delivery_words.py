"""What became of a delivery, in the words of its pages. Pure."""

from dataclasses import dataclass

from tidings.model.syncs import Sync
from tidings.model.webhooks import Attempt, Delivery, DeliveryState, DeliveryView, EventType, HookName, HookType

NAMES: dict[HookType, str] = {"sync_trigger": "Sync trigger", "sync_success": "Sync success", "sync_failure": "Sync failure"}
LONGEST_PLACE = 80  # characters of a target in the name of its hook; its own page has all of it
# Why there is nothing, where only one thing is chosen.
UNTOLD = {
    "source": "No webhook was to be told of this data source so far: its bot has none, or no sync has ended since they were set up.",
    "hook": "Nothing was owed to this webhook so far: no sync that it listens to has ended since it was set up.",
}
_UNHEARD = (
    "If nothing came of it there, look for the webhook-id in the receiver's log. "
    "“Check the receiver” on the webhook's page shows whether it checks signatures right."
)
_BY = {"user": " by hand", "gone": ", because its receiver answered 410 Gone", "failing": ", because it failed for days without one success"}
EVENTS: dict[EventType, str] = {"sync.success": "Sync success", "sync.failure": "Sync failure"}


def hook_words(hook: HookName, owner: bool) -> str:  # noqa: FBT001 - templates say it so
    """`Sync success → cache.example/hook`; to members, whom no target is told, `Sync success 38362dae`."""
    return named(hook.id, hook.type, hook.target_url if owner else None)


def named(hook_id: str, type_: HookType, target_url: str | None) -> str:
    """The same, from what it is made of; of a long target its beginning and its end."""
    place = shortened((target_url or "").partition("://")[2].partition("?")[0].rstrip("/"), LONGEST_PLACE)
    return f"{NAMES[type_]} → {place}" if place else f"{NAMES[type_]} {hook_id[:8]}"


def shortened(target: str, longest: int) -> str:
    """A target, or of a long one its beginning and its end."""
    return target if len(target) <= longest else f"{target[: longest - 25]}…{target[-24:]}"


def disabled(hook: HookName) -> str:
    """What it means that a hook is disabled."""
    return f"The webhook is disabled{_BY.get(hook.disabled_by or '', '')}. What it is owed is held. {_held(hook)}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a delivery stands, as a chip."""

    mood: str
    words: str
    icon: str


_STANDINGS: dict[DeliveryState, Standing] = {
    "pending": Standing("tide", "On its way", "send"),
    "delivered": Standing("good", "Delivered", "check"),
    "exhausted": Standing("bad", "Given up", "x"),
    "held": Standing("warn", "Held", "pause"),
    "discarded": Standing("", "Discarded", "ban"),
}


def standing(delivery: Delivery) -> Standing:
    """How it stands, in a word or two."""
    if delivery.unwanted:
        return Standing("", "Not for this hook", "ban")
    return stands(delivery.state, tried=delivery.attempt_count > 0 and delivery.reason is not None)


def stands(state: DeliveryState, *, tried: bool) -> Standing:
    """The same, of one that was meant for its hook; `tried`: in vain so far."""
    return Standing("warn", "Trying again", "clock") if state == "pending" and tried else _STANDINGS[state]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a delivery, in one sentence; what to do, where there is anything to do."""

    sentence: str
    advice: str = ""


def told(view: DeliveryView) -> Told:
    """Why it stands as it does."""
    delivery = view.delivery
    if delivery.state == "delivered":
        return Told(_delivered(delivery.attempts[-1] if delivery.attempts else None), "" if delivery.test or view.hook.deleted else _UNHEARD)
    if delivery.state == "pending":
        return _pending(delivery)
    if delivery.state == "held":
        return Told(delivery.reason or "It is kept until the webhook is enabled.", _held(view.hook))
    return Told(delivery.reason or "It was given up.", _given_up(view))


def _delivered(last: Attempt | None) -> str:
    if last is None:
        return "The receiver accepted it. What its attempts were is not kept any more."
    at = f"attempt {last.number}" if last.number > 1 else "the first attempt"
    return f"The receiver accepted it at {at}: it answered {last.status} after {last.duration_ms:,} ms."


def _given_up(view: DeliveryView) -> str:
    if view.hook.deleted:
        return "The webhook was deleted, so it can't be sent any more."
    if view.delivery.unwanted:
        return "To have it told of this one too, choose “Any of this bot's” as its data source."
    return "Nothing is lost: the payload is kept, and can be sent again." if view.delivery.body is not None and not view.delivery.test else ""


def _pending(delivery: Delivery) -> Told:
    if not delivery.attempt_count:
        return Told(delivery.reason or "It is on its way: its first attempt is under way or about to be made.")
    if delivery.reason is None:
        return Told("It was asked for again, and is about to be sent.")
    return Told(delivery.reason, "Nothing is lost: it is tried again by itself.")


def _held(hook: HookName) -> str:
    if hook.deleted:
        return "The webhook was deleted, so it will not be sent."
    if hook.enabled:
        return "It goes out by itself, in its turn, behind what was held before it."
    if hook.disabled_by == "gone":
        return "Have the receiver take webhooks again, then enable the webhook: what is held goes out first, in order."
    if hook.disabled_by == "failing":
        return (
            "Put the receiver right. The webhook is enabled by itself once an attempt succeeds, or now if you enable it; what is held goes out first, in order."
        )
    return "Enable the webhook: what is held goes out first, in order."


def untold(sync: Sync) -> str:
    """Why a sync has no deliveries."""
    if not sync.ended:
        return "This sync has not ended yet. Webhooks are told once it has."
    if sync.state == "cancelled":
        return "This sync was cancelled. Nobody is told of a cancelled sync."
    if sync.dry_run:
        return "This was a dry run. Nobody is told of a dry run."
    kind = NAMES["sync_success" if sync.state == "succeeded" else "sync_failure"]
    return f"This sync {sync.state}, but the bot had no webhook of the kind “{kind}” when it ended, so there was nobody to tell."


def outcome(attempt: Attempt) -> Standing:
    """How one attempt ended, as a chip."""
    if attempt.status is None:
        refused = attempt.address is None and not (attempt.phases or {}).get("connect")
        return Standing("bad", "Not sent" if refused else "No answer", "x")
    accepted = 200 <= attempt.status <= 299
    return Standing("good" if accepted else "bad", str(attempt.status), "check" if accepted else "x")

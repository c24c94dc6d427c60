"""The forms of webhooks: what stands in them, what they change, and what is wrong with them in words for people who see no API."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, get_args

from tidings import clock
from tidings.clock import DAY, SECOND, Micros
from tidings.errors import FieldError, Invalid
from tidings.model.ids import is_id
from tidings.model.webhooks import Envelope, Hook, HookType, KeepHeld
from tidings.web.pages.forms import Form, merged, quoted
from tidings.webhooks.custom_headers import LONGEST_NAME, MOST
from tidings.webhooks.hooks import HookChange
from tidings.webhooks.signing import new_signing_secret
from tidings.webhooks.trigger_secret import new_trigger_secret

LONGEST_URL, LONGEST_SECRET, LONGEST_SOURCE = 2048, 512, 200  # characters, as the API takes them
BLANK_HEADERS = 2  # empty lines for more headers


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of hook, as its card says it. `mood`: the colour of its badge."""

    type: HookType
    name: str
    icon: str
    mood: str
    sentence: str


KINDS = (
    Kind("sync_trigger", "Sync trigger", "zap", "", "A secret URL. A GET or POST to it syncs one data source."),
    Kind("sync_success", "Sync success", "circle-check", "good", "A POST to your URL each time a data source was synced."),
    Kind("sync_failure", "Sync failure", "triangle-alert", "bad", "A POST to your URL when a data source could not be synced."),
)
HOUR: Micros = DAY // 24
SINCE = (("hour", "An hour ago", HOUR), ("day", "A day ago", DAY), ("week", "7 days ago", 7 * DAY), ("month", "30 days ago", 30 * DAY))  # to recover
OVERLAPS = (("0", "At once"), ("3600", "After an hour"), ("86400", "After a day"), (str(7 * DAY // SECOND), "After 7 days"))

_TYPED_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")  # as browsers send it

# Words for what the API says otherwise, by field; of secrets, by whether the hook is a trigger.
_NO_SOURCE = "This is no data source of this bot. Choose one of the list."
_NO_SECRET = {
    True: "It has to be 16 to 128 characters of A-Z a-z 0-9 . _ ~ -, to stand in a URL. The icon beside it makes a new one.",
    False: "A signing secret is whsec_ and the base64 of 24 to 64 bytes. The icon beside it makes a new one.",
}


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """A line of the form for a custom header; `place` is its number."""

    place: int
    name: str
    value: str
    error: str | None


def kind_of(hook: Hook) -> Kind:
    """The kind of a hook."""
    return next(kind for kind in KINDS if kind.type == hook.type)


def title_of(hook: Hook) -> str:
    """`Sync trigger 38362dae`: how a hook is named where it is to be deleted. Targets may hold secrets, so they are not in it."""
    return f"{kind_of(hook).name} {hook.id[:8]}"


def new_secret(hook: Hook) -> str:
    """A secret as the hook needs one."""
    return new_trigger_secret() if hook.type == "sync_trigger" else new_signing_secret()


def filled(hook: Hook) -> Form:
    """What there is."""
    headers: dict[str, str] = {}
    for place, (name, value) in enumerate(hook.headers.items()):
        headers |= {f"header-name-{place}": name, f"header-value-{place}": value}
    return Form(
        {
            "dataSourceId": hook.data_source_id or "",
            "targetUrl": hook.target_url or "",
            "secret": hook.secret,
            "overlap": "0",
            **recovering(hook.failing_since),
            "postOnly": "yes" if hook.post_only else "",
            "envelope": hook.envelope or "",
            "keepHeld": hook.keep_held,
            "ed25519": "yes" if hook.key else "",
            "keys": "\n".join(hook.mapping.keys) if hook.mapping else "",
            "urls": "\n".join(hook.mapping.urls) if hook.mapping else "",
            **headers,
        }
    )


def agreed(hook: Hook, form: Form, source: str) -> Form:
    """The form with what nobody typed into as it is now; `source`: the data source that the hook has now, by its name. Invalid."""
    told = {"secret": "it is another one", "headers": f"it is {quoted(', '.join(hook.headers))}", "dataSourceId": f"it is {quoted(source)}"}
    return merged(form, filled(hook).values, part=lambda name: "headers" if name.startswith("header-") else name, told=told)


def recovering(failing_since: Micros | None) -> dict[str, str]:
    """What is chosen at first in the form that recovers what a hook has not got."""
    return {"since": "day" if failing_since is None else "failing"}


def recover_since(failing_since: Micros | None, form: Form) -> Micros:
    """The instant that was chosen or typed there. Invalid."""
    if form["at"]:
        if not _TYPED_TIME.fullmatch(form["at"]):
            raise Invalid(FieldError("at", "This is no time. Write it like 2026-11-22T09:30."))
        try:
            return clock.parse_rfc3339(f"{form['at'][:16]}:00Z")
        except ValueError:
            raise Invalid(FieldError("at", "There is no such time.")) from None
    if form["since"] == "failing" and failing_since is not None:
        return failing_since
    for name, _, distance in SINCE:
        if form["since"] == name:
            return clock.now() - distance
    raise Invalid(FieldError("since", "Choose one of the list, or type a time."))


def header_lines(form: Form) -> list[HeaderLine]:
    """The custom headers that were typed, and empty lines for more."""
    typed = list(_typed_headers(form))
    after = max((line.place for line in typed), default=-1) + 1
    return typed + [HeaderLine(place, "", "", None) for place in range(after, min(after + BLANK_HEADERS, MOST))]


def changes(hook: Hook, form: Form) -> HookChange:
    """What the form says otherwise than the hook; what it does not ask for stays. Invalid."""
    check_lengths(form)
    found: HookChange = {}
    if chosen_source(form) != hook.data_source_id:
        found["data_source_id"] = chosen_source(form)
    if hook.type == "sync_trigger":
        found["post_only"] = form["postOnly"] == "yes"
    else:
        found |= _of_outgoing(hook, form)
    if form["secret"] != hook.secret:
        found["secret"] = form["secret"]
        found["overlap_seconds"] = int(form.chosen("overlap", dict(OVERLAPS), "overlapSeconds"))
    return found


def check_lengths(form: Form) -> None:
    """Invalid where something is longer than it may be."""
    for name, longest in (("targetUrl", LONGEST_URL), ("secret", LONGEST_SECRET)):
        if len(form[name]) > longest:
            raise Invalid(FieldError(name, too_long(form[name], longest)))


def too_long(text: str, longest: int) -> str:
    """That something is longer than it may be."""
    return f"It has {len(text)} characters; {longest} is the most."


def chosen_source(form: Form) -> str | None:
    """The data source that was chosen; None for any. Invalid."""
    chosen = form["dataSourceId"]
    if chosen and not is_id(chosen):
        raise Invalid(FieldError("dataSourceId", _NO_SOURCE))
    return chosen.lower() or None


def refused(form: Form, hook_type: HookType, error: Invalid) -> Form:
    """The form with what is wrong at its fields, in words of a page."""
    return form.refused(Invalid(*(_worded(form, hook_type, problem) for problem in error.errors)))


def _worded(form: Form, hook_type: HookType, problem: FieldError) -> FieldError:
    field, message = problem.field, problem.message
    if form.error(field) == message:  # said in words of a page already
        return problem
    if field == "secret" and len(form["secret"]) <= LONGEST_SECRET:
        message = _NO_SECRET[hook_type == "sync_trigger"]
    elif field == "dataSourceId" and form["dataSourceId"]:
        message = _NO_SOURCE
    elif field.startswith("headers."):
        line = next((line for line in _typed_headers(form) if line.name[:LONGEST_NAME] == field.removeprefix("headers.")), None)
        field = field if line is None else f"header-{line.place}"
    return FieldError(field, message)


def _of_outgoing(hook: Hook, form: Form) -> HookChange:
    found: HookChange = {}
    if form["targetUrl"] != hook.target_url:
        found["target_url"] = form["targetUrl"]
    envelope, keep_held = form.chosen("envelope", get_args(Envelope)), form.chosen("keepHeld", get_args(KeepHeld))
    if envelope != hook.envelope:
        found["envelope"] = cast("Envelope", envelope)
    if keep_held != hook.keep_held:
        found["keep_held"] = cast("KeepHeld", keep_held)
    if (form["ed25519"] == "yes") != (hook.key is not None):
        found["ed25519"] = form["ed25519"] == "yes"
    if (headers := _headers(form)) != hook.headers:
        found["headers"] = headers
    return found


def _headers(form: Form) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in _typed_headers(form):
        if line.name in headers:
            raise Invalid(FieldError(f"header-{line.place}", "It is there twice."))
        headers[line.name] = line.value
    return headers


def _typed_headers(form: Form) -> Iterator[HeaderLine]:
    places = sorted(int(found[1]) for name in form.values if (found := re.fullmatch(r"header-name-(\d{1,2})", name, re.ASCII)))
    for place in places:
        name, value = form[f"header-name-{place}"].strip(), form[f"header-value-{place}"].strip()
        if name or value:
            yield HeaderLine(place, name, value, form.error(f"header-{place}"))

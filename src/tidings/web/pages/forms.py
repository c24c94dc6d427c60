"""What somebody typed into a form, and what is wrong with it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from tidings.errors import Invalid


@dataclass(frozen=True, slots=True)
class Form:
    """The values of a form's fields by name, and the sentences of those that can't be taken."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """What was typed there; nothing where the field was not sent."""
        return self.values.get(name, "")

    def error(self, name: str) -> str | None:
        """What is wrong with a field."""
        return self.errors.get(name)

    @property
    def touched(self) -> frozenset[str]:
        """The fields that something was typed into, or that are wrong."""
        return frozenset(name for name, text in self.values.items() if text) | self.errors.keys()

    def others(self, *shown: str) -> tuple[str, ...]:
        """The sentences of fields that the page does not show."""
        return tuple(f"{name}: {sentence}" for name, sentence in self.errors.items() if name not in shown)

    def refused(self, error: Invalid) -> "Form":
        """The same with what a room found wrong."""
        return Form(self.values, {problem.field: problem.message for problem in error.errors})


def marks(values: Mapping[str, str]) -> str:
    """What a form was filled with when it was shown, as a form sends it back in `shown_with`: enough to tell what somebody has typed into."""
    return " ".join(f"{name}={_mark(text)}" for name, text in values.items())


def merged(form: Form, now: Mapping[str, str]) -> Form:
    """The form with each field that was not touched as it is `now`: another may have changed it while this one stood open."""
    shown = dict(pair.rpartition("=")[::2] for pair in form["shown_with"].split(" ") if pair)
    if not shown:
        return form
    untouched = {name for name in {*shown, *form.values, *now} if shown.get(name, _mark("")) == _mark(form[name])}
    return Form({**form.values, **{name: now.get(name, "") for name in untouched if name in form.values or name in now}})


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sent(request: Request) -> Form:
    """The form that came with this request."""
    return Form(request.state.form)

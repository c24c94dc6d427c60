"""What somebody typed into a form, and what is wrong with it."""

import hashlib
import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from starlette.requests import Request

from tidings.errors import FieldError, Invalid

LONGEST_QUOTED = 200  # characters of what somebody else typed
_NOT_WHOLE = "This form did not come whole, so nothing was done. Load the page again, and send it once more."


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

    def chosen(self, name: str, choices: Collection[str], field: str | None = None) -> str:
        """What was chosen there, which nothing stands for where it was not sent. Invalid, at `field` if one is named."""
        if self[name] not in choices:
            raise Invalid(FieldError(field or name, "Choose one of the list." if self[name] else _NOT_WHOLE))
        return self[name]

    def check(self) -> None:
        """Invalid where something is wrong with it already."""
        if self.errors:
            raise Invalid(*(FieldError(name, sentence) for name, sentence in self.errors.items()))

    def refused(self, error: Invalid) -> "Form":
        """The same with what a room found wrong."""
        return Form(self.values, {problem.field: problem.message for problem in error.errors})


def marks(values: Mapping[str, str]) -> str:
    """What a form was filled with when it was shown, as a form sends it back in `shown_with`: enough to tell what somebody has typed into."""
    return " ".join(f"{name}={_mark(text)}" for name, text in values.items())


def merged(form: Form, now: Mapping[str, str], *, part: Callable[[str], str] = str, told: Mapping[str, str] = MappingProxyType({})) -> Form:
    """The form with what nobody typed into as it is `now`: another may have changed it while this one stood open, or it did not come. What another
    changed as well is told at its field, so whoever sends the form again has read it. `part`: the field that another one belongs to; `told`: how a part
    is now, where that is not what stands in its field. Invalid where nothing of the form came."""
    if now and not now.keys() & form.values.keys():
        raise Invalid(FieldError("form", _NOT_WHOLE))
    shown = dict(pair.rpartition("=")[::2] for pair in form.values.get("shown_with", marks(now)).split())
    values, errors = {**now, **form.values}, dict(form.errors)
    for one, names in itertools.groupby(sorted({*shown, *values}, key=part), part):
        fields = tuple(names)
        if all(shown.get(name, _NOTHING) == _mark(form[name]) for name in fields if name in form.values):
            values |= {name: now.get(name, "") for name in fields if name in values}
        elif any(shown.get(name, _NOTHING) != _mark(now.get(name, "")) for name in fields) and any(
            values.get(name, "") != now.get(name, "") for name in fields
        ):
            present = told.get(one) or f"it is {quoted(now.get(one, ''))}"
            errors[one] = f"This has changed since you opened the page: {present} now. Send it again, and yours takes its place."
    return Form(values, errors)


def quoted(text: str) -> str:
    """What stands in a field, in a sentence."""
    text = ", ".join(text.split("\n"))
    return f"“{text[:LONGEST_QUOTED]}{'…' if len(text) > LONGEST_QUOTED else ''}”" if text else "empty"


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_NOTHING = _mark("")


def sent(request: Request) -> Form:
    """The form that came with this request."""
    return Form(request.state.form)

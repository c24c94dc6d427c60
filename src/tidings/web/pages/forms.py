"""What somebody typed into a form, and what is wrong with it."""

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


def sent(request: Request) -> Form:
    """The form that came with this request."""
    return Form(request.state.form)

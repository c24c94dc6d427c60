"""What a form says: what was typed, and what it changes where somebody else changed the same thing while it stood open."""

import pytest

from tidings.connectors.registry import connector
from tidings.errors import Invalid
from tidings.web.pages.config_forms import config_of, fields_of
from tidings.web.pages.forms import LONGEST_QUOTED, Form, marks, merged, quoted

SHOWN = {"name": "Docs", "every": "6", "unit": "hours", "on": ""}


def part(name: str) -> str:
    return "every" if name == "unit" else name


def of(typed: dict[str, str], now: dict[str, str]) -> Form:
    """What becomes of a form that was shown with `SHOWN`."""
    return merged(Form({**typed, "shown_with": marks(SHOWN)}), now, part=part)


def kept(form: Form) -> dict[str, str]:
    return {name: form[name] for name in SHOWN}


def test_what_nobody_typed_into_is_as_it_is_now() -> None:
    now = {"name": "Handbook", "every": "4", "unit": "days", "on": "yes"}
    assert kept(of(SHOWN, now)) == now
    typed = of({**SHOWN, "name": "Docs", "every": "8"}, {**now, "every": "6", "unit": "hours"})
    assert (kept(typed), typed.errors) == ({**now, "every": "8", "unit": "hours"}, {})


def test_what_did_not_come_is_as_it_is_now() -> None:
    assert kept(of({"name": "Other"}, SHOWN | {"on": "yes"})) == SHOWN | {"name": "Other", "on": "yes"}
    assert kept(merged(Form({"name": "Other"}), SHOWN | {"on": "yes"})) == SHOWN | {"name": "Other", "on": "yes"}
    with pytest.raises(Invalid, match="did not come whole"):
        merged(Form({"form_token": "x", "shown_with": marks(SHOWN)}), SHOWN)


def test_what_both_changed_is_told_and_what_was_typed_stays() -> None:
    form = of({**SHOWN, "name": "Other"}, SHOWN | {"name": "Handbook"})
    assert form["name"] == "Other"
    assert form.errors == {"name": "This has changed since you opened the page: it is “Handbook” now. Send it again, and yours takes its place."}
    with pytest.raises(Invalid):
        form.check()
    assert of({**SHOWN, "name": "Handbook"}, SHOWN | {"name": "Handbook"}).errors == {}  # both the same
    assert "it is empty now" in of({**SHOWN, "name": "Other"}, SHOWN | {"name": ""}).errors["name"]


def test_fields_that_say_one_thing_together_are_not_mixed() -> None:
    form = of({**SHOWN, "every": "4"}, SHOWN | {"unit": "days"})
    assert (form["every"], form["unit"], list(form.errors)) == ("4", "hours", ["every"])


def test_what_is_quoted_is_short_and_on_one_line() -> None:
    assert quoted("a\nb") == "“a, b”"
    assert len(quoted("x" * 1000)) == LONGEST_QUOTED + 3


@pytest.mark.parametrize("typed", ["[]", "{}", "true", "null", '"7"', "seven"])
def test_what_is_no_number_is_refused_and_not_passed_over(typed: str) -> None:
    website = connector("website")
    config = config_of(fields_of(website), Form({"config.url": "https://example.com/", "config.maxPages": typed}))
    with pytest.raises(Invalid, match="It has to be a whole number"):
        website.parse(config)

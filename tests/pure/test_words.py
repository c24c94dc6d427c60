"""How pages write times, shares and plans."""

import pytest

from tidings import clock
from tidings.clock import DAY, SECOND
from tidings.web.pages.words import due, planned, relative, share

NOW = clock.parse_rfc3339("2026-11-10T12:00:00Z")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "just now"),
        (3, "in a moment"),
        (-119, "1 min ago"),
        (119, "in 2 min"),
        (7 * 86_400 - 5, "in 7 days"),  # what was said a moment ago to last 7 days does not end in 6
        (-7 * 86_400 + 5, "6 days ago"),
        (-86_400, "1 day ago"),
        (-40 * 86_400, "1 Oct 2026"),
    ],
)
def test_a_time_is_said_as_people_do(seconds: int, words: str) -> None:
    assert relative(NOW + seconds * SECOND, NOW) == words


def test_what_is_due_is_never_said_to_be_past() -> None:
    assert due(clock.now() - DAY).endswith(" data-relative data-due>any moment now</time>")
    assert due(clock.now() + 2 * DAY).endswith(">in 2 days</time>")


def test_a_plan_and_a_share_say_no_more_than_is_so() -> None:
    assert [planned("unlimited", None), planned("Enterprise", None), planned("Team", 40_000)] == [
        "Unlimited",
        "Enterprise, no limit",
        "Team, 40,000 storage tokens a month",
    ]
    assert [share(part, 1000) for part in (0, 4, 6, 995, 1000)] == ["0%", "<1%", "1%", "100%", "100%"]

"""What pages say of a sync, and how they show a diff."""

import difflib
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.clock import SECOND
from tidings.model.syncs import Counts, Progress, Results, Sync
from tidings.syncs.guard import APPROVE, judge_quarantine, judge_removals, judge_stop, quarantine_warning
from tidings.syncs.text_diff import unified_diff
from tidings.web.pages.diffs import SHOWN, SHOWN_LINES, lines_of
from tidings.web.pages.sync_story import asked, pace, phases, told
from tidings.web.pages.words import for_people, host, took

BEGAN = 1_000 * SECOND


def sync(**values: Any) -> Sync:
    plain = Sync(
        id="s",
        workspace_id="w",
        bot_id="b",
        data_source_id="d",
        state="succeeded",
        triggered_by="manual",
        dry_run=False,
        refs=(),
        targets=None,
        queued_at=BEGAN,
        started_at=BEGAN + SECOND,
        finished_at=BEGAN + 10 * SECOND,
        progress=Progress(),
        counts=Counts(),
        results=Results(0, 0, 20, 20, 20),
        code=None,
        reason=None,
    )
    return replace(plain, **values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Nothing had changed: 20 rows stayed as before, and nothing was charged."),
        (
            {"counts": Counts(failed=1)},
            "It changed nothing: 20 rows stayed as before, and nothing was charged. 1 row failed; what was known of it before stays.",
        ),
        ({"counts": Counts(failed=4, held_back=3)}, "1 row failed and 3 new texts were held back; what was known of them before stays."),
        ({"counts": Counts(3, 2, 1), "results": Results(1204, 5, 9, 4, 9)}, "It added 3 rows, changed 2 and removed 1, and charged 1,204 tokens."),
        ({"counts": Counts(removed=1)}, "It removed 1 row, and charged nothing."),
        ({"counts": Counts(1, 1), "results": Results(1, 2, 2, 0, 2), "dry_run": True}, "A sync would add 1 row and change 1 now, and charge 1 token."),
        ({"dry_run": True}, "A sync would change nothing now, and charge nothing."),
        ({"state": "cancelled"}, "It was cancelled 9.0 s after it began."),
        ({"state": "cancelled", "started_at": None}, "It was cancelled before it began."),
        ({"state": "failed", "code": "over_plan_limit", "reason": "Over plan storage token limit, please upgrade plan"}, "please upgrade plan. Ask whoever"),
        ({"state": "failed", "reason": "It is gone.", "dry_run": True}, "A sync would fail now. It is gone."),
    ],
)
def test_a_sentence_says_what_happened(values: dict[str, Any], sentence: str) -> None:
    assert sentence in told(sync(**values))


def test_it_says_what_asked_and_what_joined() -> None:
    assert asked(sync(triggered_by="schedule")) == "The schedule asked for it."
    assert asked(sync(triggered_by="hook", merged=2)) == "A trigger URL was called; 2 more requests came while it waited, and joined it."


def test_phases_follow_each_other_up_to_the_one_where_it_ended() -> None:
    marks = Progress(listed_at=BEGAN + 3 * SECOND, read_at=BEGAN + 9 * SECOND)
    whole = phases(sync(progress=marks), now=0)
    assert [(phase.name, phase.took // SECOND, phase.mood) for phase in whole] == [
        ("Waiting", 1, "done"),
        ("Listing", 2, "done"),
        ("Reading", 6, "done"),
        ("Publishing", 1, "done"),
    ]
    failed = phases(sync(state="failed", progress=Progress()), now=0)
    assert [(phase.name, phase.mood) for phase in failed] == [("Waiting", "done"), ("Listing", "failed")]
    queued = phases(sync(state="queued", started_at=None, finished_at=None), now=BEGAN + 5 * SECOND)
    assert [(phase.name, phase.took // SECOND, phase.mood) for phase in queued] == [("Waiting", 5, "now")]


def test_the_pace_tells_how_long_it_takes_at_that() -> None:
    running = sync(state="running", finished_at=None, progress=Progress("reading", 100, 18, 2, 100))
    going = pace(running, BEGAN + 11 * SECOND)
    assert going is not None
    assert (going.rate, going.left) == (2.0, 40 * SECOND)
    assert pace(running, BEGAN + SECOND) is None
    assert pace(replace(running, progress=Progress()), BEGAN + 11 * SECOND) is None
    listing = pace(replace(running, progress=Progress("listing", 100, 20)), BEGAN + 11 * SECOND)
    assert listing is not None
    assert listing.left is None


def test_guards_tell_people_nothing_of_the_api() -> None:
    removals, texts = judge_removals(100, 60, 40, 0.3), judge_quarantine(100, 50, 0.3)
    stops = (judge_stop(removals, None) or "", judge_stop(None, texts) or "", judge_stop(removals, texts) or "")
    for sentence in map(for_people, (APPROVE, *stops, quarantine_warning(3))):
        assert sentence.endswith("approve it.")
        assert "/api/" not in sentence
        assert "approveRemovals" not in sentence
    assert for_people("The folder is gone.") == "The folder is gone."


@pytest.mark.parametrize(
    ("duration", "said"),
    [(400, "0 ms"), (12_400, "12 ms"), (1_440_000, "1.4 s"), (42 * SECOND, "42 s"), (200 * SECOND, "3 min 20 s"), (7500 * SECOND, "2 h 5 min")],
)
def test_durations_are_said_as_people_do(duration: int, said: str) -> None:
    assert took(duration) == said


def test_a_target_is_named_without_its_secrets() -> None:
    assert host("https://user:hush@example.com:8443/hook/hush?key=hush") == "example.com"


def test_a_diff_is_shown_line_by_line() -> None:
    before = "\n".join(["one", *map(str, range(20)), "- old"])
    cut = lines_of(unified_diff(before, before.replace("one", "two").replace("- old", "+ new")), whole=False)
    assert [(line.kind, line.text) for line in cut.lines if line.kind in {"came", "went"}] == [
        ("went", "one"),
        ("came", "two"),
        ("went", "- old"),
        ("came", "+ new"),
    ]
    assert [line.kind for line in cut.lines].count("gap") == 1  # between the two places, none before the first
    assert (cut.came, cut.went, cut.more) == (2, 2, False)
    assert lines_of("", whole=False).lines == ()


def test_a_long_diff_is_cut_unless_all_of_it_is_wanted() -> None:
    diff = unified_diff("", "\n".join(["x" * 999] * 100))
    cut, whole = lines_of(diff, whole=False), lines_of(diff, whole=True)
    assert sum(len(line.text) for line in cut.lines) <= SHOWN
    assert (cut.more, cut.came) == (True, 100)
    assert (whole.more, len(whole.lines)) == (False, 100)
    lines = unified_diff("", "\n" * 5000)
    assert len(lines_of(lines, whole=False).lines) == SHOWN_LINES
    assert lines_of(lines, whole=False).more
    assert not lines_of(lines, whole=True).more


TEXTS = st.text(alphabet="ab\n", max_size=40)


@given(TEXTS, TEXTS)
def test_a_diff_is_what_the_library_makes_of_it(before: str, after: str) -> None:
    old, new = (text.split("\n") if text else [] for text in (before, after))
    assert unified_diff(before, after) == "\n".join(difflib.unified_diff(old, new, "before", "after", n=3, lineterm=""))


def test_a_diff_of_long_texts_is_soon_there() -> None:
    numbers = [str(n) for n in range(50_000)]
    dice = random.Random(0)
    repeated = [str(dice.randrange(150)) for _ in range(50_000)]
    pairs = [
        (numbers, [f"{line}{'' if n % 2 else '!'}" for n, line in enumerate(numbers)], 25_000),
        (repeated, [*repeated[:25_000], "new", *repeated[25_000:]], 1),
        (numbers, numbers[25_000:] + numbers[:25_000], 25_000),
        (repeated, [str(dice.randrange(150)) for _ in range(50_000)], 50_000),  # of lines that stand everywhere nothing is found
    ]
    began = time.process_time()
    for old, new, most in pairs:
        diff = unified_diff("\n".join(old), "\n".join(new))
        assert sum(line.startswith("+") for line in diff.split("\n")[2:]) <= most
        assert list(patched(old, diff)) == new
    assert time.process_time() - began < 30  # the first alone took five minutes


def patched(old: list[str], diff: str) -> Iterator[str]:
    """What `patch` makes of these lines."""
    at = 0
    for line in diff.split("\n")[2:]:
        if hunk := re.match(r"@@ -(\d+)(,0)?", line):
            start = int(hunk[1]) - (hunk[2] is None)
            yield from old[at:start]
            at = start
        elif line[0] == "+":
            yield line[1:]
        else:
            assert old[at] == line[1:]
            if line[0] == " ":
                yield line[1:]
            at += 1
    yield from old[at:]

"""Which texts are held back, and when that ends a sync."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidings.model.verdicts import KnownRow, KnownVersion, Stored
from tidings.syncs.guard import SAME_TEXT, judge_change, judge_quarantine, judge_stop, quarantine_warning

COUNTS = st.integers(0, 10_000)
HASHES = st.none() | st.sampled_from(["one", "another"])


def change(before: int | None, after: int, *, quarantined: str | None = None, approved: bool = False) -> Stored:
    """A change of a row's text from so many tokens to so many; None: the row is new."""
    version = None if before is None else KnownVersion(1, "c", "old", "print", None, "T", None, before, 1)
    row = KnownRow(1, settled=False, error=None, error_validator=None, visible=version, quarantined=quarantined, approved=approved)
    return Stored("key", row, "d", "one", "print", None, "T", None, after, ())


@given(before=COUNTS, after=COUNTS, quarantined=HASHES, approved=st.booleans())
def test_a_text_is_held_back_when_it_shrinks_or_was_held_back_before(*, before: int, after: int, quarantined: str | None, approved: bool) -> None:
    reason = judge_change(change(before, after, quarantined=quarantined, approved=approved))
    shrank = before >= 50 and after < 0.1 * before
    assert (reason is not None) == ((shrank or quarantined == "one") and not approved)
    if shrank and not approved:
        assert f"from {before:,} tokens to {after:,}" in (reason or "")
    elif reason is not None:
        assert reason == SAME_TEXT


@given(COUNTS)
def test_a_row_without_a_good_version_is_never_held_back(after: int) -> None:
    assert judge_change(change(None, after, quarantined="one")) is None
    assert judge_change(replace(change(None, after), row=None)) is None


@given(COUNTS, COUNTS, st.floats(0, 1))
def test_a_sync_ends_above_the_share_and_above_ten(rows: int, quarantined: int, share: float) -> None:
    assert (judge_quarantine(rows, quarantined, share) is not None) == (quarantined > 10 and quarantined > share * rows)


def test_the_sentences_name_figures_and_what_to_do() -> None:
    assert judge_stop(None, judge_quarantine(100, 40, 0.3)) == (
        "The text of 40 of 100 rows all but vanished or became that of many others, as at a login or an error page; no more than 30% may without asking. "
        "Nothing was changed. If that is right, approve it: start a sync of this data source with approveRemovals; the rows are listed among the changes "
        "of this sync as failed and quarantined."
    )
    assert quarantine_warning(1).startswith("The new text of 1 row was held back")
    assert quarantine_warning(7).startswith("The new texts of 7 rows were held back")

"""When a sync must not publish."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.syncs.guard import judge_fetching, judge_removals, judge_stop

COUNTS = st.integers(0, 10_000)
SHARES = st.floats(0, 1)


@given(COUNTS, COUNTS, COUNTS, SHARES)
def test_removals_are_stopped_above_the_share_and_above_ten(rows: int, listed: int, unapproved: int, share: float) -> None:
    stopped = judge_removals(rows, listed, unapproved, share) is not None
    assert stopped == (unapproved > 0 and (listed == 0 or (unapproved > 10 and unapproved > share * rows)))


@given(COUNTS, COUNTS)
def test_unfetched_rows_stop_a_sync_above_a_tenth_and_above_three(listed: int, unfetched: int) -> None:
    stopped = judge_fetching(listed, unfetched, "No answer.") is not None
    assert stopped == (unfetched > 3 and unfetched > 0.1 * listed)


def test_the_reasons_name_figures_and_what_to_do() -> None:
    assert judge_stop(judge_removals(100, 60, 40, 0.3), None) == (
        "This sync would remove 40 of 100 rows, more than the 30% that may go without asking. Nothing was changed. If they are meant to go, approve it: "
        "start a sync of this data source with approveRemovals; the rows are listed among the changes of this sync as removed."
    )
    emptied = judge_removals(1, 0, 1, 0.3)
    assert emptied == "The source lists no rows any more, while the published snapshot has 1 row."
    assert judge_stop(emptied, "The text of 12 rows all but vanished.") == (
        f"{emptied} The text of 12 rows all but vanished. Nothing was changed. If that is right, approve it: start a sync of this data source with "
        "approveRemovals, once for both; the rows are listed among the changes of this sync as removed or failed and quarantined."
    )
    assert judge_stop(None, None) is None
    assert judge_fetching(20, 5, "The disk broke.") == "5 of 20 rows could not be fetched. Most of them: The disk broke."

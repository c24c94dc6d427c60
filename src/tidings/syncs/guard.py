"""When a sync must not publish: too many rows vanished, or too many could not be fetched (product rules 5 and 6). Pure."""

REMOVALS_ALWAYS_ALLOWED = 10
UNFETCHED_ALWAYS_ALLOWED = 3
UNFETCHED_SHARE = 0.1


def judge_removals(rows: int, listed: int, unapproved: int, share: float) -> str | None:
    """Why a sync may not remove what it wants to, or None where it may.

    `rows` of the published snapshot, `listed` by the source now, `unapproved` removals that nobody has approved, `share` of
    the rows that may go without asking (0 to 1).
    """
    if unapproved == 0:
        return None
    if listed == 0:
        happened = f"The source lists no rows any more, while the published snapshot has {_rows(rows)}"
    elif unapproved > REMOVALS_ALWAYS_ALLOWED and unapproved > share * rows:
        happened = f"This sync would remove {unapproved} of {_rows(rows)}, more than the {share:.0%} that may go without asking"
    else:
        return None
    return (
        f"{happened}. Nothing was changed. If they are meant to go, approve it: start a sync of this data source with approveRemovals; "
        "the rows are listed among the changes of this sync as removed."
    )


def judge_fetching(listed: int, unfetched: int, commonest: str) -> str | None:
    """Why a sync fails for the rows that could not be fetched, or None where they are few."""
    if unfetched <= UNFETCHED_ALWAYS_ALLOWED or unfetched <= UNFETCHED_SHARE * listed:
        return None
    return f"{unfetched} of {_rows(listed)} could not be fetched. Most of them: {commonest}"


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"

"""When a sync must not publish: too many rows vanished, or too many could not be fetched (product rules 5 and 6); and which rows
must not be: those whose text all but vanished, or became that of many others. Pure."""

from tidings.model.verdicts import Stored

REMOVALS_ALWAYS_ALLOWED = 10
UNFETCHED_ALWAYS_ALLOWED = 3
UNFETCHED_SHARE = 0.1
SHRUNK_SHARE = 0.1  # a text that is left with less of its tokens has shrunk
SHRUNK_FLOOR = 50  # tokens: a text that was shorter may shrink as it likes
SAME_TEXT_OTHERS = 4  # rows that may come to share a text with one that changed to it
APPROVE = "If it is right, approve it: POST /api/v1/rows/{id}/approve, or a sync with approveRemovals for all that are held back."
SAME_TEXT = f"The text became the very same as that of other rows, as a login or an error page would, so the last good version was kept. {APPROVE}"


def judge_removals(rows: int, listed: int, unapproved: int, share: float) -> str | None:
    """What speaks against removing what a sync wants to remove, or None where it may.

    `rows` of the published snapshot, `listed` by the source now, `unapproved` removals that nobody has approved, `share` of
    the rows that may go without asking (0 to 1).
    """
    if unapproved == 0:
        return None
    if listed == 0:
        return f"The source lists no rows any more, while the published snapshot has {_rows(rows)}."
    if unapproved > REMOVALS_ALWAYS_ALLOWED and unapproved > share * rows:
        return f"This sync would remove {unapproved} of {_rows(rows)}, more than the {share:.0%} that may go without asking."
    return None


def judge_fetching(listed: int, unfetched: int, commonest: str) -> str | None:
    """Why a sync fails for the rows that could not be fetched, or None where they are few."""
    if unfetched <= UNFETCHED_ALWAYS_ALLOWED or unfetched <= UNFETCHED_SHARE * listed:
        return None
    return f"{unfetched} of {_rows(listed)} could not be fetched. Most of them: {commonest}"


def judge_change(change: Stored) -> str | None:
    """Why the new text of a row is held back, its last good version kept, or None where it may be published.

    Whether many rows came to share a text is known at the end only (`known.shared_texts`); a text that was held back before is known again here.
    """
    row = change.row
    if row is None or row.visible is None or row.approved:
        return None
    before = row.visible.tokens
    if before >= SHRUNK_FLOOR and change.tokens < SHRUNK_SHARE * before:
        return f"The text shrank from {before:,} tokens to {change.tokens:,}, as at a login or an error page, so the last good version was kept. {APPROVE}"
    return SAME_TEXT if row.quarantined == change.text_hash else None


def judge_quarantine(rows: int, quarantined: int, share: float) -> str | None:
    """What speaks against a sync whose rows were held back, or None where they are few. `rows` of the published snapshot, `share` as for removals."""
    if quarantined <= REMOVALS_ALWAYS_ALLOWED or quarantined <= share * rows:
        return None
    return (
        f"The text of {quarantined} of {_rows(rows)} all but vanished or became that of many others, as at a login or an error page; no more than {share:.0%} "
        "may without asking."
    )


def judge_stop(removals: str | None, texts: str | None) -> str | None:
    """Why a sync fails where something speaks against its removals, its new texts or both, which one approval covers; None where nothing does."""
    if removals is None and texts is None:
        return None
    happened, meant = " ".join(filter(None, (removals, texts))), "they are meant to go" if texts is None else "that is right"
    listed = " or ".join(name for name, objection in (("removed", removals), ("failed and quarantined", texts)) if objection is not None)
    once = ", once for both" if removals is not None and texts is not None else ""
    return (
        f"{happened} Nothing was changed. If {meant}, approve it: start a sync of this data source with approveRemovals{once}; "
        f"the rows are listed among the changes of this sync as {listed}."
    )


def quarantine_warning(quarantined: int) -> str:
    """What a sync that succeeded says of the rows that it held back."""
    texts, it = ("The new text of 1 row was", "it") if quarantined == 1 else (f"The new texts of {quarantined} rows were", "they")
    return (
        f"{texts} held back, because {it} all but vanished or became that of many others; the last good version stays. If that is right, approve it: "
        "a sync with approveRemovals lets all of it through that the changes of this sync list as failed and quarantined, "
        "POST /api/v1/rows/{id}/approve one row."
    )


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"

"""The decisions about rows, as properties."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.model.verdicts import Failed, KnownRow, KnownVersion, Seen, Stored, StoredDocument
from tidings.syncs.plan_changes import Content, Plan, Text, error_validator, fingerprint_of, judge_bytes, judge_failure, judge_text, plan_row

SHORT = st.text(min_size=1, max_size=4)
VERSIONS = st.builds(
    KnownVersion,
    n=st.integers(1, 99),
    content_hash=SHORT,
    text_hash=SHORT,
    fingerprint=SHORT,
    validator=st.none() | SHORT,
    title=SHORT,
    url=st.none() | SHORT,
    tokens=st.integers(0, 9),
    documents=st.integers(0, 9),
)
ROWS = st.builds(
    KnownRow,
    n=st.integers(1, 99),
    settled=st.booleans(),
    error=st.none() | SHORT,
    error_validator=st.none() | SHORT,
    visible=st.none() | VERSIONS,
    parked=st.lists(VERSIONS, max_size=2).map(tuple),
)
TEXTS = st.builds(
    Text,
    title=SHORT,
    url=st.none(),
    text_hash=SHORT,
    documents=st.lists(st.builds(StoredDocument, heading=SHORT, text=SHORT, tokens=st.integers(0, 9)), max_size=3).map(tuple),
)


@given(validator=st.none() | SHORT, row=st.none() | ROWS, fingerprint=SHORT, force=st.booleans())
def test_a_row_is_left_alone_only_with_proof(*, validator: str | None, row: KnownRow | None, fingerprint: str, force: bool) -> None:
    plan = plan_row(validator, row, fingerprint, force=force)
    if plan in {Plan.UNCHANGED, Plan.RECOVERED}:
        assert not force
        assert row is not None
        assert row.visible is not None
        assert validator is not None
        assert (row.visible.validator, row.visible.fingerprint) == (validator, fingerprint)
    if row is None:
        assert plan is Plan.FETCH
    elif row.settled:
        assert plan is Plan.SETTLED
    elif force:
        assert plan is Plan.FETCH


@given(SHORT, SHORT, SHORT, SHORT)
def test_unreadable_bytes_are_not_read_again_until_something_changes(validator: str, other: str, fingerprint: str, key: str) -> None:
    failed = judge_failure(key, None, "No text.", unfetched=False, validator=validator, fingerprint=fingerprint)
    row = KnownRow(1, settled=False, error=failed.reason, error_validator=failed.error_validator, visible=None)
    assert plan_row(validator, row, fingerprint, force=False) is Plan.STILL_UNREADABLE
    assert plan_row(validator, row, fingerprint, force=True) is Plan.FETCH
    assert (plan_row(other, row, fingerprint, force=False) is Plan.FETCH) == (other != validator)
    assert plan_row(validator, row, fingerprint + "x", force=False) is Plan.FETCH


@given(SHORT, SHORT)
def test_what_could_not_be_fetched_is_tried_again(validator: str, fingerprint: str) -> None:
    failed = judge_failure("key", None, "No answer.", unfetched=True, validator=validator, fingerprint=fingerprint)
    row = KnownRow(1, settled=False, error=failed.reason, error_validator=failed.error_validator, visible=None)
    assert plan_row(validator, row, fingerprint, force=False) is Plan.FETCH


@given(row=ROWS, content=SHORT, fingerprint=SHORT, force=st.booleans())
def test_bytes_decide_only_when_they_and_the_pipeline_are_the_same(*, row: KnownRow, content: str, fingerprint: str, force: bool) -> None:
    verdict = judge_bytes("key", row, Content(content, fingerprint, None), force=force)
    if force:
        assert verdict is None
    if isinstance(verdict, Stored):
        assert verdict.reuse is not None
        assert (verdict.reuse.content_hash, verdict.reuse.fingerprint) == (content, fingerprint)
        if row.visible is not None:
            assert (verdict.text_hash, verdict.title) != (row.visible.text_hash, row.visible.title)


@given(st.none() | ROWS, TEXTS)
def test_identical_text_and_title_are_no_modification(row: KnownRow | None, text: Text) -> None:
    verdict = judge_text("key", row, Content("bytes", "print", None), text)
    same = row is not None and row.visible is not None and (row.visible.text_hash, row.visible.title) == (text.text_hash, text.title)
    assert isinstance(verdict, Seen) == same
    if isinstance(verdict, Stored):
        assert verdict.tokens == sum(document.tokens for document in text.documents)


@given(st.lists(SHORT, min_size=1, max_size=3), st.lists(SHORT, min_size=1, max_size=3))
def test_fingerprints_tell_their_parts_apart(these: list[str], those: list[str]) -> None:
    if "\0" not in "".join(these + those):
        assert (fingerprint_of(*these) == fingerprint_of(*those)) == (these == those)


def test_a_failure_without_a_validator_can_not_be_known_again() -> None:
    assert error_validator(None, "print") is None
    assert isinstance(judge_failure("key", None, "Why.", unfetched=False, validator=None, fingerprint="print"), Failed)

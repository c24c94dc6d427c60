"""What attempts show about a secret that has just joined."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidings import clock
from tidings.clock import SECOND
from tidings.model.webhooks import Rotation
from tidings.store.attempts import Claimed
from tidings.store.outcomes import Outcome
from tidings.webhooks.rotation import observed, told

JOINED = 1_000 * SECOND
CLAIMED = Claimed("d", 1, "w", "http://x", "e", 1, test=False, headers={}, body="", attempt_count=0, step=0)
REFUSED = Outcome(CLAIMED, JOINED, 401, 3, None, None, {}, None, None, {}, {}, "", "pending", "no", None, secret_since=JOINED)

attempts = st.lists(
    st.builds(
        lambda after, state, since, alone: replace(REFUSED, at=JOINED + after * SECOND, state=state, secret_since=since, alone=alone),
        st.integers(0, 50),
        st.sampled_from(["delivered", "pending", "exhausted", "held"]),
        st.sampled_from([JOINED, JOINED - 5, None]),
        st.booleans(),
    ),
    max_size=12,
)


@given(attempts, st.randoms())
def test_each_instant_is_that_of_the_attempt_that_shows_it(made: list[Outcome], dice: object) -> None:
    of_it = [one for one in made if one.secret_since == JOINED]
    accepted = [one.at for one in of_it if one.delivered]
    alone = [one.at for one in of_it if one.delivered and one.alone]
    failed = [one.at for one in of_it if not one.delivered]
    expected = Rotation(JOINED, min(accepted, default=None), max(failed, default=None), min(alone, default=None))
    assert observed(Rotation(JOINED), made) == expected
    dice.shuffle(made)  # type: ignore[attr-defined]
    assert observed(Rotation(JOINED), made) == expected


@given(attempts, attempts)
def test_what_is_known_stays_known(first: list[Outcome], then: list[Outcome]) -> None:
    before = observed(Rotation(JOINED), first)
    after = observed(before, [replace(one, at=one.at + 100 * SECOND) for one in then])
    assert after.delivered_at == before.delivered_at or before.delivered_at is None
    assert after.proven_at == before.proven_at or before.proven_at is None
    assert (after.failed_at or 0) >= (before.failed_at or 0)


def test_failures_within_a_second_are_one_instant() -> None:
    once = observed(Rotation(JOINED), [REFUSED])
    assert observed(once, [replace(REFUSED, at=JOINED + SECOND - 1)]) == once
    assert observed(once, [replace(REFUSED, at=JOINED + SECOND)]).failed_at == JOINED + SECOND


def test_the_sentence_claims_no_more_than_was_seen() -> None:
    at, until = JOINED + 9 * SECOND, JOINED + 100 * SECOND
    untried, both, refused = Rotation(JOINED), Rotation(JOINED, delivered_at=at), Rotation(JOINED, failed_at=at)
    assert told(untried, None) == "Nothing was sent since the new secret joined, so it is not known whether the endpoint has it."
    for rotation in (untried, both, refused):
        assert "it is not known whether the endpoint has it" in told(rotation, None)
        assert f"Until {clock.rfc3339(until)} the former secret signs as well, so only the self-test can show it before." in told(rotation, until)
    assert f"the first at {clock.rfc3339(at)}, but none that it alone had signed" in told(both, None)
    assert told(refused, None).startswith("Nothing was accepted")
    assert f"The latest failure was at {clock.rfc3339(at)}" in told(refused, None)
    proven = Rotation(JOINED, delivered_at=at, proven_at=at)
    assert told(proven, None).endswith("if it checks signatures, which the self-test shows, it has the new secret.")
    assert "failure" in told(replace(proven, failed_at=at + 1), None)
    assert "failure" not in told(replace(proven, failed_at=at - 1), None)

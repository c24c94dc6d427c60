"""How much of a sync is in the air."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.syncs.pipeline import HANDS, SMALLEST_PORTION, portion_of, portions_at_once


@given(st.integers(0, 10**7))
def test_what_is_in_the_air_is_a_small_part_of_the_sync(listed: int) -> None:
    in_the_air = portions_at_once(listed) * portion_of(listed)
    assert in_the_air <= max(listed / 20, HANDS * SMALLEST_PORTION)
    assert in_the_air <= 250  # memory does not grow with the source

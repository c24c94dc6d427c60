"""How much of a sync is in the air."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.syncs.pipeline import HANDS, LARGEST_PORTION, SMALLEST_PORTION, UNDER_WAY, portion_of, portions_at_once


@given(st.integers(0, 10**7))
def test_what_is_in_the_air_is_a_small_part_of_the_sync(listed: int) -> None:
    in_the_air = portions_at_once(listed) * portion_of(listed)
    assert in_the_air <= max(listed / 20, HANDS * SMALLEST_PORTION)
    assert in_the_air <= UNDER_WAY * LARGEST_PORTION
    assert HANDS * portion_of(listed) <= 100  # what is fetched and read does not grow with the source

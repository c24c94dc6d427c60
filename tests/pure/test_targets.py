"""Which rows a sync is about."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.targets import LONGEST, MOST, MOST_TEXT, Targets

NAMES = st.lists(st.text(min_size=1, max_size=5), max_size=6, unique=True).map(tuple)


@given(NAMES, NAMES, NAMES, NAMES)
def test_targets_add_up_and_come_back_from_the_database(keys: tuple[str, ...], urls: tuple[str, ...], more: tuple[str, ...], others: tuple[str, ...]) -> None:
    joined = Targets(keys, urls).joined(Targets(more, others))
    assert set(joined.keys) == {*keys, *more}
    assert set(joined.urls) == {*urls, *others}
    assert len(joined) == len({*keys, *more}) + len({*urls, *others})
    assert Targets.unpacked(joined.packed()) == joined


@pytest.mark.parametrize(
    ("targets", "fit"),
    [
        (Targets(("a",)), True),
        (Targets((), ("https://a.example/",)), True),
        (Targets(), False),
        (Targets(tuple(map(str, range(MOST)))), True),
        (Targets(tuple(map(str, range(MOST))), ("one too many",)), False),
        (Targets(("a" * LONGEST,)), True),
        (Targets(("a" * (LONGEST + 1),)), False),
        (Targets(tuple(secrets.token_hex(LONGEST // 2) for _ in range(MOST_TEXT // LONGEST + 1))), False),
        (Targets(("",)), False),
        (Targets(("a\0b",)), False),
        (Targets(("a\ud83d",)), False),
    ],
)
def test_what_fits(targets: Targets, fit: bool) -> None:  # noqa: FBT001 - a row of the table
    assert targets.fit() is fit

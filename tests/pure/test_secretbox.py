"""Secrets at rest: what opens, what does not, where the key comes from."""

import base64
import secrets
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import Invalid, TidingsError
from tidings.secretbox import FILE_NAME, SecretBox, load_or_create_secret_key, parse_secret_key

texts = st.text(st.characters(exclude_categories=["Cs"]))
keys = st.binary(min_size=32, max_size=32)
places = st.tuples(st.sampled_from(["webhooks", "data_sources"]), st.text(max_size=8), st.sampled_from(["sealed", "headers"]))


@given(texts, keys, places)
def test_what_was_sealed_opens_in_its_place(text: str, key: bytes, place: tuple[str, str, str]) -> None:
    box = SecretBox([key])
    sealed = box.seal(text, *place)
    assert box.open(sealed, *place) == text
    assert SecretBox([key]).open(sealed, *place) == text
    assert sealed != box.seal(text, *place), "the nonce is new each time"


@given(texts, keys, places, places)
def test_it_does_not_open_elsewhere(text: str, key: bytes, place: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    box = SecretBox([key])
    sealed = box.seal(text, *place)
    if place != other:
        with pytest.raises(TidingsError, match="can't be opened") as caught:
            box.open(sealed, *other)
        assert caught.value.code == "sealed_damaged"


@given(keys, st.data())
def test_it_does_not_open_when_one_character_was_changed(key: bytes, data: st.DataObject) -> None:
    box = SecretBox([key])
    sealed = box.seal("a secret", "t", "1", "c")
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + data.draw(st.sampled_from("AQgw.!é").filter(lambda c: c != sealed[at])) + sealed[at + 1 :]
    with pytest.raises(TidingsError):
        box.open(changed, "t", "1", "c")


def test_places_are_not_run_together() -> None:
    box = SecretBox([secrets.token_bytes(32)])
    sealed = box.seal("x", "ab", "c", "d")
    with pytest.raises(TidingsError):
        box.open(sealed, "a", "bc", "d")


def test_keys_rotate() -> None:
    old, new, text = secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_hex(8)
    sealed = SecretBox([old]).seal(text, "t", "1", "c")
    both = SecretBox([new, old])
    assert both.open(sealed, "t", "1", "c") == text
    again = both.seal(text, "t", "1", "c")
    assert SecretBox([new]).open(again, "t", "1", "c") == text
    with pytest.raises(TidingsError, match="Set TIDINGS_SECRET_KEY to the former key") as caught:
        SecretBox([new]).open(sealed, "t", "1", "c")
    assert caught.value.code == "wrong_secret_key"
    assert SecretBox([old]).lookup_mac("hook", text) in both.lookup_macs("hook", text)
    assert both.lookup_macs("hook", text)[0] == both.lookup_mac("hook", text) == SecretBox([new]).lookup_mac("hook", text)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_lookup_mac_tells_hooks_and_secrets_apart(hook: str, secret: str, other_hook: str, other_secret: str) -> None:
    hook, other_hook = hook.replace("\n", ""), other_hook.replace("\n", "")  # a hook id is a UUID
    box = SecretBox([b"k" * 32])
    same = (hook, secret) == (other_hook, other_secret)
    assert (box.lookup_mac(hook, secret) == box.lookup_mac(other_hook, other_secret)) is same
    assert len(box.lookup_mac(hook, secret)) == 32
    assert box.lookup_mac(hook, secret) != SecretBox([b"l" * 32]).lookup_mac(hook, secret)


def test_a_mac_of_what_is_no_proper_text_is_still_a_mac() -> None:
    assert len(SecretBox([b"k" * 32]).lookup_mac("\udc80", "\ud800")) == 32


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"
    [key] = load_or_create_secret_key(home, None)
    assert len(key) == 32
    assert load_or_create_secret_key(home, None) == (key,)
    assert stat.S_IMODE((home / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [FILE_NAME], "no draft is left"


def _start(home: Path) -> tuple[bytes, ...]:
    return load_or_create_secret_key(home, None)


def test_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with get_context("spawn").Pool(4) as pool:
        for turn in range(4):
            found = pool.map(_start, [tmp_path / str(turn)] * 4, chunksize=1)
            assert len(set(found)) == 1


def test_given_keys_are_read_in_any_common_spelling(tmp_path: Path) -> None:
    key, other = secrets.token_bytes(32), bytes(range(224, 256))
    spellings = [
        key.hex(),
        key.hex().upper(),
        base64.b64encode(key).decode(),
        base64.urlsafe_b64encode(key).decode(),
        base64.b64encode(key).decode().rstrip("="),
    ]
    for spelling in spellings:
        assert load_or_create_secret_key(tmp_path, f" {spelling}\n") == (key,)
    assert load_or_create_secret_key(tmp_path, f"{key.hex()},{base64.b64encode(other).decode()}") == (key, other)
    assert list(tmp_path.iterdir()) == [], "a given key is not written down"


@pytest.mark.parametrize(
    "bad", ["", "short", "ab" * 31, "ab" * 33, base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"x" * 33).decode(), "é" * 32, "a" * 45]
)
def test_a_key_of_the_wrong_form_is_refused_without_repeating_it(bad: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        load_or_create_secret_key(tmp_path, bad)
    assert caught.value.errors[0].field == "TIDINGS_SECRET_KEY"
    assert "openssl rand -hex 32" in str(caught.value)
    assert not bad or bad not in str(caught.value)
    (tmp_path / FILE_NAME).write_text(bad)
    with pytest.raises(Invalid) as caught:
        load_or_create_secret_key(tmp_path, None)
    assert caught.value.errors[0].field == str(tmp_path / FILE_NAME)


def test_a_home_that_can_t_hold_the_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="or set TIDINGS_SECRET_KEY"):
        load_or_create_secret_key(tmp_path / "file", None)


@given(keys)
def test_every_key_survives_its_spellings(key: bytes) -> None:
    assert parse_secret_key(key.hex(), "x") == key
    assert parse_secret_key(base64.urlsafe_b64encode(key).decode().rstrip("="), "x") == key


def test_no_key_shows_in_what_is_printed() -> None:
    key = secrets.token_bytes(32)
    assert key.hex() not in repr(vars(SecretBox([key])))
    assert repr(key) not in repr(vars(SecretBox([key])))

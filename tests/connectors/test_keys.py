"""Keys of files: every name that a file system can hold has a key of its own, and the key leads back to it."""

import os

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tidings.connectors.keys import key_of, path_of

NAMES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.lists(st.sampled_from([b"\\", b"x", b"\xc3", b"\xa9", b"c3", b"\\xff", b"\n", "é".encode(), b"\xff", b"%", b"a"]), min_size=1).map(b"".join),
)
PATHS = st.lists(NAMES.filter(lambda name: b"\0" not in name and b"/" not in name and name not in {b".", b".."}), min_size=1, max_size=4).map(b"/".join)


@given(path=PATHS)
@example(path=b"docs/na\xefve.md")
@example(path=b"\\xef")
@example(path="日本語/\n.md".encode())
def test_a_key_is_text_and_leads_back_to_the_very_bytes(path: bytes) -> None:
    key = key_of(os.fsdecode(path))
    key.encode()
    assert "\0" not in key
    assert os.fsencode(path_of(key)) == path
    assert key.count("/") == path.count(b"/")


@given(one=PATHS, other=PATHS)
def test_different_names_have_different_keys(one: bytes, other: bytes) -> None:
    assume(one != other)
    assert key_of(os.fsdecode(one)) != key_of(os.fsdecode(other))


@given(path=PATHS)
def test_an_ordinary_name_is_its_own_key(path: bytes) -> None:
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return
    assume("\\" not in text)
    assert key_of(os.fsdecode(path)) == text


@given(
    key=st.one_of(st.text(), st.lists(st.sampled_from(["\\", "\\xff", "\\xc3\\xa9", "\\x41", "é", "a", "/", "..", ".", "\0", "\udc80", "\ud800"])).map("".join))
)
def test_a_text_is_the_key_of_one_path_or_of_none(key: str) -> None:
    try:
        path = path_of(key)
    except ValueError:
        return
    assert key_of(path) == key
    assert os.fsdecode(os.fsencode(path)) == path


@pytest.mark.parametrize("key", ["", "/", "/etc/passwd", "a//b", "a/", "../a", "a/../b", "./a", "a\0b", "\\", "\\x41", "\\xFF", "\\xc3\\xa9", "\ud800"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"key|surrogates"):
        path_of(key)

"""Bytes in any encoding, right or wrong, become characters that every database takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.text.decode import clean, decode

GERMAN = "Größere Straßen führen über Köln nach Österreich; wir müssen für die Brücke zahlen. " * 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_text_in_common_encodings_is_read_without_being_told(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("encoding", "text"), [("shift_jis", "これは日本語の文章です。東京は大きい都市です。" * 4), ("cp1251", "Это русский текст о большом городе. " * 6)]
)
def test_other_alphabets_are_detected_and_declared_ones_believed(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text
    assert decode("Ж".encode(encoding), {"shift_jis": "Shift_JIS", "cp1251": "windows-1251"}[encoding]) == "Ж"


def test_a_charset_that_a_page_declares_is_believed_but_not_against_its_bytes() -> None:
    page = "<html><head><meta charset='iso-8859-2'></head><body>Łódź</body></html>"
    assert decode(page.encode("iso-8859-2")) == page
    lying = "<html><head><meta charset='us-ascii'></head><body>Łódź</body></html>"
    assert "Łód" in decode(lying.encode())
    assert decode("Köln".encode(), "no-such-charset") == "Köln"
    assert decode("Köln".encode(), "hex") == "Köln"


def test_one_damaged_place_does_not_turn_a_whole_text_into_another_alphabet() -> None:
    damaged = (GERMAN * 10).encode() + b"\xc3"
    assert decode(damaged) == GERMAN * 10 + "\ufffd"


@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["utf-8", "utf-16", "idna", "punycode", "base64", "big5"])))
def test_no_bytes_and_no_charset_make_it_fail(content: bytes, charset: str | None) -> None:
    assert isinstance(decode(content, charset), str)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_clean_text_can_be_stored_and_is_what_it_was(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert "\x00" not in cleaned
    assert "\r" not in cleaned
    assert clean(cleaned) == cleaned
    assert [letter for letter in cleaned if letter.isalnum()] == [letter for letter in text if letter.isalnum()]


def test_line_ends_become_one_kind() -> None:
    assert clean("a\r\nb\rc\x0cd\u2028e\x00f\ud800g\ufffeh\x1b") == "a\nb\nc\nd\nefgh"

"""What pages show of what went over the wire: bodies, phases, a curl command."""

import json
import shlex
from html import unescape
from re import sub
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.webhooks import Attempt
from tidings.web.pages.wire import LONGEST, as_curl, as_read, phases, status_line

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
)


def plain(shown: str) -> str:
    """What a browser shows as text."""
    return unescape(sub(r"<[^>]*>", "", shown))


@given(values)
def test_json_stays_what_it_is_and_can_do_nothing(value: Any) -> None:
    shown = str(as_read(json.dumps(value, ensure_ascii=False)).markup)
    assert json.loads(plain(shown)) == value
    assert "<" not in sub(r'<span class="[ksn]">|</span>', "", shown)


def test_numbers_and_names_stay_as_they_were_written() -> None:
    assert plain(as_read('{"a":2.50,"a":1E2}').markup) == '{\n  "a": 2.50,\n  "a": 1E2\n}'
    assert as_read('{"a": "b"}').markup == '{\n  <span class="k">&#34;a&#34;</span>: <span class="s">&#34;b&#34;</span>\n}'


@pytest.mark.parametrize("text", ["<h1>Not found</h1>", '{"cut', "", "[" * 100_000, '"' + "x" * 100_000])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    shown = as_read(text)
    assert (plain(shown.markup), shown.whole) == (text[:LONGEST], len(text) <= LONGEST)


def test_long_bodies_are_cut_and_it_is_told() -> None:
    for value, most in ((list(range(100_000)), 4 * LONGEST), ("x" * 100_000, 2 * LONGEST), ([1] * 1500, 4 * LONGEST)):
        shown = as_read(json.dumps(value))
        assert len(shown.markup) < most
        assert not shown.whole
    assert as_read(json.dumps({"a": [1] * 100}) + "\n").whole


@given(st.text(st.characters(codec="ascii", min_codepoint=32)), st.text(st.characters(exclude_characters="\0")))
def test_a_curl_command_means_what_was_sent(value: str, body: str) -> None:
    words = shlex.split(as_curl("https://cache.example/hook?a=1&b='2'", {"X-Odd": value}, body).replace("\\\n", ""))
    assert words == ["curl", "https://cache.example/hook?a=1&b='2'", "-H", f"X-Odd: {value}", "--data-raw", body.replace("\\\n", "")]


def test_curl_leaves_brackets_alone() -> None:
    assert as_curl("http://[::1]/{a}", {}, "x").startswith("curl --globoff 'http://[::1]/{a}'")


def test_curl_asks_for_the_path_that_was_asked_for() -> None:
    assert as_curl("https://bücher.example/ä/../b?q=ü%20'&#é", {}, "x").startswith(
        """curl --path-as-is 'https://bücher.example/%C3%A4/../b?q=%C3%BC%20'"'"'&#%C3%A9'"""
    )


def attempt(status: int | None, **taken: float) -> Attempt:
    return Attempt(1, 0, status, 0, None, None, taken or None, None, None, {}, None, None)


def test_phases_fill_the_bar_in_order() -> None:
    found = phases(attempt(200, lookup=10, connect=20, tls=30, firstByte=30, total=100))
    assert [(phase.kind, phase.start, phase.width) for phase in found] == [
        ("lookup", 0, 100),
        ("connect", 100, 200),
        ("tls", 300, 300),
        ("firstbyte", 600, 300),
        ("rest", 900, 100),
    ]
    waited = phases(attempt(None, connect=5, total=15_000))
    assert [(phase.kind, phase.start + phase.width) for phase in waited][-1] == ("lost", 1000)
    assert phases(attempt(None)) == phases(attempt(None, total=0)) == []


def test_statuses_have_their_names() -> None:
    assert (status_line(503), status_line(599)) == ("503 Service Unavailable", "599")

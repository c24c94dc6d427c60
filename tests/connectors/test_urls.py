"""One spelling for each page, and what is known to be a trap by its looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.connectors.urls import LONGEST, at_home, has_text, is_trap, joined, normal, place_of


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("HTTP://Example.COM:80", "http://example.com/"),
        ("https://example.com:443/a/../b/./c/", "https://example.com/b/c/"),
        ("https://example.com/a/b/..", "https://example.com/a/"),
        ("https://example.com/%7euser/%e4#part", "https://example.com/~user/%E4"),
        ("https://example.com/a b?q=ü", "https://example.com/a%20b?q=%C3%BC"),
        ("https://example.com/?", "https://example.com/"),
        ("https://example.com/?utm_source=x&page=2&gclid=1&PHPSESSID=77", "https://example.com/?page=2"),
        ("https://example.com/?sid=0123456789abcdef0123&sid=3", "https://example.com/?sid=3"),
        ("https://example.com/a;jsessionid=F00?b=1", "https://example.com/a?b=1"),
        (" https://bücher.example/\n", "https://xn--bcher-kva.example/"),
        ("mailto:a@b.c", None),
        ("javascript:void(0)", None),
        ("https://user:secret@example.com/", None),
        ("https://example.com/" + "a" * LONGEST, None),
        ("", None),
    ],
)
def test_one_spelling(written: str, spelled: str | None) -> None:
    assert normal(written) == spelled


def test_links_count_from_their_page() -> None:
    base = "https://example.com/docs/a.html"
    assert joined(base, "b.html#x") == "https://example.com/docs/b.html"
    assert joined(base, "/c") == "https://example.com/c"
    assert joined(base, "//other.example/") == "https://other.example/"
    assert joined(base, "?page=2") == "https://example.com/docs/a.html?page=2"
    assert joined(base, "../../../x") == "https://example.com/x"
    assert joined(base, "http://[broken") is None
    assert place_of("https://www.example.com:8443/a") == "example.com:8443"


def test_a_site_with_https_is_not_left() -> None:
    start = "https://example.com/"
    assert at_home("http://example.com/a?next=http://example.com/b", start) == "https://example.com/a?next=http://example.com/b"
    assert at_home("https://example.com/seen/http://example.com/b", start) == "https://example.com/seen/http://example.com/b"
    assert at_home("http://example.com:8080/a", start) == "http://example.com:8080/a"
    assert at_home("http://example.com/a", "http://example.com/") == "http://example.com/a"


@given(st.text(max_size=200))
def test_a_spelling_is_its_own_spelling(text: str) -> None:
    for url in (text, f"https://example.com/{text}"):
        spelled = normal(url)
        assert spelled is None or normal(spelled) == spelled


def test_traps_and_files_without_text() -> None:
    assert is_trap("https://example.com/a/b/a/b/a/b/a/b")
    assert is_trap("https://example.com/" + "/".join(map(str, range(30))))
    assert not is_trap("https://example.com/2024/05/05/05-a-title")
    assert not has_text("https://example.com/logo.PNG?x=1")
    assert has_text("https://example.com/guide.pdf")
    assert has_text("https://example.com/v1.2/")

"""Include and exclude patterns: .gitignore's rules (pathspec says the same), in time that no pattern can blow up."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import PathSpec
from pydantic import TypeAdapter, ValidationError

from tidings.connectors.globs import Globs, Pattern, Selection

SEGMENT = st.one_of(
    st.sampled_from(["**", "*", "?", "a", "b", "ab", "a*", "*b", "*a*", "[ab]", "[!a]", "a?b", "*.md"]),
    st.text(alphabet="ab*?.", min_size=1, max_size=4).filter(lambda text: text not in {".", ".."} and "**" not in text),
)
PATTERN = st.builds(
    lambda start, segments, end: start + "/".join(segments) + end,
    st.sampled_from(["", "", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
).filter(lambda text: not text.endswith("**/") and text.strip("/") != "**")  # pathspec has rules of its own for these, git has not
PATH = st.lists(st.text(alphabet="ab.", min_size=1, max_size=3).filter(lambda text: text not in {".", ".."}), min_size=1, max_size=5)


@given(pattern=PATTERN, path=PATH)
def test_a_pattern_means_what_gitignore_means_by_it(pattern: str, path: list[str]) -> None:
    assert Pattern(pattern).takes(path) == PathSpec.from_lines("gitignore", [pattern]).match_file("/".join(path))


@given(pattern=PATTERN, path=PATH)
def test_a_folder_that_is_not_entered_has_nothing_that_is_taken(pattern: str, path: list[str]) -> None:
    one = Pattern(pattern)
    for depth in range(1, len(path)):
        if one.takes(path):
            assert one.may_take_of(path[:depth])
        if one.takes_all_of(path[:depth]):
            assert one.takes(path)


@pytest.mark.parametrize(
    ("include", "exclude", "taken", "left"),
    [
        ([], [], ["a", "a/b.md"], [".a", "a/.b", ".git/config", "~$a.docx", "a.md~"]),
        (["*.md"], [], ["a.md", "x/y/a.md", "new\nline.md"], ["a.MD", "a.md.txt", ".x/a.md"]),
        (["docs/**"], [], ["docs/a", "docs/x/y", "docs/new\nline"], ["docs", "a/docs/b", "docsx/a"]),
        (["docs"], [], ["docs", "docs/a", "a/docs/b"], ["docsx"]),
        (["**/*.md"], ["drafts/**", "*.tmp.md"], ["a.md", "x/drafts/a.md"], ["drafts/a.md", "a.tmp.md"]),
        (["docs/*"], [], ["docs/a", "docs/b.md"], ["docs/x/y", "docs", "a"]),
        ([], ["drafts"], ["a"], ["drafts/a", "x/drafts/y"]),
        ([".github/**", "**/.env", "docs/**"], [], [".github/a", ".env", "x/.env", "docs/a"], [".git/a", ".github/.secret", "docs/.a", ".git/.env"]),
        (["**/.*", "*~"], [], [".a", "a/.b", ".git/config", "a~"], ["a", "~$a"]),
        (["[*]", "a[!0-9]"], [], ["*", "ab"], ["x", "a1"]),
    ],
)
def test_what_is_taken(include: list[str], exclude: list[str], taken: list[str], left: list[str]) -> None:
    selection = Selection(include, exclude)
    assert [path for path in taken + left if selection.takes_by_itself(path.split("/"))] == taken


@pytest.mark.parametrize("pattern", ["", "!a", "a\\b", "\\#a", "a//b", "../a", "a/./b", "a/..", "a\nb", "a\0", "/", "//", "x" * 257, 5, None])
def test_what_is_no_pattern_is_refused(pattern: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Globs).validate_python([pattern])


def test_too_many_patterns_are_refused() -> None:
    TypeAdapter(Globs).validate_python(["a"] * 50)
    with pytest.raises(ValidationError):
        TypeAdapter(Globs).validate_python(["a"] * 51)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["*a" * 100 + "*b", "**/" * 60 + "*a" * 20 + "b", "a/**/" * 50 + "b", "[ab]*" * 50 + "c", "?*" * 100 + "b"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """With backtracking it would take longer than the world is old."""
    selection = Selection([pattern])
    for path in (["a" * 255], ["a"] * 1000, ["ba" * 120, *["a" * 100] * 9]):
        assert not selection.takes(path)
        selection.enters(path)


@given(st.text(alphabet=string.printable, min_size=1, max_size=30))
def test_any_pattern_that_is_accepted_can_be_asked(pattern: str) -> None:
    try:
        TypeAdapter(Globs).validate_python([pattern])
    except ValidationError:
        return
    Selection([pattern], [pattern]).takes_by_itself(["a", "b"])

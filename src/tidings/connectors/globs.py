"""Which files a data source takes: include and exclude patterns over paths below its folder.

`*`, `?` and `[abc]` match within one name, `**` over any number of folders. A pattern without a slash is looked for in every folder (`*.md`); one with
a slash counts from the data source's folder (`docs/*.md`, `docs/**`). A pattern that matches a folder takes all below it, unless it ends in `/*`: that
is only what lies directly there. Upper and lower case differ. These are .gitignore's rules as the library pathspec has them, but for `!` at the start
and backslashes, which are refused, and `#`, which is a letter like others.

The library itself makes a regular expression of each pattern, for which `*a*a*a*a*b` and a name of 255 letters mean 15 s without a break. Here time
grows with the length of the pattern times that of the path.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Annotated

from pydantic import AfterValidator, Field

Segments = Sequence[str]
_Part = Callable[[str], object] | None  # matches one name; None stands for `**`, any number of folders


def _checked(pattern: str) -> str:
    if pattern.startswith("!"):
        raise ValueError("A pattern can't begin with an exclamation mark; what is to be left out goes into exclude")
    if "\\" in pattern:
        raise ValueError("Folders are parted by /, and a special character is taken literally in brackets, as in [*]; there is no backslash")
    if any(ord(character) < 32 for character in pattern):
        raise ValueError("A pattern has no control characters")
    if any(segment in {"", ".", ".."} for segment in pattern.removeprefix("/").removesuffix("/").split("/")):
        raise ValueError("A pattern is a path below the folder, such as docs/**, without empty, . and .. parts")
    return pattern


Globs = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_checked)], ...], Field(max_length=50)]


def _part(segment: str) -> _Part:
    return None if segment == "**" else re.compile(translate(segment)).match


class Pattern:
    """One pattern, ready to be asked."""

    __slots__ = ("_below", "_folder")

    def __init__(self, text: str) -> None:
        segments = text.strip("/").split("/")
        below = text.endswith("/") or (len(segments) > 1 and segments[-1] == "**")  # names what is in a folder, not the folder
        while len(segments) > 1 and segments[-1] == "**":
            segments.pop()
        if "/" not in text.removesuffix("/"):
            segments.insert(0, "**")
        folder = [_part(segment) for segment in segments]
        self._folder = tuple(folder) if text.endswith("/*") else (*folder, None)
        self._below = (*folder, _part("*"), None) if below else self._folder

    def takes(self, path: Segments) -> bool:
        """Whether it matches this file or a folder above it."""
        return _matches(self._below, path)

    def takes_all_of(self, folder: Segments) -> bool:
        """Whether it matches everything below this folder, for certain."""
        return self._folder[-1] is None and _matches(self._folder, folder)

    def may_take_of(self, folder: Segments) -> bool:
        """Whether it can match something below this folder."""
        for part, segment in zip(self._below, folder, strict=False):
            if part is None:
                return True
            if not part(segment):
                return False
        return len(folder) < len(self._below) or self._below[-1] is None


def _never(_name: str) -> bool:
    return False


def _matches(parts: Sequence[_Part], path: Segments) -> bool:
    """Two pointers; on a mismatch the last `**` takes one folder more. At most len(parts) * len(path) steps."""
    at, part, resume_at, resume_part = 0, 0, -1, -1
    while at < len(path):
        want = parts[part] if part < len(parts) else _never
        if want is None:
            resume_at, resume_part = at, part
            part += 1
        elif want(path[at]):
            at, part = at + 1, part + 1
        elif resume_part >= 0:
            resume_at += 1
            at, part = resume_at, resume_part + 1
        else:
            return False
    return all(left is None for left in parts[part:])


def is_hidden(name: str) -> bool:
    """Names that people do not mean when they say "this folder": `.git`, `.env`, `.DS_Store`, and what editors leave beside a file (`~$a.docx`, `a.md~`)."""
    return name.startswith((".", "~$")) or name.endswith("~")


class Selection:
    """Include and exclude patterns together. Nothing included means everything; exclude wins. Hidden names are left out, unless a part of an include
    pattern names hidden names itself (`.github/**`, `**/.env`, `*~`) and matches them."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), *, hidden: bool = False) -> None:
        self._include = tuple(map(Pattern, include))
        self._exclude = tuple(map(Pattern, exclude))
        self._hidden = hidden
        named = (segment for pattern in include for segment in pattern.split("/") if is_hidden(segment))
        self._shown = tuple(part for part in map(_part, named) if part is not None)
        self.takes_everything = not include and not exclude

    def shows(self, name: str) -> bool:
        """Whether a file or folder of this name is looked at at all."""
        return self._hidden or not is_hidden(name) or any(part(name) for part in self._shown)

    def takes(self, path: Segments) -> bool:
        """Whether this file is a row. The names in the path have been shown."""
        if self.takes_everything:
            return True
        return (not self._include or any(one.takes(path) for one in self._include)) and not any(one.takes(path) for one in self._exclude)

    def enters(self, folder: Segments) -> bool:
        """Whether something below this folder can be a row."""
        if self.takes_everything or not folder:
            return True
        return (not self._include or any(one.may_take_of(folder) for one in self._include)) and not any(one.takes_all_of(folder) for one in self._exclude)

    def takes_by_itself(self, path: Segments) -> bool:
        """Whether a walk from the top comes to this file and takes it."""
        return all(map(self.shows, path)) and all(self.enters(path[:depth]) for depth in range(1, len(path))) and self.takes(path)

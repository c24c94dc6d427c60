"""A unified diff as lines for a page. Pure."""

from dataclasses import dataclass
from typing import Literal

SHOWN = 30_000  # characters of a diff, unless somebody wants all of it
SHOWN_LINES = 400


@dataclass(frozen=True, slots=True)
class Line:
    """A line that came, went or stayed; or a gap between the lines that are shown."""

    kind: Literal["came", "went", "stayed", "gap"]
    text: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The first lines of a diff, how many came and went in all of it, and whether there are more."""

    lines: tuple[Line, ...]
    came: int
    went: int
    more: bool


_KINDS: dict[str, Literal["came", "went", "stayed", "gap"]] = {"+": "came", "-": "went", " ": "stayed", "@": "gap"}


def lines_of(diff: str, *, whole: bool) -> Cut:
    """The lines of a diff, without its head; unless `whole`, no more than SHOWN characters and SHOWN_LINES of it."""
    every = [Line(_KINDS[line[0]], line[1:]) for line in diff.split("\n")[2:]]
    if every and every[0].kind == "gap":
        del every[0]
    came, went = (sum(line.kind == kind for line in every) for kind in ("came", "went"))
    some: list[Line] = []
    left = len(diff) if whole else SHOWN
    for line in every if whole else every[:SHOWN_LINES]:
        if left <= 0:
            break
        some.append(Line(line.kind, line.text[:left]))
        left -= len(line.text) + 1
    return Cut(tuple(some), came, went, len(some) < len(every) or sum(len(line.text) for line in some) < sum(len(line.text) for line in every))

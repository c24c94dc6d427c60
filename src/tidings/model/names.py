"""Names that people give to things: what may stand in one."""

import unicodedata

from tidings.errors import FieldError, Invalid

LONGEST_NAME = 200  # characters, after trimming
_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of surrogate pairs, line and paragraph separators
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # these reach beyond the name: the rest of a sentence is turned round


def cleaned_name(name: str) -> str:
    """`name` without the white space around it. Invalid where nothing is left, it is too long, or it holds a character that no name has."""
    wrong = what_is_wrong(name)
    if wrong is not None:
        raise Invalid(FieldError("name", wrong))
    return name.strip()


def what_is_wrong(name: str) -> str | None:
    """The sentence that says why a text can't be a name; None where it can."""
    trimmed = name.strip()
    if not trimmed:
        return "It is empty. Give it a name."
    if len(trimmed) > LONGEST_NAME:
        return f"It is {len(trimmed)} characters long. At most {LONGEST_NAME} are taken."
    if any(unicodedata.category(character) in _NOT_IN_NAMES for character in trimmed):
        return "It holds a control character or a line break. Leave it out."
    if not _TURNING.isdisjoint(trimmed):
        return "It holds an invisible character that turns round the text behind it. Type the name anew, rather than pasting it."
    return None

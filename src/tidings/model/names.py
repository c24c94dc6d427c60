"""Names that people give to things: what may stand in one."""

import unicodedata

from tidings.errors import FieldError, Invalid

LONGEST_NAME = 200  # characters, after trimming
_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of surrogate pairs, line and paragraph separators


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
    return None

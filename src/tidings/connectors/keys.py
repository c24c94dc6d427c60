r"""Row keys of files: the path below the data source's folder, as text that every database and JSON can hold.

A key is the path itself, parts joined by `/`, but for two things: a byte that is not part of valid UTF-8 is written `\xhh` (two lower-case hex digits),
and a backslash is written `\\`. So different paths have different keys, and a key leads back to its path.
"""

import os
import re

_ESCAPED = re.compile(r"[\\\udc80-\udcff]")  # where Python decodes a name that is not UTF-8, byte 0xhh becomes U+DChh (PEP 383)
_ESCAPE = re.compile(r"\\(?:\\|x([89a-f][0-9a-f]))?")


def key_of(path: str) -> str:
    """The key of a relative path as Python's file functions give it (PEP 383)."""
    if path.isascii() and "\\" not in path:
        return path
    return _ESCAPED.sub(lambda found: "\\\\" if found[0] == "\\" else f"\\x{ord(found[0]) - 0xDC00:02x}", path)


def spelled(key: str) -> str:
    """What a key was made of: the path as whoever keeps it spells it."""
    return _ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)) if found[1] else "\\", key)


def path_of(key: str) -> str:
    """The relative path that a key stands for, for Python's file functions. ValueError where it is the key of no path below a folder."""
    path = spelled(key)
    canonical = os.fsdecode(os.fsencode(path)) == path  # escapes that make up valid UTF-8 together are no key
    if not canonical or key_of(path) != key or "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("it is not the key of a file")
    return path

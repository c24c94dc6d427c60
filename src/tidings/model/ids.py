"""Identities: time-ordered UUIDs (RFC 9562, version 7) as lower-case text, and random ones where a guess must not help."""

import re
import uuid

from uuid_utils import uuid7

from tidings.clock import Micros

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def new_id() -> str:
    """A new time-ordered id; ids made later sort later."""
    return str(uuid7())


def first_id_of(at: Micros) -> str:
    """The least id that can be made at an instant, to the millisecond: those made before sort before it."""
    milliseconds = f"{max(at, 0) // 1000:012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-000000000000"


def new_random_id() -> str:
    """A new id that tells nothing and can't be guessed, for what is named in public URLs (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def is_id(text: str) -> bool:
    """Whether a text is spelled as an id. Ids are compared in lower case."""
    return _UUID.fullmatch(text) is not None

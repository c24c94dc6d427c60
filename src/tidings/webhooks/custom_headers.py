"""The headers that a user adds to an outgoing hook: which may be, and how they are shown. Pure."""

import json
import re
from collections.abc import Mapping

from tidings.errors import FieldError, Invalid
from tidings.settings import MASK

MOST = 20
LONGEST_NAME = 100
LONGEST_VALUE = 2048

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\x20-\x7e\t]*")

# Those that belong to the transport, or that Tidings sets itself.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    }
)
_RESERVED_PREFIXES = ("webhook-", "tidings-")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, if all will do. Raises Invalid, naming each that will not (`headers.X-Name`)."""
    if len(headers) > MOST:
        raise Invalid(FieldError("headers", f"These are {len(headers)} headers. At most {MOST} are taken."))
    seen: set[str] = set()
    wrong = []
    for name, value in headers.items():
        problem = _problem(name, value) or ("It is there twice; case does not matter in names." if name.lower() in seen else None)
        if problem is not None:
            wrong.append(FieldError(f"headers.{name[:LONGEST_NAME]}", problem))
        seen.add(name.lower())
    if wrong:
        raise Invalid(*wrong)
    return dict(headers)


def _problem(name: str, value: str) -> str | None:
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        return f"The name has to be 1 to {LONGEST_NAME} letters, digits or hyphens, like X-Api-Key."
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        return "This header is set by Tidings or by the transport. Leave it out."
    if len(value) > LONGEST_VALUE:
        return f"The value is {len(value)} characters long. At most {LONGEST_VALUE} are taken."
    if not _VALUE.fullmatch(value) or value != value.strip():
        return "The value has to be printable ASCII on one line, without spaces at its ends."
    return None


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """The names, their values hidden."""
    return dict.fromkeys(headers, MASK)


def packed(headers: Mapping[str, str]) -> str:
    """As text, ready to be sealed."""
    return json.dumps(dict(headers))


def unpacked(text: str) -> dict[str, str]:
    """What `packed` made a text of."""
    headers: dict[str, str] = json.loads(text)
    return headers

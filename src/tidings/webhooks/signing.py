"""Signatures of outgoing webhooks: Standard Webhooks 1.0.0, the symmetric scheme `v1`, and where a hook has a key of its own the asymmetric `v1a`.

A secret is `whsec_` and the base64 of 24 to 64 random bytes. What is signed is `{webhook-id}.{webhook-timestamp}.{body}`; each live secret
adds one signature to the header, separated by spaces, so that a receiver may know either during a change; the Ed25519 key adds one more.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.clock import SECOND, Micros
from tidings.errors import FieldError, Invalid

PREFIX = "whsec_"
MIN_BYTES, NEW_BYTES, MAX_BYTES = 24, 32, 64
TOLERANCE_SECONDS = 300


def new_signing_secret() -> str:
    """A new secret: `whsec_` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def parse_signing_secret(secret: str, field: str = "secret") -> bytes:
    """The key in a `whsec_...` text. Raises Invalid, naming `field`, where it is none; the text is not repeated."""
    if not secret.startswith(PREFIX):
        raise Invalid(FieldError(field, 'A signing secret begins with "whsec_", followed by the base64 of 24 to 64 bytes. Send "generate" to get a new one.'))
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(FieldError(field, 'What follows "whsec_" is not base64. Send "generate" to get a new secret.')) from None
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise Invalid(FieldError(field, f'What follows "whsec_" has to be {MIN_BYTES} to {MAX_BYTES} bytes in base64, not {len(key)}.'))
    return key


def sign(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes, private: Ed25519PrivateKey | None = None) -> str:
    """The value of `webhook-signature`: one `v1,...` for each key, and `v1a,...` by `private`. `timestamp` in Unix seconds."""
    content = b"%b.%d.%b" % (message_id.encode(errors="surrogateescape"), timestamp, body)
    made = ["v1," + base64.b64encode(_digest(key, content)).decode() for key in keys]
    if private is not None:
        made.append("v1a," + base64.b64encode(private.sign(content)).decode())
    return " ".join(made)


def _digest(key: bytes, content: bytes) -> bytes:
    # Not hmac.digest: it lets go of the interpreter each time, and beside a busy thread getting that back takes longer than all the rest.
    started = _started(key).copy()
    started.update(content)
    return started.digest()


@lru_cache(maxsize=4096)
def _started(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def verify(keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, now: Micros) -> str | None:
    """None where `body` is signed with one of the keys and not older or newer than 5 minutes, else a sentence that says what is wrong.

    The names in `headers` are in lower case.
    """
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not headers.get(name)]
    if missing:
        return f"The header {missing[0]} is missing."
    text = headers["webhook-timestamp"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        return "The header webhook-timestamp is not a number of seconds."
    age = now // SECOND - int(text)
    if abs(age) > TOLERANCE_SECONDS:
        return f"The message is {age} s old; more than {TOLERANCE_SECONDS} s is not accepted." if age > 0 else f"The message is dated {-age} s in the future."
    expected = sign(keys, headers["webhook-id"], int(text), body).split(" ")
    given = headers["webhook-signature"].split(" ")
    if any(hmac.compare_digest(one.encode(), other.encode(errors="replace")) for one in expected for other in given):
        return None
    return "No signature fits: the secret is another one, or the message was changed on its way."

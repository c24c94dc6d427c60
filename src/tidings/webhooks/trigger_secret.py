"""The secret in a trigger URL."""

import re
import secrets

from tidings.errors import FieldError, Invalid

_OWN = re.compile(r"[A-Za-z0-9._~-]{16,128}")


def new_trigger_secret() -> str:
    """A new secret: 32 lower-case hex characters, 128 random bits."""
    return secrets.token_hex(16)


def check_trigger_secret(secret: str) -> str:
    """A user's own secret, if it will do. Raises Invalid."""
    if not _OWN.fullmatch(secret):
        raise Invalid(FieldError("secret", 'It has to be 16 to 128 characters of A-Z a-z 0-9 . _ ~ - to stand in a URL. Send "generate" to get a new one.'))
    return secret

"""Secrets at rest: sealed with AES-256-GCM, found again by a MAC, under keys that rotate.

A sealed text is `KEYID.base64url(nonce || ciphertext || tag)`. Where it stands (table, row, column) is authenticated with it, so that
one secret copied over another does not open.
"""

import base64
import binascii
import hmac
import json
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tidings.errors import FieldError, Invalid, TidingsError

KEY_BYTES = 32
NONCE_BYTES = 12
FILE_NAME = "secret.key"
SETTING = "TIDINGS_SECRET_KEY"


@dataclass(frozen=True, slots=True)
class _Key:
    """What is derived from one secret key (HKDF-SHA-256, RFC 5869), each for one purpose."""

    id: str
    seal: AESGCM
    lookup: bytes


class SecretBox:
    """Seals with the first key, opens with any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key.id: key for key in map(_derive, keys)}
        self._newest = next(iter(self._keys.values()))

    def seal(self, text: str, table: str, row_id: str, column: str) -> str:
        """`text`, readable only by `open` with the same place."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._newest.seal.encrypt(nonce, text.encode(), _place(table, row_id, column))
        return f"{self._newest.id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, table: str, row_id: str, column: str) -> str:
        """The text that was sealed for this place. TidingsError with the code `wrong_secret_key` or `sealed_damaged`."""
        key_id, _, content = sealed.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            raise TidingsError(
                f"A secret in {table} was sealed with the key {key_id[:8]!r}, which is not the present one ({', '.join(self._keys)}). "
                f"Set {SETTING} to the former key, or to the new and the former one, separated by a comma.",
                code="wrong_secret_key",
            )
        try:
            raw = base64.b64decode(content, altchars=b"-_", validate=True)
            return key.seal.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _place(table, row_id, column)).decode()
        except (InvalidTag, ValueError):
            raise TidingsError(
                f"The {column} of {row_id} in {table} can't be opened: it was changed or put there from elsewhere. Enter it anew, or restore a backup.",
                code="sealed_damaged",
            ) from None

    def lookup_mac(self, hook_id: str, secret: str) -> bytes:
        """What a trigger secret is found by: HMAC-SHA-256 over the hook's id and the secret, 32 bytes, under the newest key."""
        return _mac(self._newest, hook_id, secret)

    def lookup_macs(self, hook_id: str, secret: str) -> tuple[bytes, ...]:
        """The same under every key, the newest first: what was stored before a change of keys is found as well."""
        return tuple(_mac(key, hook_id, secret) for key in self._keys.values())


def load_or_create_secret_key(home: Path, given: str | None) -> tuple[bytes, ...]:
    """The secret keys, the sealing one first: those of the setting, else the one in the home folder, made at the first start.

    Raises Invalid with a sentence where a key is malformed or can't be read or written.
    """
    if given is not None:
        return tuple(parse_secret_key(part, SETTING) for part in given.split(","))
    path = home / FILE_NAME
    try:
        return (parse_secret_key(_read_or_create(path), str(path)),)
    except OSError as error:
        raise Invalid(
            FieldError(str(path), f"the secret key can't be kept there: {error.strerror or error}. Make the folder writable for Tidings, or set {SETTING}.")
        ) from None


def parse_secret_key(text: str, field: str) -> bytes:
    """32 bytes out of 64 hex digits or of base64 (plain or URL-safe, padded or not). The text itself is never repeated."""
    text = text.strip()
    key = b""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        key = bytes.fromhex(text)
    elif re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", text):
        with suppress(binascii.Error):
            key = base64.b64decode(text.rstrip("=").replace("-", "+").replace("_", "/") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    if len(key) != KEY_BYTES:
        has = f"is {len(key)} bytes long" if key else "is neither"
        raise Invalid(FieldError(field, f"it has to be 32 random bytes in base64 or hex; this {has}. `openssl rand -hex 32` makes one."))
    return key


def _read_or_create(path: Path) -> str:
    """The text of the key file. Of several processes that start at once, one makes it and all read the same, whole or not at all."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii", errors="replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - opens a descriptor
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename, never replaces the key of another process that was quicker
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # what is sealed with this key must not outlive it
    finally:
        os.close(folder)
    return path.read_text(encoding="ascii", errors="replace")


def _derive(key: bytes) -> _Key:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a secret key has {KEY_BYTES} bytes, not {len(key)}")

    def derived(purpose: str, length: int = KEY_BYTES) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=f"tidings {purpose}".encode()).derive(key)

    return _Key(derived("key id", 4).hex(), AESGCM(derived("seal")), derived("lookup"))


def _place(table: str, row_id: str, column: str) -> bytes:
    return json.dumps([table, row_id, column]).encode()


def _mac(key: _Key, hook_id: str, secret: str) -> bytes:
    return hmac.digest(key.lookup, f"{hook_id}\n{secret}".encode(errors="surrogatepass"), "sha256")

"""Ed25519 keys of hooks (Standard Webhooks, `v1a`), and the key set (RFC 7517, RFC 8037) in which receivers find their public parts."""

import base64
import hashlib
import json
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.model.webhooks import PublicKey
from tidings.secretbox import SecretBox
from tidings.store import webhook_keys
from tidings.store.database import Database
from tidings.store.webhook_keys import StoredKey

PREFIX = "whpk_"
_KID = re.compile(r"[A-Za-z0-9_-]{43}")


def new_key(box: SecretBox) -> StoredKey:
    """A new key pair, its private part sealed."""
    private = Ed25519PrivateKey.generate()
    public = public_key(private.public_key().public_bytes_raw())
    return StoredKey(public, box.seal(base64.b64encode(private.private_bytes_raw()).decode(), "webhook_keys", public.kid, "sealed"))


def open_private(box: SecretBox, kid: str, sealed: str) -> Ed25519PrivateKey:
    """The private part of a key. TidingsError where it was sealed with a key that is not known here."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(box.open(sealed, "webhook_keys", kid, "sealed")))


def public_key(raw: bytes) -> PublicKey:
    """A public key of 32 bytes under its name: the thumbprint of its JWK (RFC 7638)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}  # in this order
    return PublicKey(_base64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()), raw)


def shown(key: PublicKey) -> str:
    """A public key as Standard Webhooks writes it."""
    return PREFIX + base64.b64encode(key.raw).decode()


def jwk(key: PublicKey) -> dict[str, str]:
    """A public key as a JSON Web Key."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(key.raw), "kid": key.kid, "use": "sig", "alg": "EdDSA"}


async def key_set(db: Database, kid: str | None) -> list[dict[str, str]]:
    """The keys that receivers may verify with, as JSON Web Keys; or the one of this id, if there is one. Nothing says whose they are."""
    if kid is not None and not _KID.fullmatch(kid):
        return []
    return [jwk(key) for key in await db.read(webhook_keys.listed, kid)]


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

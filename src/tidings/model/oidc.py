"""Signing in elsewhere, as pages and rooms pass it on: what a browser keeps meanwhile, and whom a provider vouches for."""

import json
from dataclasses import asdict, dataclass

from tidings import clock
from tidings.clock import Micros

LASTS: Micros = 600 * clock.SECOND  # somebody who has gone to the provider comes back within this


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a browser keeps, sealed, while somebody is at the provider. `path`: where to go on to."""

    state: str
    nonce: str
    verifier: str
    path: str
    at: Micros

    def packed(self) -> str:
        """As a text."""
        return json.dumps(asdict(self))

    @classmethod
    def unpacked(cls, text: str) -> "Attempt":
        """Out of such a text."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a provider vouches for; the address is verified, in lower case."""

    issuer: str
    subject: str
    email: str

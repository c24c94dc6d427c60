"""Certificates: who is trusted, and until when."""

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any


@cache
def verifying() -> ssl.SSLContext:
    """Trusts whom the machine trusts. Reading its authorities takes a while: once for all."""
    return ssl.create_default_context()


def end_of(certificate: Mapping[str, Any] | None) -> int | None:
    """When a certificate (as `getpeercert` gives it) ends, in microseconds since 1970 UTC."""
    return ssl.cert_time_to_seconds(certificate["notAfter"]) * 1_000_000 if certificate else None

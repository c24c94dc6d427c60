"""Why no whole answer came, as a sentence for the person who looks after the endpoint."""

import errno
import ssl

import aiohttp

from tidings.errors import RequestFailed
from tidings.outbound.guard import Target

# OpenSSL's verdicts on a certificate (x509_vfy.h).
CERTIFICATE = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself, not by an authority that this machine trusts",
    19: "is signed by an authority that this machine does not trust",
    20: "is signed by an authority that this machine does not know; the endpoint may leave out an intermediate certificate",
    21: "is signed by an authority that this machine does not know; the endpoint may leave out an intermediate certificate",
    62: "is made out to another name",
    64: "is made out to another address",
}
CONNECT = {
    errno.ECONNREFUSED: "refused the connection: nothing listens there",
    errno.ECONNRESET: "closed the connection at once",
    errno.EHOSTUNREACH: "can't be reached: there is no route to it",
    errno.ENETUNREACH: "can't be reached: there is no route to its network",
    errno.ETIMEDOUT: "did not accept a connection in time",
}
LATE = {
    "lookup": "The name {host} could not be looked up within {seconds:g} s.",
    "connect": "{place} did not accept a connection within {seconds:g} s.",
    "answer": "{place} gave no answer within {seconds:g} s.",
    "body": "{place} began an answer, but did not end it within {seconds:g} s.",
}


def too_late(target: Target, seconds: float, phase: str) -> RequestFailed:
    """The deadline passed in this phase."""
    sentence = LATE.get(phase, LATE["answer"])
    return RequestFailed(sentence.format(host=target.host, place=place(target), seconds=seconds), code="timeout")


def failed(target: Target, error: aiohttp.ClientError | ValueError, phase: str) -> RequestFailed:
    """What the HTTP client came upon in this phase."""
    where = place(target)
    match error:
        case aiohttp.ClientConnectorCertificateError():
            code, said = "tls", f"The TLS certificate of {where} {_certificate(error.certificate_error)}."
        case aiohttp.ClientConnectorSSLError():
            code, said = "tls", f"No TLS connection with {where} came about: {_tls(error.os_error)}."
        case aiohttp.ClientConnectorError():
            known = CONNECT.get(error.os_error.errno or 0)
            code, said = "connect", f"{where} {known}." if known else f"{where} can't be connected to: {error.os_error.strerror or error.os_error}."
        case aiohttp.ClientPayloadError():
            code, said = "broken", f"{where} broke off in the middle of its answer."
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            code, said = "broken", f"{where} closed the connection {'in the middle of its answer' if phase == 'body' else 'without an answer'}."
        case aiohttp.ClientResponseError():
            code, said = "broken", f"{where} answered with something that is not HTTP, or with headers that are too large."
        case ValueError():
            code, said = "unsendable", f"The request can't be sent: {error}. Correct the URL or the custom headers."
        case _:
            code, said = "broken", f"{where} could not be asked: {error}."
    return RequestFailed(said, code=code)


def place(target: Target) -> str:
    """Host and port, as in a URL."""
    return target.endpoint.partition("://")[2]


def _certificate(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE.get(error.verify_code, f"will not do: {error.verify_message}")
    return f"will not do: {error}"


def _tls(error: OSError) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if reason in {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}:
        return "it does not speak TLS at this port"
    return str(reason).replace("_", " ").lower()

"""Why no whole answer came, as a sentence for the person who looks after the endpoint."""

import errno
import ssl
from collections.abc import Iterator

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
    "tls": "{place} accepted a connection, but did not finish the TLS handshake within {seconds:g} s.",
    "answer": "{place} gave no answer within {seconds:g} s.",
    "body": "{place} began an answer, but did not end it within {seconds:g} s.",
}


class Malformed(Exception):
    """What came is not to be read as an answer; the text says why, to stand behind a colon."""


def too_late(target: Target, seconds: float, phase: str) -> RequestFailed:
    """The deadline passed in this phase."""
    sentence = LATE.get(phase, LATE["answer"])
    return RequestFailed(sentence.format(host=target.host, place=place(target), seconds=seconds), code="timeout")


def failed(target: Target, error: Exception, phase: str, seconds: float) -> RequestFailed:
    """What a transport came upon in this phase of a request that had so many seconds."""
    where = place(target)
    match error:
        case TimeoutError(errno=None):
            return too_late(target, seconds, phase)
        case ssl.SSLCertVerificationError():
            code, said = "tls", f"The TLS certificate of {where} {CERTIFICATE.get(error.verify_code, f'will not do: {error.verify_message}')}."
        case ssl.SSLError() if phase != "body":
            code, said = "tls", f"No TLS connection with {where} came about: {_tls(error)}."
        case OSError() if phase == "tls":
            code, said = "tls", f"No TLS connection with {where} came about: it closed the connection in the middle of the handshake."
        case OSError() if phase == "connect":
            known = CONNECT.get(error.errno or 0)
            code, said = "connect", f"{where} {known}." if known else f"{where} can't be connected to: {error.strerror or error}."
        case Malformed() if phase == "body":
            code, said = "broken", f"{where} broke the rules of HTTP in the middle of its answer: {error}."
        case Malformed():
            code, said = "broken", f"{where} answered with something that is not HTTP, or with headers that are too large: {error}."
        case OSError():
            code, said = "broken", f"{where} closed the connection {'in the middle of its answer' if phase == 'body' else 'without an answer'}."
        case _:
            code, said = "unsendable", f"The request can't be sent: {error}. Correct the URL or the custom headers."
    return RequestFailed(said, code=code)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it, as libraries hand them on: chained, or as arguments."""
    found = [error]
    for one in found:
        yield one
        inner = (one.__cause__, one.__context__, *one.args)
        found += [each for each in inner if isinstance(each, BaseException) and all(each is not known for known in found)]


def place(target: Target) -> str:
    """Host and port, as in a URL."""
    return target.endpoint.partition("://")[2]


def _tls(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if reason in {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}:
        return "it does not speak TLS at this port"
    return str(reason).replace("_", " ").lower()

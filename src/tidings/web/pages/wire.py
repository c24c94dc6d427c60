"""What went over the wire, as people read it: JSON in colours, an attempt's time in phases, a request as a curl command. Pure."""

import json
import re
import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from tidings.model.webhooks import Attempt

LONGEST = 6000  # characters of a body that are shown, in colours three times as many
_TOKENS = re.compile(
    r'(?P<k>"(?:[^"\\]|\\.)*"(?=\s*:))|(?P<s>"(?:[^"\\]|\\.)*")|(?P<n>[\w.+-]+)|(?P<empty>\{\s*\}|\[\s*\])|(?P<open>[{\[])|(?P<close>[}\]])|[,:]'
)
_PHASES = (("lookup", "DNS"), ("connect", "Connect"), ("tls", "TLS"), ("firstByte", "First byte"))
_DEEPEST = 12  # steps that are indented
_SCALE = 1000  # units of a bar's width


@dataclass(frozen=True, slots=True)
class Shown:
    """A body as a page shows it; `whole`: all of it, not its beginning."""

    markup: Markup
    whole: bool


def as_read(text: str) -> Shown:
    """A body, indented and in colours where it is JSON, each number and name as it was written; cut where it is long."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return Shown(escape(text[:LONGEST]), whole=len(text) <= LONGEST)
    pieces, depth, length, whole = [], 0, 0, True
    for token in _TOKENS.finditer(text):
        kind, said = token.lastgroup, token[0][:LONGEST]
        depth += (kind == "open") - (kind == "close")
        line = "\n" + "  " * min(depth, _DEEPEST)
        if kind in {"k", "s", "n"}:
            pieces.append(Markup('<span class="{}">{}</span>').format(kind, said))
        else:
            pieces.append(escape({"open": said + line, "close": line + said}.get(kind or "", {",": "," + line, ":": ": "}.get(said, said))))
        length += len(pieces[-1])
        if length > 3 * LONGEST or len(token[0]) > LONGEST:
            whole = len(token[0]) <= LONGEST and not text[token.end() :].strip()
            break
    return Shown(Markup("").join(pieces), whole)


@dataclass(frozen=True, slots=True)
class Phase:
    """A piece of an attempt's time: where it begins and how wide it is on a bar of 1000 units. `kind`: the class of its colour."""

    kind: str
    name: str
    milliseconds: float
    start: int
    width: int


def phases(attempt: Attempt) -> list[Phase]:
    """An attempt's time, piece by piece, in order; what none of the measured phases took, at its end. Nothing where it was not measured."""
    if not attempt.phases or not (total := float(attempt.phases.get("total", 0))):
        return []
    found = [(kind.lower(), name, float(attempt.phases[kind])) for kind, name in _PHASES if attempt.phases.get(kind)]
    rest = max(total - sum(took for _, _, took in found), 0.0)
    found.append(("rest", "The rest", rest) if attempt.status is not None else ("lost", "Waited in vain", rest))
    shown, at = [], 0.0
    for kind, name, took in found:
        start = round(_SCALE * at / total)
        shown.append(Phase(kind, name, took, start, min(max(round(_SCALE * took / total), 4), _SCALE - start)))
        at += took
    return [phase for phase in shown if phase.milliseconds >= 0.001 * total]


def as_curl(url: str, headers: Mapping[str, str], body: str) -> str:
    """A command for a shell that sends the same again. What is masked in `headers` stays so."""
    place = re.match(r"[^/?#]*(//[^/?#]*)?", url)[0]  # type: ignore[index] # also the empty text fits
    url = place + quote(url[len(place) :], safe=string.punctuation)  # curl leaves a path as it is typed, but a host's letters it encodes itself
    options = [*(["--globoff"] if re.search(r"[\[\]{}]", url) else []), *(["--path-as-is"] if "/." in url else [])]
    words = ["curl", *options, shlex.quote(url)]
    lines = [" ".join(words)] + [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    return " \\\n  ".join([*lines, f"--data-raw {shlex.quote(body)}"])


def status_line(status: int) -> str:
    """`503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def milliseconds(took: Any) -> str:
    """`0.4 ms`, `41 ms`, `15,000 ms`."""
    return f"{took:.1f} ms" if took < 10 and took != int(took) else f"{took:,.0f} ms"

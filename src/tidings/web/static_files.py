"""The stylesheet, scripts, icons and font: read once, served under an address that changes with what is in them, so that browsers keep them."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
PATH = "/static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent; `packed` by gzip, None where that makes it no smaller."""

    body: bytes
    packed: bytes | None
    media_type: str


@cache
def files() -> dict[str, StaticFile]:
    """Every file by its name."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}


@cache
def version() -> str:
    """What the files are, in 12 characters."""
    whole = hashlib.sha256()
    for name, file in files().items():
        whole.update(name.encode() + b"\0" + file.body)
    return whole.hexdigest()[:12]


def address(name: str) -> str:
    """Where a file is served, below our own root."""
    assert name in files(), name
    return f"{PATH}/{version()}/{name}"


async def answer(request: Request) -> Response:
    """A file, or that the browser has it already. The address names a version: a page from before an upgrade asks for an older one, and is
    given the present one, not to be kept."""
    request.scope["route"] = ROUTE
    file = files().get(request.path_params["name"])
    if file is None:
        return PlainTextResponse("There is no such file.", 404)
    tag = f'"{version()}"'
    headers = {"ETag": tag, "Cache-Control": _FOREVER if request.path_params["version"] == version() else "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
    return Response(file.body, headers=headers, media_type=file.media_type)


ROUTE = Route(f"{PATH}/{{version}}/{{name}}", answer)


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0)
    return StaticFile(body, packed if len(packed) < len(body) * 0.9 else None, _TYPES[path.suffix])

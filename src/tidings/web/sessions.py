"""What the pages keep in a browser: the session, or before it a visit; a token for forms that hangs on either; what is to be said on the next page.

A form carries an HMAC under what the cookie holds, so that another site, which can't read the cookie, can't make one; and a browser that says
where a request comes from has to name us.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from tidings.errors import Forbidden
from tidings.web.services import Services
from tidings.workspaces.sign_in import LONGEST

SESSION = "tidings_session"
VISIT = "tidings_visit"  # random, for the forms of those who have not signed in
SAID = "tidings_said"
TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field
TOKEN_HEADER = "x-form-token"  # noqa: S105 - the name of a header, for scripts
_OF_SESSION = "form of the session"
LONGEST_SAID = 600  # characters


def is_secure(connection: HTTPConnection, services: Services) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy that the base URL names."""
    base = urlsplit(services.base_url)
    return connection.url.scheme == "https" or (base.scheme == "https" and connection.headers.get("host", "").lower() == base.netloc.lower())


def kept(connection: HTTPConnection, services: Services, name: str) -> str | None:
    """What a cookie of ours holds; None where it is not there."""
    return connection.cookies.get(_name(connection, services, name)) or None


def keep(response: Response, connection: HTTPConnection, services: Services, name: str, value: str, *, seconds: int | None = None) -> None:
    """Sets a cookie of ours, for a while or until the browser closes. Scripts can't read it, other sites don't send it with forms."""
    secure = is_secure(connection, services)
    response.set_cookie(_name(connection, services, name), value, seconds, path="/", secure=secure, httponly=True, samesite="lax")


def keep_session(response: Response, connection: HTTPConnection, services: Services, token: str) -> None:
    """The browser is signed in from now on."""
    keep(response, connection, services, SESSION, token, seconds=LONGEST // 1_000_000)
    drop(response, connection, services, VISIT)


def drop(response: Response, connection: HTTPConnection, services: Services, name: str) -> None:
    """Takes a cookie of ours back."""
    keep(response, connection, services, name, "", seconds=0)


def form_token(secret: str, workspace_id: str) -> str:
    """What the forms of a session or a visit carry: a half that hangs on it alone, and one that hangs on the workspace ("" for a visit) too, so that a
    form that stands open in another tab is not carried out in the workspace that was switched to."""
    return _half(secret, _OF_SESSION) + _half(secret, f"form of {workspace_id}")


def is_of_workspace(secret: str, workspace_id: str, given: str) -> bool:
    """Whether a form that was made for this session was made in this workspace."""
    return hmac.compare_digest(form_token(secret, workspace_id).encode(), given.encode())


def _half(secret: str, about: str) -> str:
    return hmac.digest(secret.encode(), about.encode(), hashlib.sha256).hex()[:32]


def check_origin(connection: HTTPConnection, services: Services) -> None:
    """Forbidden where the browser says that an unsafe request comes from another site."""
    origin = connection.headers.get("origin")
    ours = {connection.headers.get("host", "").lower(), urlsplit(services.base_url).netloc.lower()}
    if (origin is not None and _host_in(origin) not in ours) or connection.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        raise Forbidden("This request came from another site, so nothing was done. Open the page here, and send its form.")


def check_form_token(among: Sequence[str | None], given: str) -> None:
    """Forbidden where a form was not made for the session or visit that one `among` these secrets is of."""
    if not any(hmac.compare_digest(_half(secret, _OF_SESSION).encode(), given[:32].encode()) for secret in among if secret is not None):
        raise Forbidden("This form has expired, so nothing was done. Go back, load the page again, and send it once more.")


def packed(kind: str, sentence: str) -> str:
    """What is said on the next page, as a cookie holds it."""
    return base64.urlsafe_b64encode(f"{kind} {sentence[:LONGEST_SAID]}".encode()).decode()


def unpacked(value: str) -> tuple[str, str] | None:
    """The kind (`good`, `bad`) and the sentence; None where it is not ours."""
    try:
        kind, _, sentence = base64.urlsafe_b64decode(value.encode()).decode().partition(" ")
    except (binascii.Error, UnicodeError):
        return None
    return (kind, sentence) if kind in {"good", "bad"} and sentence else None


def _host_in(origin: str) -> str | None:
    """The host and port of an origin; None where it names none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _name(connection: HTTPConnection, services: Services, name: str) -> str:
    """With the prefix that makes browsers hold a cookie to this host and to TLS, where there is TLS."""
    return f"__Host-{name}" if is_secure(connection, services) else name

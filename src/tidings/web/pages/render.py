"""Templates, what all of them can use, and the answers that pages are."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidings.model.freshness import lasting
from tidings.settings import MASK
from tidings.web import sessions, static_files
from tidings.web.pages import words
from tidings.web.pages.forms import marks
from tidings.web.services import Services

TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the side bar; `key` is the letter that leads there after `g`, `also` where else it is the present one, with a slash at the end."""

    path: str
    name: str
    icon: str
    key: str
    also: tuple[str, ...] = ()


PLACES = (
    Place("/app/bots", "Bots", "bot", "b", also=("/app/data-sources/", "/app/syncs/", "/app/webhooks/")),
    Place("/app/deliveries", "Deliveries", "send", "d"),
    Place("/app/inbox", "Inbox", "inbox", "i"),
    Place("/app/activity", "Activity", "activity", "a"),
    Place("/app/usage", "Usage", "gauge", "u"),
    Place("/app/settings", "Settings", "settings", "s"),
)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser would not say where forms come from
}
_ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000"}


@lru_cache(maxsize=8)
def environment(root: str, provider: str | None) -> Environment:
    """The templates of a house below this path, where people can sign in at this provider: escaped always, an unknown name is an error."""
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals |= {"url": lambda path: f"{root}{path}", "static": lambda name: f"{root}{static_files.address(name)}", "places": PLACES}
    made.globals["mask"] = MASK
    made.globals["provider"] = provider
    made.filters |= {
        "ago": words.ago,
        "due": words.due,
        "capital": words.capital,
        "exact": words.exact,
        "planned": words.planned,
        "share": words.share,
        "lasting": lasting,
        "grouped": words.grouped,
        "size": words.size,
        "tokens": words.tokens,
        "plural": words.plural,
        "source_icon": words.source_icon,
        "source_kind": words.source_kind,
        "browser": words.browser,
        "coded": words.coded,
        "took": words.took,
        "host": words.host,
        "for_people": words.for_people,
        "marks": marks,
    }
    return made


def root_of(services: Services) -> str:
    """The path that Tidings lives below, without a slash at its end; nothing where it has a host for itself."""
    return urlsplit(services.base_url).path.rstrip("/")


def fragment(request: Request, template: str, **shown: Any) -> str:
    """A template as text, for parts of pages that are streamed."""
    made: Environment = request.state.templates
    return made.get_template(template).render(visitor=request.state.visitor, form_token=request.state.form_token, **shown)


def render(request: Request, template: str, status: int = 200, **shown: Any) -> Response:
    """A whole page. What was to be said on it is said, once."""
    services: Services = request.state.services
    said = sessions.kept(request, services, sessions.SAID)
    page = fragment(request, template, said=sessions.unpacked(said) if said else None, path=request.url.path, lacking=request.state.lacking, **shown)
    answer = Response(page, status, _HEADERS, "text/html")
    if sessions.is_secure(request, services):
        answer.headers.update(_ONLY_TLS)
    if said:
        sessions.drop(answer, request, services, sessions.SAID)
    if request.state.new_visit is not None:
        sessions.keep(answer, request, services, sessions.VISIT, request.state.new_visit)
    return answer


def go(request: Request, path: str, *, said: str | None = None, kind: str = "good") -> Response:
    """Leads to another page of ours after a form was carried out, which then says `said`."""
    services: Services = request.state.services
    answer = RedirectResponse(f"{root_of(services)}{path}", 303)
    if said is not None:
        sessions.keep(answer, request, services, sessions.SAID, sessions.packed(kind, said), seconds=60)
    return answer

"""The way in and out: `/`, the first visit, signing in and out."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidings import example
from tidings.errors import Conflict, FieldError, Invalid, TidingsError, TooMany
from tidings.web import sessions
from tidings.web.pages.calling import House, Member
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import go, render
from tidings.web.pages.words import capital
from tidings.web.services import Services
from tidings.workspaces import sign_in
from tidings.workspaces.setup import is_set_up, setup_in_browser

router = APIRouter()

HOME = "/app/bots"


@router.get("/")
@router.get("/app")
async def root(request: Request, house: House) -> Response:
    """Where one belongs."""
    if request.state.visitor is not None:
        return go(request, HOME)
    return go(request, "/login" if await is_set_up(house.db) else "/setup")


@router.get("/setup")
async def first_visit(request: Request, house: House) -> Response:
    """Asks for the first owner, while there is none."""
    if await is_set_up(house.db):
        return go(request, "/login", said="Tidings is set up already. Sign in.")
    return render(request, "setup.html", form=Form({"workspace": "My workspace", "example": "yes"}))


@router.post("/setup")
async def set_up(request: Request, house: House) -> Response:
    """Makes the first owner and workspace, and signs in; where the example bot was wanted, to its inbox."""
    form = sent(request)
    try:
        workspace_id = await setup_in_browser(house.db, house.settings, form["email"], form["password"], form["workspace"])
    except Invalid as error:
        return render(request, "setup.html", 422, form=form.refused(error))
    except Conflict:
        return go(request, "/login", said="Tidings is set up already. Sign in.")
    token = await sign_in.begin_for(house.db, form["email"], **whence(request))
    if form["example"] != "yes":
        return await signed_in(request, house, token, HOME)
    try:
        inbox = await example.make(house.db, house.settings, house.secretbox, house.outbound, house.base_url, workspace_id)
    except TidingsError as error:
        return await signed_in(request, house, token, HOME, said=f"Everything is set up but the example bot, which can't be made. {error}")
    return await signed_in(request, house, token, f"/app/inbox/{inbox.id}")


@router.get("/login")
async def ask(request: Request, house: House) -> Response:
    """Asks who is there."""
    wanted = ours(request.query_params.get("next", HOME))
    if request.state.visitor is not None:
        return go(request, wanted)
    if not await is_set_up(house.db):
        return go(request, "/setup")
    return render(request, "login.html", form=Form({"next": wanted}))


@router.post("/login")
async def log_in(request: Request, house: House) -> Response:
    """Signs in, and goes on to where one wanted to."""
    form = sent(request)
    try:
        token = await sign_in.sign_in(house.db, form["email"], form["password"], **whence(request))
    except Invalid as error:
        return render(request, "login.html", 422, form=form.refused(error))
    except TooMany as error:
        return render(request, "login.html", 429, form=form.refused(Invalid(FieldError("password", str(error)))))
    return await signed_in(request, house, token, ours(form["next"]))


@router.post("/logout")
async def log_out(request: Request, visitor: Member, house: House) -> Response:
    """Ends this session."""
    await sign_in.sign_out(house.db, visitor)
    provider = house.settings.oidc_name if house.settings.oidc_issuer else None
    answer = go(request, "/login", said="You are signed out." if provider is None else f"You are signed out here. {capital(provider)} may still know you.")
    sessions.drop(answer, request, house, sessions.SESSION)
    return answer


async def signed_in(request: Request, house: Services, token: str, path: str, said: str | None = None) -> Response:
    """Leads on with a new session; one that this browser had before has ended."""
    if request.state.visitor is not None:
        await sign_in.sign_out(house.db, request.state.visitor)
    answer = go(request, path, said=said, kind="bad")
    sessions.keep_session(answer, request, house, token)
    return answer


def whence(request: Request) -> dict[str, str | None]:
    """Where somebody signs in, for the list of sessions."""
    return {"address": request.client.host if request.client else None, "agent": request.headers.get("user-agent")}


def ours(path: str) -> str:
    """A page of ours to go on to, whatever somebody wrote into a link."""
    plain = path.isprintable() and path.isascii() and "\\" not in path and "//" not in path
    return path if plain and path.startswith("/app/") and len(path) < 2000 else HOME

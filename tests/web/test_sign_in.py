"""Signing in, sessions, forms' tokens, guesses, and what every page says in its head; on both databases."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tests.web.world import World, opened, settings_in
from tidings import clock
from tidings.settings import Settings
from tidings.store import members, sessions, workspaces
from tidings.store.transactions import Tx
from tidings.workspaces import sign_in

EMAIL, PASSWORD = "ann@example.com", "a-long-password"
KEPT = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)).hash(PASSWORD)  # a hash says what it costs: most tests are about other things


@contextlib.asynccontextmanager
async def browsing(world: World, base_url: str = "http://tidings.example", address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a session."""
    transport = httpx.ASGITransport(app=world.app, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=base_url, timeout=60) as client:
        yield client


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[World]:
    """A house with Ann, who owns the first workspace that was made for her. The test runs once on each kind of database."""
    async with opened(settings_in(settings)) as made:
        await made.services.db.write(_move_in, settings.default_plan)
        yield made


def _move_in(tx: Tx, plan: str) -> None:
    members.join(tx, workspaces.create(tx, "Northwind", plan), members.add_person(tx, EMAIL, KEPT), "owner")


@pytest.fixture
def later() -> Iterator[list[int]]:
    """Microseconds that are added to the clock: `later.append(...)`."""
    added: list[int] = []
    clock.set_source(lambda: _machine() + sum(added))
    yield added
    clock.set_source(None)


def _machine() -> int:
    import time

    return time.time_ns() // 1000


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


async def signed_in(client: httpx.AsyncClient, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """What the browser gets when Ann sends the form of /login."""
    token = token_in(await client.get("/login"))
    return await client.post("/login", data={"email": EMAIL, "password": password, "form_token": token, **fields})


async def test_a_session_begins_and_ends(house: World) -> None:
    async with browsing(house) as ann:
        refused = await ann.get("/app/bots?cursor=x")
        assert (refused.status_code, refused.headers["location"]) == (303, "/login?next=%2Fapp%2Fbots%3Fcursor%3Dx")
        begun = await signed_in(ann, next="/app/bots/new")
        assert (begun.status_code, begun.headers["location"]) == (303, "/app/bots/new")
        cookie = next(line for line in begun.headers.get_list("set-cookie") if line.startswith("tidings_session="))
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        page = await ann.get("/app/bots")
        assert page.status_code == 200
        held = ann.cookies["tidings_session"]
        assert held not in page.text
        ended = await ann.post("/logout", data={"form_token": token_in(page)})
        assert ended.headers["location"] == "/login"
        ann.cookies.set("tidings_session", held, domain="tidings.example")
        assert (await ann.get("/app/bots")).status_code == 303


async def test_over_tls_cookies_are_held_to_the_host(house: World) -> None:
    async with browsing(house, "https://tidings.example") as ann:
        answer = await signed_in(ann)
        cookie = next(line for line in answer.headers.get_list("set-cookie") if "tidings_session=" in line)
        assert cookie.startswith("__Host-tidings_session=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "max-age" in (await ann.get("/app/bots")).headers["strict-transport-security"]


@pytest.mark.parametrize("away", ["//evil.example/", "https://evil.example/app/", "/app/\\evil", "/login", "/app/..//evil.example"])
async def test_signing_in_leads_to_no_other_place(away: str, house: World) -> None:
    async with browsing(house) as ann:
        assert (await signed_in(ann, next=away)).headers["location"] == "/app/bots"


async def test_unsafe_requests_need_the_token_of_their_session(house: World) -> None:
    async with browsing(house) as ann, browsing(house) as eve:
        await signed_in(ann)
        foreign = token_in(await eve.get("/login"))
        own = token_in(await ann.get("/app/bots/new"))
        for token in ("", "0" * 64, foreign):
            assert (await ann.post("/app/bots/new", data={"name": "Bot", "form_token": token})).status_code == 403
        for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            assert (await ann.post("/app/bots/new", data={"name": "Bot", "form_token": own}, headers=headers)).status_code == 403
        assert "No bots yet" in (await ann.get("/app/bots")).text
        made = await ann.post("/app/bots/new", data={"name": "Bot", "form_token": own}, headers={"origin": "http://tidings.example"})
        assert made.status_code == 303


async def test_who_is_signed_out_meanwhile_is_led_back_to_the_form(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        token = token_in(await ann.get("/app/bots/new"))
        await ann.post("/logout", data={"form_token": token})
        late = await ann.post("/app/bots/new", data={"name": "Bot", "form_token": token}, headers={"referer": "http://tidings.example/app/bots/new"})
        assert late.status_code == 403
        assert "You are not signed in any more, so nothing was done." in late.text
        assert 'href="/login?next=/app/bots/new"' in late.text
        foreign = await ann.post("/app/bots/new", data={"form_token": token}, headers={"referer": "https://evil.example//evil.example/"})
        broken = await ann.post("/app/bots/new", data={"form_token": token}, headers={"referer": "http://["})
        assert (broken.status_code, "You are not signed in any more" in broken.text) == (403, True)
        assert "evil" not in (await signed_in(ann, next=re.findall(r"next=([^\"]*)", foreign.text)[0])).headers["location"]


async def test_what_went_wrong_is_said_between_the_side_bar_and_the_head_of_other_pages(house: World) -> None:
    async with browsing(house) as ann:
        assert 'aria-label="Main"' not in (await ann.get("/static/x/none.css")).text
        await signed_in(ann)
        lost = await ann.get("/app/bots/none")
        assert lost.status_code == 404
        assert 'aria-label="Main"' in lost.text
        assert "There is nothing at this address." in lost.text


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(house: World) -> None:
    async with browsing(house) as eve:
        wrong = await signed_in(eve, "not this one")
        unknown = await signed_in(eve, "not this one", email="nobody@example.com")
        assert wrong.status_code == unknown.status_code == 422
        assert wrong.text == unknown.text.replace("nobody@example.com", EMAIL)


async def test_guesses_are_few(house: World, later: list[int]) -> None:
    async with browsing(house) as eve, browsing(house, address="192.0.2.2") as ann:
        for _ in range(sign_in.GUESSES_OF_ACCOUNT):
            assert (await signed_in(eve, "not this one")).status_code == 422
        assert (await signed_in(ann)).status_code == 429  # of this account, wherever they come from
        later.append(sign_in.GUESSES_WITHIN + clock.SECOND)
        assert (await signed_in(ann)).status_code == 303


async def test_guesses_from_one_address_are_few_whatever_the_account(house: World) -> None:
    db = house.services.db
    about = sign_in.about_address("192.0.2.1")
    for _ in range(sign_in.GUESSES_FROM_ADDRESS):
        await db.write(sessions.guess, about, clock.now(), clock.now() - sign_in.GUESSES_WITHIN)
    async with browsing(house) as eve, browsing(house, address="192.0.2.2") as ann:
        assert (await signed_in(eve)).status_code == 429
        assert (await signed_in(ann)).status_code == 303


async def test_whoever_signs_in_does_not_count_among_the_failed_attempts_from_an_address(house: World) -> None:
    db = house.services.db
    about = sign_in.about_address("192.0.2.1")
    for _ in range(sign_in.GUESSES_FROM_ADDRESS - 1):
        await db.write(sessions.guess, about, clock.now(), clock.now() - sign_in.GUESSES_WITHIN)
    for password, status in ((PASSWORD, 303), (PASSWORD, 303), ("not this one", 422), (PASSWORD, 429)):
        async with browsing(house) as ann:
            assert (await signed_in(ann, password)).status_code == status


@pytest.mark.parametrize(("passes", "uses"), [(sign_in.IDLE, 1), (sign_in.LONGEST, 12)])
async def test_a_session_ends_by_itself(passes: int, uses: int, house: World, later: list[int]) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        for _ in range(uses):
            assert (await ann.get("/app/bots")).status_code == 200
            later.append(passes // uses + clock.SECOND)
        assert (await ann.get("/app/bots")).status_code == 303
        assert await house.services.db.write(sign_in.prune, 100) >= 1


async def test_a_changed_password_ends_the_sessions_elsewhere(house: World) -> None:
    db = house.services.db
    here, there = [await sign_in.sign_in(db, EMAIL, PASSWORD, address="192.0.2.1", agent="Test") for _ in range(2)]
    ann = await sign_in.visitor_of(db, here)
    assert ann is not None
    assert {(each.address, each.agent) for each in await sign_in.sessions_of(db, ann)} == {("192.0.2.1", "Test")}
    anew = await sign_in.change_password(db, ann, PASSWORD, "another-long-password")
    assert await sign_in.visitor_of(db, anew) == ann
    assert await sign_in.visitor_of(db, here) is None
    assert await sign_in.visitor_of(db, there) is None
    await sign_in.sign_in(db, EMAIL, "another-long-password", address=None, agent=None)
    assert len(await sign_in.sessions_of(db, ann)) == 2
    await sign_in.sign_out_elsewhere(db, ann)
    assert [each.id for each in await sign_in.sessions_of(db, ann)] == [ann.session_id]


async def test_members_change_nothing(house: World) -> None:
    from sqlalchemy import update

    from tidings.store.tables import members

    async with browsing(house) as ann:
        await signed_in(ann)
        token = token_in(await ann.get("/app/bots/new"))
        bot = (await ann.post("/app/bots/new", data={"name": "Bot", "form_token": token})).headers["location"]
        await house.services.db.write(lambda tx: tx.execute(update(members).values(role="member")).rowcount)
        assert (await ann.get(f"{bot}/settings")).status_code == 200
        for path in ("/app/bots/new", f"{bot}/settings", f"{bot}/delete"):
            assert (await ann.post(path, data={"name": "Other", "form_token": token})).status_code == 403
        assert (await ann.get("/app/bots")).text.count("New bot") == 0


async def test_nobody_sees_the_bots_of_another_workspace(house: World) -> None:
    theirs = (await house.stranger.made("/bots", {"name": "Secret bot"}))["id"]
    async with browsing(house) as ann:
        await signed_in(ann)
        assert "Secret bot" not in (await ann.get("/app/bots")).text
        token = token_in(await ann.get("/app/bots/new"))
        for path in ("settings", "delete"):
            assert (await ann.get(f"/app/bots/{theirs}/{path}")).status_code == 404
            assert (await ann.post(f"/app/bots/{theirs}/{path}", data={"name": "Mine", "form_token": token})).status_code == 404


async def test_setting_up_is_over_once_somebody_is_there(house: World) -> None:
    async with browsing(house) as eve:
        assert (await eve.get("/setup")).headers["location"] == "/login"
        token = token_in(await eve.get("/login"))
        again = await eve.post("/setup", data={"email": "eve@example.com", "password": PASSWORD, "workspace": "Mine", "form_token": token})
        assert again.headers["location"] == "/login"
        assert "tidings_session" not in again.headers.get("set-cookie", "")


async def test_pages_say_what_a_browser_may_do_with_them(house: World) -> None:
    async with browsing(house) as guest:
        for path, status in (("/login", 200), ("/app/nothing", 404)):
            page = await guest.get(path)
            assert page.status_code == status
            policy = page.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["x-content-type-options"] == "nosniff"
            assert page.headers["cross-origin-opener-policy"] == "same-origin"
            assert page.headers["cache-control"] == "no-store"
            assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=", page.text)


async def test_pages_answer_a_head_and_say_which_methods_they_take(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        for path in ("/app/bots", "/app/account", "/login"):
            asked, got = await ann.head(path), await ann.get(path)
            assert (asked.status_code, asked.headers.get("content-type")) == (got.status_code, got.headers.get("content-type"))
        for path, allowed in (("/app/bots", "GET, HEAD"), ("/app/bots/new", "GET, HEAD, POST")):
            answer = await ann.put(path, headers={"x-form-token": token_in(await ann.get("/app/bots"))})
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_files_are_kept_by_browsers_and_changed_by_their_address(house: World) -> None:
    async with browsing(house) as guest:
        address = re.findall(r'href="(/static/[0-9a-f]{12}/app\.css)"', (await guest.get("/login")).text)[0]
        first = await guest.get(address)
        assert first.headers["content-encoding"] == "gzip"
        assert "immutable" in first.headers["cache-control"]
        assert (await guest.get(address, headers={"If-None-Match": first.headers["etag"]})).status_code == 304
        assert (await guest.get("/static/older/app.css")).headers["cache-control"] == "no-cache"
        assert (await guest.get("/static/older/..%2fapp.js")).status_code == 404


@pytest.mark.parametrize("body", ["form_token=" + "x" * 300_000, "&".join(f"f{n}=1" for n in range(600)), "name=%FF", "name=a%00b"])
async def test_forms_have_bounds(body: str, house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        answer = await ann.post("/app/bots/new", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
        assert answer.status_code in {413, 422}


@pytest.mark.parametrize("path", ["/bots", "/nope/of/this", "/docs/", "/apps", "//evil.example/", "/index.html"])
async def test_who_looks_for_a_page_where_there_is_none_is_told_so_on_a_page(path: str, house: World) -> None:
    async with browsing(house) as browser:
        page = await browser.get(f"http://tidings.example{path}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.status_code == 404
        assert "There is nothing at this address." in page.text
        assert page.headers["content-type"].startswith("text/html")
        program = await browser.get(f"http://tidings.example{path}", headers={"Accept": "*/*"})
        assert program.status_code == 404
        assert program.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/v1/bots", "/api/v2", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/.well-known/x"])
async def test_what_is_for_programs_answers_browsers_as_it_answers_them(path: str, house: World) -> None:
    async with browsing(house) as browser:
        seen, read = [await browser.get(path, headers={"Accept": accept}) for accept in ("text/html", "*/*")]
        assert (seen.status_code, seen.headers["content-type"]) == (read.status_code, read.headers["content-type"])


async def test_below_a_path_every_address_has_it(house: World) -> None:
    from dataclasses import replace

    from tidings.web.server import create_app

    app = create_app(replace(house.services, base_url="https://example.com/tidings"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://example.com") as guest:
        for path in ("/login", "/tidings/login"):  # a proxy takes the path off, or leaves it
            page = await guest.get(path)
            assert page.status_code == 200
            assert set(re.findall(r'(?:href|action|src)="(/[a-z]+)', page.text)) == {"/tidings"}
        assert (await guest.get("/tidings/")).headers["location"] == "/tidings/login"

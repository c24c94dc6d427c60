"""Signing in at a provider of OpenID Connect in a real browser: who comes in, who does not, and what stands there when the provider fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import Server, environment, serving
from tests.ports import free_port
from tests.web.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, a_provider

EVE = "eve@example.com"


@pytest.fixture
def port() -> int:
    """Where the provider will listen."""
    return free_port()


@pytest.fixture
def server(home: Path, port: int) -> Iterator[Server]:
    """A real `tidings serve` whose settings name a provider, which does not run yet."""
    provider = {"ISSUER": f"http://127.0.0.1:{port}", "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "NAME": "Example SSO"}
    oidc = {f"TIDINGS_OIDC_{name}": value for name, value in provider.items()}
    with serving(env=environment(home, TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8", **oidc)) as server:
        yield server


def goes(person: Person, provider: Provider, choice: str, button: str = "Sign in with Example SSO") -> None:
    """Presses the button of the provider, and chooses there."""
    person.presses(button)
    expect(person.page.get_by_role("heading", name="Who are you?")).to_be_visible()
    person.presses(choice)
    expect(person.page.get_by_role("heading", name="Who are you?")).to_have_count(0)
    assert all(url.startswith(f"{provider.url}/") for url in person.strayed), person.strayed
    person.strayed.clear()  # there they were meant to go


def sees_that_it_is_down(person: Person, picture: str) -> None:
    expect(person.page.get_by_role("alert")).to_contain_text("Example SSO does not answer")
    assert all("503" in each for each in person.said), person.said  # the browser's own words for this answer
    person.said.clear()
    person.looks(picture)


def test_people_sign_in_elsewhere(owner: Person, people: People, port: int) -> None:
    owner.presses("Sign out")
    expect(owner.page.get_by_text("You are signed out here. Example SSO may still know you.")).to_be_visible()
    owner.page.goto("/login")
    owner.looks("elsewhere-login")
    owner.presses("Sign in with Example SSO")
    sees_that_it_is_down(owner, "elsewhere-down")
    eve, plain = people(), people(java_script_enabled=False)
    with a_provider(port) as provider:
        owner.page.goto("/app/settings/members")
        goes(owner, provider, "Cancel")
        expect(owner.page.get_by_role("alert")).to_contain_text("Example SSO did not sign you in: you chose not to")
        owner.looks("elsewhere-cancelled")
        provider.claims = {"sub": "eve-1", "email": EVE}
        eve.page.goto("/login")
        goes(eve, provider, f"Sign in as {EVE}")
        expect(eve.page.get_by_role("alert")).to_contain_text("Ask an owner")
        eve.looks("elsewhere-stranger")
        provider.claims = {"sub": "ann-1", "email": EMAIL}
        goes(owner, provider, f"Sign in as {EMAIL}")
        owner.page.wait_for_url("**/app/settings/members")  # where she wanted to go
        owner.fills(email=EVE)
        owner.presses("Make a link")
        expect(owner.page.get_by_role("heading", name=f"A link for {EVE}")).to_be_visible()
        invitation = owner.page.locator(".once code").inner_text()
        owner.presses("Sign-in")
        owner.looks("elsewhere-settings")
        provider.claims = {"sub": "eve-1", "email": EVE}
        eve.page.goto(invitation)
        eve.looks("elsewhere-invited")
        goes(eve, provider, f"Sign in as {EVE}", "Join with Example SSO")
        eve.page.wait_for_url("**/app/bots")
        eve.page.goto("/app/account")
        expect(eve.page.get_by_text("have no password here")).to_be_visible()
        eve.looks("elsewhere-account")
        eve.page.goto("/app/settings")
        expect(eve.page.get_by_text("a member: you see what there is")).to_be_visible()
        plain.page.goto("/app/usage")
        goes(plain, provider, f"Sign in as {EVE}")
        plain.page.wait_for_url("**/app/usage")
        eve.presses("Sign out")
        eve.presses("Sign in with Example SSO")
    eve.presses(f"Sign in as {EVE}")  # the provider went away after it had sent her back
    eve.strayed.clear()
    sees_that_it_is_down(eve, "elsewhere-down-later")
    eve.page.reload()
    expect(eve.page.get_by_role("alert")).to_contain_text(re.compile("is over"))  # an answer counts once


def test_a_provider_with_a_long_name_and_issuer_makes_no_page_wider_than_a_phone(browser: Browser, home: Path) -> None:
    issuer = "https://login.example.com/72f988bf-86f1-41af-91ab-2d7cd011db47/realms/everybody-of-our-company/v2.0"
    provider = {"ISSUER": issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "NAME": "the single sign-on of our company and of all its customers"}
    (home / "long").mkdir()
    with serving(env=environment(home / "long", **{f"TIDINGS_OIDC_{name}": value for name, value in provider.items()})) as server:
        ann = Person(browser, server.url)
        ann.page.set_viewport_size({"width": 390, "height": 844})
        ann.page.goto("/setup")
        ann.sets_up(EMAIL, PASSWORD)
        ann.page.wait_for_url("**/app/bots")
        for path in ("/app/settings/sign-in", "/login"):
            ann.page.goto(path)
            assert ann.page.evaluate("document.documentElement.scrollWidth") == 390, path
            ann.context.clear_cookies()
        ann.context.close()

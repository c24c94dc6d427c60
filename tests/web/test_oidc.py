"""Signing in at a provider of OpenID Connect: who comes in, and what is refused of what the provider says."""

import base64
import time
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr

from tests.web.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, a_provider
from tests.web.test_sign_in import browsing, later
from tests.web.world import World, opened
from tidings import clock
from tidings.model.oidc import LASTS
from tidings.settings import Settings, load_settings
from tidings.store import members
from tidings.store.database import open_database
from tidings.workspaces import invitations, sign_in
from tidings.workspaces.oidc import KEYS_AGAIN
from tidings.workspaces.setup import setup_in_browser

__all__ = ["later"]
BOB, PASSWORD = "bob@example.com", "a-long-password"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with a_provider() as made:
        yield made


@pytest.fixture
async def house(settings: Settings, provider: Provider) -> AsyncIterator[World]:
    """A house that Bob set up, whose settings name the provider. The test runs once on each kind of database."""
    async with house_of(settings, provider) as made:
        yield made


def house_of(settings: Settings, provider: Provider, **more: Any) -> Any:
    """A house whose settings name the provider."""
    oidc = {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": SecretStr(CLIENT_SECRET), "oidc_name": "Example SSO"}
    return opened(settings, allowed_networks=(ip_network("127.0.0.0/8"),), **oidc, **more)


async def with_bob(world: World, email: str = BOB) -> None:
    """Bob belongs to the first workspace, with a password."""

    def add(tx: Any) -> None:
        members.join(tx, world.owner.workspace_id, members.add_person(tx, email, "no hash of any password"), "member")

    await world.services.db.write(add)


async def goes(client: httpx.AsyncClient, provider: Provider) -> str:
    """The address to which the browser is sent back after signing in at the provider."""
    left = await client.get("/login/oidc?next=/app/settings")
    assert left.status_code == 303, left.text
    assert left.headers["location"].startswith(f"{provider.url}/authorize?")
    return f"/login/oidc/callback?{provider.signs_in(left.headers['location'])}"


async def come_back(client: httpx.AsyncClient, provider: Provider) -> httpx.Response:
    return await client.get(await goes(client, provider))


async def test_a_member_signs_in_and_out(house: World, provider: Provider) -> None:
    await with_bob(house)
    async with browsing(house) as bob:
        assert "Sign in with Example SSO" in (await bob.get("/login")).text
        for _ in range(2):
            back = await come_back(bob, provider)
            assert (back.status_code, back.headers["location"]) == (303, "/app/settings")
            page = (await bob.get("/app/settings/sign-in")).text
            assert provider.url in page
            assert CLIENT_SECRET not in page
        assert provider.requests.count("/.well-known/openid-configuration") == provider.requests.count("/jwks") == 1  # kept
        assert "no password here" not in (await bob.get("/app/account")).text


async def test_whoever_changed_the_address_at_the_provider_is_still_the_same(house: World, provider: Provider) -> None:
    await with_bob(house)
    async with browsing(house) as bob:
        await come_back(bob, provider)
        provider.claims = {"email": "robert@example.com"}
        assert (await come_back(bob, provider)).status_code == 303
        assert BOB in (await bob.get("/app/account")).text


async def test_strangers_stay_out_until_they_are_invited(house: World, provider: Provider) -> None:
    async with browsing(house) as bob:
        refused = await come_back(bob, provider)
        assert refused.status_code == 403
        assert "Ask an owner of one for an invitation" in refused.text
        assert await house.services.db.read(members.person, BOB) is None
        await invitations.invite(house.services.db, house.owner.workspace_id, BOB, "owner", "a test")
        assert (await come_back(bob, provider)).status_code == 303
        page = (await bob.get("/app/account")).text
        assert "no password here" in page
        assert (await bob.get("/app/settings/members")).status_code == 200  # as an owner


async def test_a_domain_that_the_settings_let_in_joins_as_members(settings: Settings, provider: Provider) -> None:
    async with house_of(settings, provider, oidc_domains=("example.com",)) as house:
        async with browsing(house) as bob:
            assert (await come_back(bob, provider)).status_code == 303
            assert (await bob.get("/app/settings/members")).status_code == 403
        provider.claims = {"email": "eve@sub.example.com", "sub": "eve"}
        async with browsing(house) as eve:
            assert (await come_back(eve, provider)).status_code == 403
        for email in ("e\0ve@example.com", "e\nve@example.com", "eve\u200b@example.com"):
            provider.claims = {"email": email, "sub": "eve"}
            async with browsing(house) as eve:
                assert "tells no e-mail address of yours" in (await come_back(eve, provider)).text


WRONG: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another client"},
    "another party": {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "expired": {"exp": int(time.time()) - 3600},
    "no expiry": {"exp": None},
    "issuer": {"iss": "https://sso.example.com"},
    "of another time": {"iat": int(time.time()) + 3600},
    "unverified": {"email_verified": False},
    "not known to be verified": {"email_verified": None},
    "verified, says a text": {"email_verified": "true"},
    "no address": {"email": None},
    "nobody": {"sub": None},
    "nobody that can be kept": {"sub": "bob\0"},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_token_that_is_not_right_signs_nobody_in(name: str, house: World, provider: Provider) -> None:
    await with_bob(house)
    provider.claims = WRONG[name]
    async with browsing(house) as bob:
        refused = await come_back(bob, provider)
        assert refused.status_code == 403
        assert 'role="alert"' in refused.text
        assert "tidings_session" not in bob.cookies


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_signature_of_others_signs_nobody_in(house: World, provider: Provider) -> None:
    await with_bob(house)
    async with browsing(house) as bob:
        provider.signing = RSAKey.generate_key(2048, {"kid": "first"})
        assert (await come_back(bob, provider)).status_code == 403
        provider.signing, provider.algorithm = OctKey.import_key("a client's secret, which is long enough"), "HS256"
        assert (await come_back(bob, provider)).status_code == 403


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_keys_that_were_changed_are_asked_for_again(house: World, provider: Provider, later: list[int]) -> None:
    await with_bob(house)
    async with browsing(house) as bob:
        assert (await come_back(bob, provider)).status_code == 303
        provider.key = RSAKey.generate_key(2048, {"kid": "second"})
        assert (await come_back(bob, provider)).status_code == 403  # not within a minute
        later.append(KEYS_AGAIN + clock.SECOND)
        provider.claims = {"exp": int(time.time()) + 3600}
        assert (await come_back(bob, provider)).status_code == 303


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_keys_that_make_no_sense_to_us_are_passed_over(house: World, provider: Provider) -> None:
    await with_bob(house)
    provider.other_keys = [{}, "text", {"kty": "RSA", "n": "AQAB"}, {"kty": "OKP", "crv": "X448", "x": "AA"}, {"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"}]
    async with browsing(house) as bob:
        assert (await come_back(bob, provider)).status_code == 303


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_state_counts_once_in_its_own_browser_and_for_a_while(house: World, provider: Provider, later: list[int]) -> None:
    await with_bob(house)
    async with browsing(house) as bob, browsing(house) as eve:
        address = await goes(bob, provider)
        assert (await eve.get(address)).status_code == 403
        assert (await bob.get(address.replace("state=", "state=x"))).status_code == 403
        assert (await bob.get(address)).status_code == 403  # the attempt before has used it up
        address = await goes(bob, provider)
        assert (await bob.get(address)).status_code == 303
        await sign_in.end_sessions(house.services.db, None)
        assert (await bob.get(address)).status_code == 403
        address = await goes(bob, provider)
        later.append(LASTS + clock.SECOND)
        assert (await bob.get(address)).status_code == 403


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_provider_can_answer_otherwise(house: World, provider: Provider) -> None:
    await with_bob(house)
    async with browsing(house) as bob:
        address = await goes(bob, provider)
        assert "server_error" in (await bob.get(f"/login/oidc/callback?error=server_error&{address.partition('&')[2]}")).text
        assert (await bob.get(f"{await goes(bob, provider)}&iss=https://sso.example.com")).status_code == 403
        provider.claims, provider.userinfo = {"email": None, "email_verified": None}, {"sub": "bob-1", "email": BOB, "email_verified": True}
        assert (await come_back(bob, provider)).status_code == 303
        provider.userinfo |= {"sub": "eve"}
        assert (await come_back(bob, provider)).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://sso.example.com"},
        {"authorization_endpoint": "http://[::1"},
        {"authorization_endpoint": "https://sso.example.com/\ud800"},
        {"token_endpoint": "ftp://127.0.0.1/"},
        {"token_endpoint": "http://["},
        {"jwks_uri": None},
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_provider_that_is_not_as_it_should_be_is_told_of(wrong: dict[str, Any], house: World, provider: Provider) -> None:
    await with_bob(house)
    provider.metadata = wrong
    async with browsing(house) as bob:
        left = await bob.get("/login/oidc")
        answer = left if left.status_code != 303 else await bob.get(f"/login/oidc/callback?{provider.signs_in(left.headers['location'])}")
        assert answer.status_code == 503
        assert "Example SSO" in answer.text


NESTED = b'{"a":' * 20_000


@pytest.mark.parametrize(
    ("path", "answer", "status"),
    [
        ("/.well-known/openid-configuration", NESTED, 503),
        ("/jwks", b"[" * 60_000, 503),
        ("/token", NESTED, 503),
        ("/token", b'{"id_token": "%s.e30.AA"}' % base64.urlsafe_b64encode(NESTED), 403),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_provider_that_answers_nonsense_is_told_of(path: str, answer: bytes, status: int, house: World, provider: Provider) -> None:
    provider.raw[path] = answer
    async with browsing(house) as bob:
        left = await bob.get("/login/oidc")
        told = left if left.status_code != 303 else await bob.get(f"/login/oidc/callback?{provider.signs_in(left.headers['location'])}")
        assert told.status_code == status
        assert "Example SSO" in told.text


@pytest.mark.parametrize("ways", [5, True, {}, "client_secret_post", []])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_ways_to_show_the_secret_that_make_no_sense_count_as_not_said(ways: object, house: World, provider: Provider) -> None:
    await with_bob(house)
    provider.metadata = {"token_endpoint_auth_methods_supported": ways}
    async with browsing(house) as bob:
        assert (await come_back(bob, provider)).status_code == 303


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_provider_that_the_guard_refuses_is_told_of(settings: Settings, provider: Provider) -> None:
    oidc = {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": SecretStr(CLIENT_SECRET)}
    async with opened(settings, **oidc) as house, browsing(house) as bob:
        refused = await bob.get("/login/oidc")
        assert refused.status_code == 503
        assert "TIDINGS_ALLOWED_NETWORKS" in refused.text
        assert provider.requests == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_a_provider_there_is_nothing(settings: Settings) -> None:
    db = open_database(load_settings(home=settings.home))
    await setup_in_browser(db, settings, BOB, PASSWORD, "Northwind")
    db.close()
    async with opened(settings) as house, browsing(house) as bob:
        for path in ("/login/oidc", "/login/oidc/callback?code=1&state=2"):
            assert (await bob.get(path)).status_code in {403, 404}
        assert "Sign in with" not in (await bob.get("/login")).text

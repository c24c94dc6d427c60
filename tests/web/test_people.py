"""Members, invitations, API keys and several workspaces on the pages; on both databases."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.web.test_sign_in import EMAIL, PASSWORD, browsing, house, later, signed_in, token_in
from tests.web.world import World
from tidings import clock
from tidings.errors import NotFound
from tidings.store import activity, api_keys, invitations, members
from tidings.workspaces import invitations as inviting
from tidings.workspaces import keys, sign_in
from tidings.workspaces import members as rooms
from tidings.workspaces.passwords import NO_PASSWORD

__all__ = ["house", "later"]
BOB, BOBS = "bob@example.com", "a-long-password-of-bob"


@pytest.fixture
async def ann(house: World) -> AsyncIterator[httpx.AsyncClient]:
    """Ann's browser, signed in; she owns Northwind."""
    async with browsing(house) as client:
        await signed_in(client)
        yield client


async def sends(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    """The answer to a form of a page."""
    return await client.post(path, data={**form, "form_token": token_in(await client.get("/app/account"))})


async def invited(client: httpx.AsyncClient, email: str = BOB, role: str = "member") -> str:
    """The path of the link that an owner is shown."""
    page = await sends(client, "/app/settings/members/invite", email=email, role=role)
    assert page.status_code == 200
    found: list[str] = re.findall(r"<code>http://tidings\.example(/invite/[\w-]{43})</code>", page.text)
    return found[0]


async def joins(client: httpx.AsyncClient, link: str, password: str = BOBS) -> httpx.Response:
    """What a guest gets who follows a link and types a password."""
    return await client.post(link, data={"password": password, "form_token": token_in(await client.get(link))})


async def workspace_of_ann(house: World) -> str:
    found = await house.services.db.read(members.person, EMAIL)
    assert found is not None
    return (await house.services.db.read(members.workspaces_of, found[0]))[0][0]


async def id_of(house: World, email: str) -> str:
    found = await house.services.db.read(members.person, email)
    assert found is not None
    return found[0]


async def test_a_link_is_shown_once_used_once_and_leads_into_the_workspace(house: World, ann: httpx.AsyncClient) -> None:
    link = await invited(ann)
    assert link not in (await ann.get("/app/settings/members")).text
    kept = await house.services.db.read(lambda tx: repr(invitations.all_of(tx, invitations.by_email(tx, BOB, 0)[0].workspace_id, limit=9)))
    assert link.rpartition("/")[2] not in kept
    async with browsing(house, address="192.0.2.2") as bob, browsing(house, address="192.0.2.3") as eve:
        assert (await joins(bob, link, "short")).status_code == 422
        assert (await joins(bob, link)).headers["location"] == "/app/bots"
        page = (await bob.get("/app/settings/workspace")).text
        assert "Northwind" in page
        assert "/app/settings/members" not in page
        assert (await eve.get(link)).status_code == 404
    told = await house.services.db.read(lambda tx: activity.page(tx, members.workspaces_of(tx, members.person(tx, BOB)[0])[0][0], limit=9, cursor=None))  # type: ignore[index]
    assert [one.kind for one in told.items] == ["member_joined", "member_invited"]


async def test_a_link_expires_is_revoked_and_replaced(house: World, ann: httpx.AsyncClient, later: list[int]) -> None:
    async with browsing(house, address="192.0.2.2") as bob:
        first = await invited(ann)
        second = await invited(ann)
        assert [(await bob.get(link)).status_code for link in (first, second)] == [404, 200]
        revoke = re.findall(r"/app/settings/members/invitations/[^/]+/revoke", (await ann.get("/app/settings/members")).text)
        assert (await sends(ann, revoke[0])).status_code == 303
        assert (await bob.get(second)).status_code == 404
        third = await invited(ann)
        later.append(inviting.LASTS - clock.DAY)
        assert (await bob.get(third)).status_code == 200
        later.append(clock.DAY)
        assert (await bob.get(third)).status_code == 404


@pytest.mark.parametrize("email", ["bob@example.com\u200b", "bo\u00adb@example.com", "bob@\u202eexample.com", "b\u0007ob@example.com"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_address_that_nobody_could_type_again_is_refused(email: str, house: World, ann: httpx.AsyncClient) -> None:
    refused = await sends(ann, "/app/settings/members/invite", email=email, role="member")
    assert refused.status_code == 422
    assert "It holds a character that can" in refused.text
    assert await house.services.db.read(invitations.by_email, email, 0) == ()


async def test_whoever_has_a_password_joins_with_it_and_nobody_else_does(house: World, ann: httpx.AsyncClient) -> None:
    db = house.services.db
    await joins_as_bob(house, ann)
    other, _ = await rooms.create_workspace(db, house.services.settings, "Second desk", EMAIL)
    _, link = await inviting.invite(db, other, BOB, "owner", "a test")
    async with browsing(house, address="192.0.2.4") as bob:
        assert (await joins(bob, link, "not this one")).status_code == 422
        assert (await joins(bob, link)).status_code == 303
        assert "Second desk" in (await bob.get("/app/settings/workspace")).text
    _, link = await inviting.invite(db, other, "carol@example.com", "member", "a test")
    assert (await sends(ann, link)).status_code == 403  # it is not Ann's
    assert "is for" in (await ann.get(link)).text


async def joins_as_bob(house: World, ann: httpx.AsyncClient) -> None:
    async with browsing(house, address="192.0.2.2") as bob:
        assert (await joins(bob, await invited(ann))).status_code == 303


async def test_a_removed_member_sees_nothing_at_once_and_may_come_back(house: World, ann: httpx.AsyncClient) -> None:
    async with browsing(house, address="192.0.2.2") as bob:
        await joins(bob, await invited(ann))
        bob_id = await id_of(house, BOB)
        assert "Remove bob@example.com?" in (await ann.get(f"/app/settings/members/{bob_id}/remove")).text
        assert (await sends(ann, f"/app/settings/members/{bob_id}/remove")).status_code == 303
        assert (await bob.get("/app/bots")).headers["location"].startswith("/login")
        assert (await signed_in(bob, BOBS, email=BOB)).status_code == 422
        assert (await joins(bob, await invited(ann))).status_code == 303


async def test_somebody_is_always_an_owner(house: World, ann: httpx.AsyncClient) -> None:
    ann_id = await id_of(house, EMAIL)
    for path, form in (("role", {"role": "member"}), ("remove", {})):
        assert (await sends(ann, f"/app/settings/members/{ann_id}/{path}", **form)).headers["location"] == "/app/settings/members"
    assert (await ann.get("/app/settings/members")).status_code == 200
    await joins_as_bob(house, ann)
    await sends(ann, f"/app/settings/members/{await id_of(house, BOB)}/role", role="owner")
    assert (await sends(ann, f"/app/settings/members/{ann_id}/role", role="member")).headers["location"] == "/app/settings"
    assert (await ann.get("/app/settings/members")).status_code == 403
    assert (await sends(ann, f"/app/settings/members/{ann_id}/role", role="owner")).status_code == 403


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(house: World, ann: httpx.AsyncClient) -> None:
    made = await sends(ann, "/app/settings/keys", name="Deploy", role="member")
    key = re.findall(r"<code>(tdk_[\w-]{43})</code>", made.text)[0]
    headers = {"Authorization": f"Bearer {key}"}
    assert (await house.nobody("GET", "/workspace", 200, headers=headers)).json()["name"] == "Northwind"
    listed = (await ann.get("/app/settings/keys")).text
    assert key not in listed
    assert key[:10] in listed
    assert "last used" in listed
    revoke = re.findall(r"/app/settings/keys/[^/]+/revoke", listed)[0]
    assert "Revoke Deploy?" in (await ann.get(revoke)).text
    assert (await sends(ann, revoke)).status_code == 303
    assert (await house.nobody("GET", "/workspace", headers=headers)).status_code == 401
    assert (await sends(ann, "/app/settings/keys", name="Mine", role="operator")).status_code == 422
    operators, _ = await keys.create(house.services.db, await workspace_of_ann(house), "setup", "operator")
    assert (await sends(ann, f"/app/settings/keys/{operators.id}/revoke")).status_code == 403


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_no_name_turns_round_the_sentences_that_it_stands_in(house: World, ann: httpx.AsyncClient) -> None:
    for path, form in (("keys", {"role": "member"}), ("workspace", {})):
        refused = await sends(ann, f"/app/settings/{path}", name="evil\u202egnp", **form)
        assert (refused.status_code, "turns round the text behind it" in refused.text) == (422, True)
        assert (await sends(ann, f"/app/settings/{path}", name="שולחן \u200fראשון", **form)).status_code in {200, 303}  # which is written that way


async def test_members_reach_nothing_of_owners(house: World, ann: httpx.AsyncClient) -> None:
    async with browsing(house, address="192.0.2.2") as bob:
        await joins(bob, await invited(ann))
        for path in ("members", "keys", f"members/{await id_of(house, EMAIL)}/remove"):
            assert (await bob.get(f"/app/settings/{path}")).status_code == 403
        for path in ("workspace", "members/invite", "keys", f"members/{await id_of(house, BOB)}/role"):
            assert (await sends(bob, f"/app/settings/{path}", name="Mine", role="owner", email="eve@example.com")).status_code == 403


async def test_one_sees_one_workspace_at_a_time(house: World, ann: httpx.AsyncClient) -> None:
    db = house.services.db
    first = await workspace_of_ann(house)
    bot = (await sends(ann, "/app/bots/new", name="First bot")).headers["location"]
    other, known = await rooms.create_workspace(db, house.services.settings, "Second desk", EMAIL)
    assert known
    assert (await sends(ann, "/app/switch", workspace=other)).status_code == 303
    page = (await ann.get("/app/bots")).text
    assert "Second desk" in page
    assert "First bot" not in page
    for path in (f"{bot}/settings", f"{bot}/webhooks", f"{bot}/data-sources", f"{bot}/delete"):
        assert (await ann.get(path)).status_code == 404
    assert (await sends(ann, f"{bot}/delete")).status_code == 404
    assert (await sends(ann, "/app/switch", workspace=first)).status_code == 303
    assert (await ann.get(f"{bot}/settings")).status_code == 200
    assert (await sends(ann, "/app/switch", workspace=house.stranger.workspace_id)).status_code == 404


async def test_a_form_is_not_carried_out_in_a_workspace_that_was_switched_to_meanwhile(house: World, ann: httpx.AsyncClient) -> None:
    first = await workspace_of_ann(house)
    other, _ = await rooms.create_workspace(house.services.db, house.services.settings, "Second desk", EMAIL)
    open_form = {"email": BOB, "role": "owner", "form_token": token_in(await ann.get("/app/settings/members"))}
    await sends(ann, "/app/switch", workspace=other)
    refused = await ann.post("/app/settings/members/invite", data=open_form)
    assert refused.status_code == 409
    assert "This form is of Northwind, and you have switched to Second desk since it was opened, so nothing was done." in refused.text
    assert await house.services.db.read(invitations.by_email, BOB, 0) == ()
    assert (await ann.post("/app/switch", data={**open_form, "workspace": first})).status_code == 303  # of the person, wherever it was opened
    assert (await ann.post("/app/settings/members/invite", data=open_form)).status_code == 200


async def test_no_id_of_another_workspace_is_taken(house: World, ann: httpx.AsyncClient) -> None:
    db = house.services.db
    theirs = house.stranger.workspace_id
    await inviting.invite(db, theirs, "dave@example.com", "owner", "a test")
    async with browsing(house, address="192.0.2.5") as dave:
        _, link = await inviting.invite(db, theirs, "dave@example.com", "owner", "a test")
        await joins(dave, link)
    _, link = await inviting.invite(db, theirs, "erin@example.com", "member", "a test")
    invitation = (await db.read(invitations.by_email, "erin@example.com", 0))[0]
    key = (await db.read(api_keys.page, theirs, limit=1, cursor=None)).items[0]
    dave_id = await id_of(house, "dave@example.com")
    for path in (f"members/{dave_id}/remove", f"keys/{key.id}/revoke"):
        assert (await ann.get(f"/app/settings/{path}")).status_code == 404
    for path in (f"members/{dave_id}/remove", f"members/{dave_id}/role", f"keys/{key.id}/revoke", f"members/invitations/{invitation.id}/revoke"):
        assert (await sends(ann, f"/app/settings/{path}", role="member")).status_code == 404
    for path in ("members", "keys"):
        page = (await ann.get(f"/app/settings/{path}")).text
        assert "dave@" not in page
        assert "erin@" not in page
        assert key.id not in page


async def test_a_new_password_gives_the_browser_another_session_id(house: World, ann: httpx.AsyncClient) -> None:
    before = ann.cookies["tidings_session"]
    changed = await sends(ann, "/app/account/password", present=PASSWORD, new="another-long-password")
    assert changed.status_code == 303
    assert ann.cookies["tidings_session"] != before
    assert (await ann.get("/app/bots")).status_code == 200
    assert await sign_in.visitor_of(house.services.db, before) is None


async def test_whoever_runs_tidings_gives_new_passwords_and_signs_people_out(house: World, ann: httpx.AsyncClient) -> None:
    db = house.services.db
    await sign_in.reset_password(db, EMAIL, "another-long-password")
    assert (await ann.get("/app/bots")).status_code == 303
    assert (await signed_in(ann, "another-long-password")).status_code == 303
    await sign_in.end_sessions(db, None)
    assert (await ann.get("/app/bots")).status_code == 303
    with pytest.raises(NotFound):
        await sign_in.reset_password(db, "nobody@example.com", PASSWORD)


async def test_nobody_signs_in_with_an_empty_password(house: World) -> None:
    def add(tx) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        members.join(tx, house.owner.workspace_id, members.add_person(tx, "sso@example.com", NO_PASSWORD), "owner")

    await house.services.db.write(add)
    async with browsing(house) as guest:
        for password in ("", "x", "a-long-password"):
            assert (await signed_in(guest, password, email="sso@example.com")).status_code == 422

"""The pages of inboxes: who sees addresses, who may change what, what is refused; on both databases."""

import re

import httpx
from sqlalchemy import update

from tests.web.test_inbox_urls import posted, signed
from tests.web.test_sign_in import browsing, house, signed_in, token_in
from tests.web.world import World
from tidings.model.inboxes import Inbox
from tidings.store import inboxes
from tidings.store.tables import members
from tidings.webhooks.inboxes import LARGEST_MESSAGE, create

__all__ = ["house"]  # the fixture


async def workspace_of(house: World) -> str:
    """The workspace of whoever signs in."""
    found: str = (await house.services.db.read(lambda tx: tx.execute(members.select()).one())).workspace_id
    return found


async def an_inbox(house: World, name: str = "Try it", **more: object) -> Inbox:
    return await create(house.services.db, await workspace_of(house), name)


async def sends(client: httpx.AsyncClient, path: str, status: int = 303, **fields: str) -> httpx.Response:
    token = token_in(await client.get("/app/account"))
    answer = await client.post(path, data={"form_token": token, **fields})
    assert answer.status_code == status, answer.text
    return answer


async def test_owners_see_addresses_and_members_do_not(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        inbox = await an_inbox(house)
        await posted(house, inbox, {"Authorization": "Bearer secret-of-somebody"})
        [message] = (await house.services.db.read(inboxes.messages, inbox.workspace_id, inbox.id, limit=1, cursor=None)).items
        pages = ["/app/inbox", f"/app/inbox/{inbox.id}", f"/app/inbox/{inbox.id}/messages/{message.id}"]
        for path in pages:
            page = (await ann.get(path)).text
            assert (inbox.secret in page) is ("messages" not in path)
            assert "secret-of-somebody" not in page
        await house.services.db.write(lambda tx: tx.execute(update(members).values(role="member")))
        for path in pages:
            answer = await ann.get(path)
            assert (answer.status_code, inbox.secret in answer.text) == (200, False)
        for path in ("", "/guide", "/empty", "/delete"):
            await sends(ann, f"/app/inbox/{inbox.id}{path}", 403, name="Mine", answer="410")
        await sends(ann, "/app/inbox", 403, name="Mine")
        [view] = await house.services.db.read(inboxes.all_of, inbox.workspace_id)
        assert (view.inbox.name, view.inbox.answer, view.messages) == ("Try it", 200, 1)


async def test_a_name_that_somebody_else_has_changed_too_is_told_before_it_is_overwritten(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        bot = (await sends(ann, "/app/bots/new", name="Bot")).headers["location"]
        for form in (f"/app/inbox/{(await an_inbox(house)).id}", f"{bot}/settings", "/app/settings/workspace"):
            open_here = re.findall(r'name="shown_with" value="([^"]+)"', (await ann.get(form)).text)[0]
            await sends(ann, form, name="Theirs", answer="503")
            told = (await sends(ann, form, 422, name="Mine", answer="200", shown_with=open_here)).text
            assert "it is “Theirs” now. Send it again, and yours takes its place." in told
            assert 'name="name" type="text" value="Mine"' in told
            assert 'value="Theirs"' in (await ann.get(form)).text
            again = re.findall(r'name="shown_with" value="([^"]+)"', told)[0]
            await sends(ann, form, name="Mine", answer="503", shown_with=again)
            assert 'value="Mine"' in (await ann.get(form)).text
            assert "did not come whole" in (await sends(ann, form, 422)).text


async def test_what_cannot_be_taken_is_said_at_its_field(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        inbox = await an_inbox(house)
        assert "error" in (await sends(ann, "/app/inbox", 422, name=" ")).text
        assert (
            "An inbox answers 200, 400, 410, 429, 500, 503. Choose one of them."
            in (await sends(ann, f"/app/inbox/{inbox.id}", 422, name="Other", answer="302")).text
        )
        for number in range(inboxes.MOST - 1):
            await an_inbox(house, f"Number {number}")
        assert "This workspace has 20 inboxes, which is the most." in (await sends(ann, "/app/inbox", 409, name="One more")).text


async def test_headers_that_say_something_odd_leave_the_list_as_it_is(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        inbox = await an_inbox(house)
        for said in ["9" * 8000] * 25 + ["2"]:
            await posted(house, inbox, {"Tidings-Attempt": said})
        for path in ("/app/inbox", f"/app/inbox/{inbox.id}"):
            page = (await ann.get(path)).text
            assert len(page) < 60_000
            assert page.count("attempt 2") == 1
            assert "attempt 9" not in page


async def test_a_signed_message_leads_to_its_delivery_where_its_id_was_kept(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        inbox = await an_inbox(house)
        bot = (await sends(ann, "/app/bots/new", name="Bot")).headers["location"].removesuffix("/data-sources")
        made = await sends(ann, f"{bot}/webhooks", type="sync_success", dataSourceId="", targetUrl=f"http://tidings.example{inbox.path}")
        secret = re.findall(r'value="(whsec_[^"]+)"', (await ann.get(made.headers["location"])).text)[0]
        for more, links in (({}, 1), ({"Tidings-Much": "x" * 8100}, 0)):
            await posted(house, inbox, more | signed(secret))
            [message] = (await house.services.db.read(inboxes.messages, inbox.workspace_id, inbox.id, limit=1, cursor=None)).items
            answer = await ann.get(f"/app/inbox/{inbox.id}/messages/{message.id}")
            assert (answer.status_code, "Signature fits" in answer.text) == (200, True)
            assert answer.text.count("/app/deliveries?q=msg_1") == links


async def test_of_a_long_message_the_beginning_is_shown_and_all_of_it_can_be_had(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        inbox = await an_inbox(house)
        for body in (b"<" * LARGEST_MESSAGE, b"[" + b"1," * 2000 + b"1]", b"\xff\x00" * 9):
            await posted(house, inbox, body=body)
            [message] = (await house.services.db.read(inboxes.messages, inbox.workspace_id, inbox.id, limit=1, cursor=None)).items
            path = f"/app/inbox/{inbox.id}/messages/{message.id}"
            page = (await ann.get(path)).text
            assert len(page.encode()) < 60_000
            assert ("Its beginning." in page) is (len(body) > 100) is ("data-copy" not in page)
            answer = await ann.get(f"{path}/body")
            assert (answer.content, answer.headers["content-type"]) == (body, "application/octet-stream")
            assert answer.headers["content-disposition"].startswith("attachment;")


async def test_another_workspaces_inbox_is_not_there(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        theirs = await create(house.services.db, house.stranger.workspace_id, "Theirs")
        await posted(house, theirs)
        [message] = (await house.services.db.read(inboxes.messages, theirs.workspace_id, theirs.id, limit=1, cursor=None)).items
        for path in ("", "/live", "/empty", "/delete", f"/messages/{message.id}", f"/messages/{message.id}/body"):
            assert (await ann.get(f"/app/inbox/{theirs.id}{path}")).status_code == 404
        for path in ("", "/guide", "/empty", "/delete"):
            await sends(ann, f"/app/inbox/{theirs.id}{path}", 404, name="Mine", answer="410")
        assert "Theirs" not in (await ann.get("/app/inbox")).text


async def test_older_messages_stand_on_further_pages_and_each_page_is_small(house: World) -> None:
    async with browsing(house) as ann:
        await signed_in(ann)
        inbox = await an_inbox(house)
        for number in range(60):
            await posted(house, inbox, body=str(number).encode())
        path, seen = f"/app/inbox/{inbox.id}", 0
        while path:
            page = (await ann.get(path)).text
            assert len(page) < 60_000
            seen += page.count("/messages/")
            path = page.partition('rel="next" href="')[2].partition('"')[0]
        assert seen == 60

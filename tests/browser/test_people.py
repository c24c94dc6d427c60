"""Settings, invitations, keys and several workspaces in a real browser."""

from pathlib import Path

from playwright.sync_api import APIResponse, Route, expect

from tests.browser.browser import Person
from tests.browser.conftest import EMAIL, PASSWORD, People
from tests.flows.commands import answer, environment


def test_somebody_is_invited_joins_without_javascript_and_is_removed(owner: Person, people: People) -> None:
    owner.presses("Settings")
    owner.looks("settings-workspace")
    owner.fills(name="Northwind Care")
    owner.presses("Save")
    expect(owner.page.get_by_text("The name was changed.")).to_be_visible()
    owner.presses("Members")
    owner.fills(email="bob@example.com")
    owner.presses("Make a link")
    expect(owner.page.get_by_role("heading", name="A link for bob@example.com")).to_be_visible()
    owner.looks("settings-invited")
    bob = people(java_script_enabled=False)
    bob.page.goto(owner.page.locator(".once code").inner_text())
    bob.fills(password="short")
    bob.presses("Join")
    expect(bob.page.get_by_text("It is 5 characters long.")).to_be_visible()
    bob.fills(password="a-password-of-bob")
    bob.presses("Join")
    bob.page.wait_for_url("**/app/bots")
    bob.presses("Settings")
    expect(bob.page.get_by_text("a member: you see what there is")).to_be_visible()
    expect(bob.page.get_by_role("link", name="API keys")).to_have_count(0)
    owner.page.goto("/app/settings/members")
    owner.looks("settings-members")
    owner.presses("Remove bob@example.com")
    owner.looks("settings-remove")
    owner.presses("Remove")
    expect(owner.page.get_by_text("bob@example.com belongs to this workspace no more.")).to_be_visible()
    bob.page.reload()
    assert "/login" in bob.page.url


def test_keys_are_made_and_revoked(owner: Person) -> None:
    owner.page.goto("/app/settings/keys")
    owner.looks("settings-keys-empty")
    owner.fills(name="Deploy script")
    owner.page.get_by_role("radio", name="Owner").check()
    owner.presses("Make a key")
    expect(owner.page.locator(".once code")).to_contain_text("tdk_")
    owner.looks("settings-key")
    owner.presses("Revoke Deploy script")
    owner.presses("Revoke")
    expect(owner.page.get_by_text("Revoked", exact=True)).to_be_visible()
    owner.presses("Sign-in")
    owner.looks("settings-sign-in")


def test_a_page_that_changes_by_itself_says_when_it_does_not_any_more(owner: Person, people: People) -> None:
    _is_signed_out_elsewhere(owner, people)
    _signs_in_in_another_tab(owner)
    expect(owner.page.get_by_text("You are signed out.")).to_have_count(0, timeout=40_000)


def test_a_page_that_asks_why_while_its_person_signs_in_is_told_when_it_changes_again(owner: Person, people: People) -> None:
    refused: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if route.request.resource_type == "fetch" and not refused:
            refused.append((route, route.fetch(max_redirects=0)))
        else:
            route.continue_()

    _is_signed_out_elsewhere(owner, people)
    owner.page.route("**/live*", hold)
    while not refused:
        owner.page.wait_for_timeout(100)
    _signs_in_in_another_tab(owner)
    route, answer = refused[0]
    route.fulfill(response=answer)  # leads to /login, which leads on whoever has signed in
    expect(owner.page.get_by_text("You are signed out.")).to_have_count(0, timeout=40_000)


def _is_signed_out_elsewhere(owner: Person, people: People) -> None:
    owner.page.goto("/app/activity")
    elsewhere = people()
    elsewhere.page.goto("/login")
    elsewhere.signs_in(EMAIL, PASSWORD)
    elsewhere.page.wait_for_url("**/app/bots")
    elsewhere.page.goto("/app/account")
    elsewhere.presses("Sign out everywhere else")
    expect(owner.page.get_by_text("You are signed out. Load the page again to sign in.")).to_be_visible(timeout=20_000)


def _signs_in_in_another_tab(owner: Person) -> None:
    tab = owner.context.new_page()
    tab.goto(f"{owner.url}/login")
    tab.fill("[name=email]", EMAIL)
    tab.fill("[name=password]", PASSWORD)
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/app/bots")
    owner.page.bring_to_front()


def test_the_frame_leads_to_another_workspace(people: People, home: Path) -> None:
    ann = people(java_script_enabled=False)
    ann.page.goto("/setup")
    ann.sets_up(EMAIL, PASSWORD)
    answer("workspace", "create", "Second desk", "--email", EMAIL, env=environment(home))
    link = answer("members", "invite", "carol@example.com", "--workspace", _id_of("Second desk", home), env=environment(home))["url"]
    ann.page.goto("/app/bots")
    ann.page.locator(".switcher summary").click()
    ann.presses("Second desk")
    expect(ann.page.get_by_text("This is Second desk.")).to_be_visible()
    expect(ann.page.locator(".crumbs")).to_contain_text("Second desk")
    carol = people()
    carol.page.goto(f"{carol.url}/invite/{link.rpartition('/')[2]}")
    carol.looks("invited")
    carol.fills(password="a-password-of-carol")
    carol.presses("Join")
    answer("password", "carol@example.com", "--password", "another-password", env=environment(home))
    carol.page.goto("/app/bots")
    carol.fills(email="carol@example.com", password="another-password")
    carol.presses("Sign in")
    carol.page.wait_for_url("**/app/bots")
    ann.page.locator(".switcher summary").click()
    assert ann.page.locator(".switcher form").get_by_role("button").all_inner_texts() == ["Northwind Support"]
    listed = answer("members", "list", env=environment(home))["items"]
    assert [(one["email"], one["workspace"]) for one in listed] == [(EMAIL, "Northwind Support"), (EMAIL, "Second desk"), ("carol@example.com", "Second desk")]


def _id_of(name: str, home: Path) -> str:
    found: str = next(one["id"] for one in answer("workspace", "list", env=environment(home))["items"] if one["name"] == name)
    return found

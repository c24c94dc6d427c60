"""A served Tidings, and people with browsers who look at it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.browser import CHROMIUM, FLAGS, Person
from tests.flows.commands import Server, environment, serving

expect.set_options(timeout=30_000)  # a busy machine takes its time; what is there is seen at once

EMAIL, PASSWORD = "ann@example.com", "a-long-password"

People = Callable[..., Person]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module; they are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install it (on Debian: apt install chromium), and these tests run")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[Server]:
    """A real `tidings serve` on an empty home."""
    with serving(env=environment(home, TIDINGS_LOCAL_ROOTS=str(tmp_path))) as server:
        yield server


@pytest.fixture
def people(browser: Browser, server: Server) -> Iterator[People]:
    """Makes people with a browser each; options are those of Playwright's contexts."""
    made: list[Person] = []

    def person(**options: Any) -> Person:
        made.append(Person(browser, server.url, **options))
        return made[-1]

    yield person
    for each in made:
        each.context.close()


@pytest.fixture
def owner(people: People) -> Person:
    """Somebody who has set Tidings up, and is signed in."""
    person = people()
    person.page.goto("/")
    person.sets_up(EMAIL, PASSWORD)
    person.page.wait_for_url("**/app/bots")
    return person

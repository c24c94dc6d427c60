"""Chromium on a served Tidings: a person with a browser, and what no page may do.

Every page that is looked at is kept as a picture under `test-output/pages/`.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Route

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "test-output" / "pages"
AXE = Path(__file__).with_name("vendor") / "axe.js"
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES_ABOUT_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all else of a page is the same in light and dark


class Person:
    """Somebody with a browser. `looks` asks of a page all that holds for every page."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url, self.browser, self.scripts = url, browser, options.get("java_script_enabled", True)
        self.context: BrowserContext = browser.new_context(base_url=url, reduced_motion="reduce", **options)
        self.page: Page = self.context.new_page()
        self.page.set_viewport_size({"width": WIDE["width"], "height": WIDE["height"]})
        self.said: list[str] = []
        self.strayed: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        refused = re.search(r"status of (401|403|404|409|422|429)", message.text)  # the browser's own words for an answer that a test asked for
        if message.type in {"error", "warning"} and not refused:
            self.said.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme in {"http", "https", "ws", "wss"} and urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.strayed.append(request.url)

    def fills(self, **fields: str) -> None:
        """Types into the fields of these names."""
        for name, text in fields.items():
            self.page.locator(f"form:visible [name={name}]").fill(text)

    def presses(self, name: str) -> None:
        """Presses the button or link of this name."""
        button, link = (self.page.get_by_role(role, name=name, exact=True) for role in ("button", "link"))
        self.page.wait_for_load_state()
        button.or_(link).first.wait_for()
        self.clicks((button if button.count() else link).first)

    def turns_to(self, tab: str) -> None:
        """Opens another page of this bot."""
        self.clicks(self.page.get_by_role("navigation", name="Pages of this bot").get_by_role("link", name=tab, exact=True))

    def clicks(self, what: Locator) -> None:
        """Clicks when all of the page is there: before its scripts are, some links lead elsewhere. Without scripts whatever is clicked leads to a page, and
        what is done next is done there: what is left in the midst of being sent may never arrive."""
        self.page.wait_for_load_state()
        with contextlib.nullcontext() if self.scripts else self.page.expect_navigation():
            what.click()

    def sets_up(self, email: str, password: str) -> None:
        """On the page that a first visit sees; without the example bot."""
        self.fills(email=email, password=password, workspace="Northwind Support")
        self.page.get_by_label("Add an example bot").uncheck()
        self.presses("Set up")

    def signs_in(self, email: str, password: str) -> None:
        """On the page to sign in, also where somebody was led to it on the way elsewhere."""
        self.fills(email=email, password=password)
        self.presses("Sign in")

    def looks(self, name: str) -> None:
        """In light and dark, wide and narrow: nothing scrolls sideways, axe finds nothing, the console is silent, no request leaves the origin."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        with self._page_for_axe() as examined:
            for scheme, rules in (("light", RULES), ("dark", RULES_ABOUT_COLOURS)):
                for width, size in (("wide", WIDE), ("narrow", NARROW)):
                    for page in {self.page, examined}:
                        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
                        page.set_viewport_size({"width": size["width"], "height": size["height"]})
                    self.page.evaluate("document.fonts.ready")
                    self.page.evaluate("scrollTo(0, 0)")  # the bar at the top covers part of a field else, which axe takes for a small one
                    self.page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png")
                    too_wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    assert too_wide <= 0, f"{name}, {width}: {too_wide} pixels stand out"
                    found = _violations(examined, rules)
                    assert found == [], f"{name}, {scheme}, {width}"
        self.page.set_viewport_size({"width": WIDE["width"], "height": WIDE["height"]})
        assert self.said == [], self.said
        assert self.strayed == []

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page as it is now."""
        with self._page_for_axe() as examined:
            return _violations(examined, RULES)

    @contextlib.contextmanager
    def _page_for_axe(self) -> Iterator[Page]:
        """The page as it is now; without JavaScript, a copy of it, on which axe can run."""
        if self.scripts:
            yield self.page
            return
        context = self.browser.new_context(reduced_motion="reduce", viewport=self.page.viewport_size)
        copy, html = context.new_page(), self.page.content().replace("noscript>", "div>")

        def answer(route: Route) -> None:
            if route.request.is_navigation_request():
                route.fulfill(body=html, content_type="text/html")
            elif route.request.resource_type == "script":
                route.abort()
            else:
                route.continue_()

        copy.route("**/*", answer)
        copy.goto(self.page.url)
        yield copy
        context.close()


def _violations(page: Page, rules: object) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))  # past the page's policy, which refuses scripts that are not ours
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [f"{each['id']}: {each['help']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]]

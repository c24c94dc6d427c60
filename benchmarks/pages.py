"""How large each page is with fifty things on it, and when a browser shows something of it, beside a bare page of as many bytes of the same run.

    python benchmarks/pages.py [--rounds 5] [--database-url postgresql://...]

Ours: `tidings serve` on loopback, and Chromium: first a new tab with an empty cache, so that a process is started for the page (the empty tab's own one has
started by then: nobody types an address sooner), and style, scripts and font are fetched as well; then once more, coming from another page in the same tab, as
one goes about. The ceiling: the same browser shows as many bytes of plain text from a server that does nothing else. All as `first-contentful-paint`; rounds
alternate, the medians count.
It needs the packages of the tests and a Chromium. The last line is JSON.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, StorageState, sync_playwright
from sync import Server, serving

from tidings.store.inboxes import MOST

THINGS = 50
PAUSE = 500  # milliseconds that somebody takes to type an address, or looks before the next page
PAGES = {  # braces name what `filled` made; of inboxes there are as many as there may be
    "bots": "/app/bots",
    "data sources": "/app/bots/{bot}/data-sources",
    "webhooks": "/app/bots/{bot}/webhooks",
    "search": "/app/bots/{bot}/search?q=bicycle",
    "data source": "/app/data-sources/{source}",
    "sync": "/app/syncs/{sync}",
    "webhook": "/app/webhooks/{hook}",
    "deliveries": "/app/deliveries",
    "delivery": "/app/deliveries/{delivery}",
    "inbox": "/app/inbox/{inbox}",
    "inboxes": "/app/inbox",
    "usage": "/app/usage",
    "activity": "/app/activity",
    "settings": "/app/settings/workspace",
    "login": "/login",
}


PAINTED = """() => new Promise((seen) => new PerformanceObserver((list) => {
    for (const each of list.getEntriesByName("first-contentful-paint")) seen(each.startTime);
}).observe({ type: "paint", buffered: true }))"""


class Bare(BaseHTTPRequestHandler):
    """`/12345` is a page of as many bytes."""

    def do_GET(self) -> None:
        """Answers."""
        size = int(self.path[1:]) if self.path[1:].isdigit() else 0
        body = (b"<!doctype html><title>Bare</title>" + b"bicycle " * (size // 8))[:size]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # the browser was closed before it had its icon
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def bare_server() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bare) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def signed_in(browser: Browser, url: str) -> tuple[StorageState, str, str]:
    """What a browser keeps that is signed in; the id of an inbox that it made, and where that receives."""
    page = browser.new_page(base_url=url)
    page.goto("/login")
    page.locator("[name=email]").fill("b@example.org")
    page.locator("[name=password]").fill("benchmark")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/app/bots")
    for number in range(MOST):
        page.goto("/app/inbox")
        page.locator("form.make [name=name]").fill(f"Inbox {number}")
        page.get_by_role("button", name="Make an address").click()
        page.wait_for_url("**/app/inbox/*")
    kept, target = page.context.storage_state(), page.locator(".code.sample pre").first.inner_text()
    inbox = page.url.rpartition("/")[2]
    page.context.close()
    return kept, inbox, target


def filled(server: Server, folder: Path, inbox: str, target: str) -> dict[str, str]:
    """Fifty of everything; the ids by which the pages find them."""
    bots = [server.call("POST", "/bots", {"name": f"Bot {number}"})["id"] for number in range(THINGS)]
    made = {"name": "Docs", "type": "folder", "config": {"path": str(folder)}, "syncNow": False}
    sources = [server.call("POST", f"/bots/{bots[0]}/data-sources", made | {"name": f"Docs {number}"})["id"] for number in range(THINGS)]
    wanted = {"type": "sync_success", "targetUrl": target}
    hooks = [server.call("POST", f"/bots/{bots[0]}/webhooks", wanted | {"dataSourceId": source})["id"] for source in sources]
    for number in range(THINGS):
        for file in range(THINGS):
            (folder / f"{file}.md").write_text(f"# Page {file}\n\nThe bicycle of day {number}.\n", encoding="utf-8")
        _, _, sync = server.timed(sources[0])
    while True:
        found = server.call("GET", f"/webhooks/{hooks[0]}/deliveries?limit=200")["items"]
        if len(found) == THINGS and all(one["state"] == "delivered" for one in found):
            break
        time.sleep(0.2)
    rest(server)
    return {"bot": bots[0], "source": sources[0], "sync": sync["id"], "hook": hooks[0], "delivery": found[0]["id"], "inbox": inbox}


def rest(server: Server) -> None:
    """Waits until what was begun is done, such as the closing of processes that read documents: a page is looked at for itself."""
    before = float("-inf")
    while server.cpu() - before > 0.05:
        before = server.cpu()
        time.sleep(1)


def size_of(browser: Browser, url: str, kept: StorageState | None) -> int:
    """The bytes of a page's HTML."""
    context = browser.new_context(storage_state=kept)
    try:
        return len(context.request.get(url).body())
    finally:
        context.close()


def first_paints(browser: Browser, url: str, other: str, kept: StorageState | None) -> tuple[float, float]:
    """The milliseconds until a browser shows something of a page: in a new tab with nothing in its cache, and coming back from another page."""
    context = browser.new_context(storage_state=kept)
    page = context.new_page()
    painted = []
    for each in (url, other, url):
        page.wait_for_timeout(PAUSE)
        answer = page.goto(each, wait_until="load")
        assert answer is not None
        assert answer.status == 200, each
        painted.append(float(page.evaluate(PAINTED)))
    context.close()
    return painted[0], painted[-1]


def middle(painted: list[tuple[float, float]], which: int) -> int:
    """The median."""
    return round(statistics.median(each[which] for each in painted))


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright, bare_server() as bare:
        home, folder = Path(scratch, "home"), Path(scratch, "docs")
        folder.mkdir()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with serving(home, folder, options.database_url) as server:
            url = f"http://{server.address}"
            kept, inbox, target = signed_in(browser, url)
            made = filled(server, folder, inbox, target)
            found = []
            print(f"{'page':<14}{'HTML':>9}{'new tab':>12}{'bare':>8}{'ratio':>7}{'click':>10}{'bare':>8}{'ratio':>7}")
            for name, path in PAGES.items():
                address, who = f"{url}{path.format(**made)}", None if name == "login" else kept
                size = size_of(browser, address, who)
                ours, theirs = [], []
                for _ in range(options.rounds):
                    ours.append(first_paints(browser, address, f"{url}/login" if who is None else f"{url}/app/account", who))
                    theirs.append(first_paints(browser, f"{bare}/{size}", f"{bare}/1000", None))
                one: dict[str, Any] = {
                    "page": name,
                    "bytes": size,
                    "new_ms": middle(ours, 0),
                    "bare_new_ms": middle(theirs, 0),
                    "click_ms": middle(ours, 1),
                    "bare_click_ms": middle(theirs, 1),
                }
                one |= {"new_ratio": round(one["new_ms"] / one["bare_new_ms"], 2), "click_ratio": round(one["click_ms"] / one["bare_click_ms"], 2)}
                found.append(one)
                print(
                    "{page:<14}{bytes:>9,}{new_ms:>9} ms{bare_new_ms:>5} ms{new_ratio:>7}{click_ms:>7} ms{bare_click_ms:>5} ms{click_ratio:>7}".format(**one),
                    flush=True,
                )
        browser.close()
    about = {"benchmark": "pages", "database": "postgresql" if options.database_url else "sqlite"}
    print(json.dumps({**about, "pages": found, "cpus": os.cpu_count(), "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()

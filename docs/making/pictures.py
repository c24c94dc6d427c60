"""Takes the pictures in docs/pictures, light and dark: of the real product, with content that a week of use leave behind. `scripts/pictures [NAME ...]`.

A picture more is one line of PICTURES. Days pass by moving what the database has noted into the past, between two runs of the server.
"""

import json
import secrets
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.browser import CHROMIUM, FLAGS
from tests.flows.commands import Server, answer, environment, serving
from tidings.cli.demo.files import write_folder

OUT = Path(__file__).resolve().parents[1] / "pictures"
PICTURES = {  # name -> address; braces name ids of what `Story` made
    "bots": "/app/bots",
    "webhooks": "/app/bots/{help}/webhooks",
    "delivery": "/app/deliveries/{delivery}",
    "stopped": "/app/data-sources/{rules}",
    "usage": "/app/usage",
}
SIZE, SCALE, COLORS = {"width": 1240, "height": 760}, 1.5, 200
DAYS = 7
EMAIL, PASSWORD = "ann@example.com", secrets.token_urlsafe(12)
NEWS = (
    "Weekend pass",
    "Station at the lighthouse",
    "Helmets in the app",
    "Winter tyres",
    "Cargo bikes at the market",
    "New prices",
    "Quieter brakes",
    "Maps offline",
)


class World:
    """Everything that a Tidings has to do with, on this machine: receivers, one of which is out of order in the end, and a feed that grows."""

    def __init__(self) -> None:
        self.day, self.answers = 0, {"/crm": 200, "/search-index": 202, "/pager": 200, "/chat": 204}
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.answer(world.answers[self.path], b'{"error": "no space left on device"}' if world.answers[self.path] >= 500 else b"")

            def do_GET(self) -> None:
                self.answer(200, world.feed())

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "application/rss+xml")
                self.send_header("Content-Length", "0" if status == 204 else str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def feed(self) -> bytes:
        text = "From today on. The details are in the app, and at every station."
        items = "".join(
            f"<item><guid>{n}</guid><title>{title}</title><description>{title}. {text}</description></item>" for n, title in enumerate(NEWS[: self.day])
        )
        return f'<rss version="2.0"><channel><title>News</title><description>-</description>{items}</channel></rss>'.encode()


class Story:
    """What happens on each day; `made` has the ids of what there is then."""

    def __init__(self, world: World, folder: Path, key: str) -> None:
        self.world, self.folder, self.key, self.made = world, folder, key, {}
        self.triggers: list[str] = []
        write_folder(folder / "help")
        write_folder(folder / "handbook")

    def begins(self, server: Server) -> None:
        def bot(name: str) -> str:
            return self._post(server, "/bots", name=name)["id"]

        def source(bot: str, name: str, **config: Any) -> str:
            return self._post(server, f"/bots/{bot}/data-sources", name=name, syncNow=False, **config)["id"]

        def hook(bot: str, **told: Any) -> Any:
            return self._post(server, f"/bots/{bot}/webhooks", **told)

        for name in ("Help centre", "Staff handbook", "Store assistant", "Partner portal"):
            self.made[name.split()[0].lower()] = bot(name)
        self.made["articles"] = source(self.made["help"], "Help articles", type="folder", config={"path": str(self.folder / "help")})
        self.made["news"] = source(self.made["help"], "News", type="feed", config={"url": f"{self.world.url}/news.xml"})
        self.made["rules"] = source(self.made["staff"], "Rules and contacts", type="folder", config={"path": str(self.folder / "handbook")})
        self.made["catalogue"] = source(
            self.made["store"], "Catalogue", type="folder", config={"path": str(self.folder / "help"), "include": ["faq/**"]}, schedule="6h"
        )
        for each in ("articles", "news"):
            self.triggers.append(hook(self.made["help"], type="sync_trigger", dataSourceId=self.made[each])["url"])
        self.made["success"] = hook(self.made["help"], type="sync_success", targetUrl=f"{self.world.url}/crm")["id"]
        hook(self.made["help"], type="sync_success", targetUrl=f"{self.world.url}/search-index", dataSourceId=self.made["articles"], envelope="standard")
        self.made["pager"] = hook(self.made["help"], type="sync_success", targetUrl=f"{self.world.url}/pager", dataSourceId=self.made["news"])["id"]
        self.made["partners"] = source(self.made["partner"], "Announcements", type="feed", config={"url": f"{self.world.url}/news.xml"})
        for each in ("help", "staff", "store", "partner"):
            hook(self.made[each], type="sync_failure", targetUrl=f"{self.world.url}/chat")

    def day(self, server: Server, number: int) -> None:
        """Some articles are edited, news come, the CMS calls; towards the end things break."""
        self.world.day = number
        for path in sorted((self.folder / "help").rglob("*.md"))[number::4]:
            path.write_text(
                path.read_text() + f"\n## Edition {number}\n\nChecked by our workshop, and still true on day {number} of this season.\n" * (1 + number % 3)
            )
        if number == DAYS - 1:
            self.world.answers["/pager"] = 503
        if number == DAYS:  # somebody moved most of it away
            for path in sorted((self.folder / "handbook").rglob("*.*"))[4:]:
                path.unlink()
        for url in self.triggers:
            path = urlsplit(url).path
            status, said = server.call("GET", f"{path}?wait=60&ref=cms-{4700 + number}")
            assert status == 200, said
        for each in ("rules", "catalogue", "partners"):
            started = server.api("POST", f"/data-sources/{self.made[each]}/sync", self.key)
            server.api("GET", f"/syncs/{started['syncId']}?wait=60", self.key)
        self._rest(server)

    def _rest(self, server: Server) -> None:
        """Waits until each delivery was tried."""
        while any(one["attemptCount"] == 0 for one in server.api("GET", "/deliveries?state=pending", self.key)["items"]):
            threading.Event().wait(0.1)
        found = server.api("GET", f"/webhooks/{self.made['pager']}/deliveries", self.key)["items"]
        self.made["delivery"] = found[0]["id"] if found else ""

    def _post(self, server: Server, path: str, **body: Any) -> Any:
        return server.api("POST", path, self.key, body)


def a_day_passes(home: Path) -> None:
    """Whatever was noted is a day older."""
    times = "> 1500000000000000 AND {0} < 2500000000000000"  # microseconds, and nothing that merely is a large number
    with closing(sqlite3.connect(home / "tidings.sqlite")) as db, db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'").fetchall():
            for _, column, kind, *_ in db.execute(f'PRAGMA table_info("{table}")').fetchall():
                if kind.upper() == "BIGINT":
                    db.execute(f'UPDATE "{table}" SET "{column}" = "{column}" - 86400000000 WHERE "{column}" ' + times.format(f'"{column}"'))
                elif column == "day":
                    for (day,) in db.execute(f'SELECT DISTINCT day FROM "{table}" ORDER BY day').fetchall():
                        db.execute(f"UPDATE \"{table}\" SET day = date(day, '-1 day') WHERE day = ?", (day,))


def picture(page: Page, name: str) -> int:
    """Writes one picture with few colours; its size."""
    image = Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    image.save(OUT / f"{name}.png", optimize=True)
    return (OUT / f"{name}.png").stat().st_size


@contextmanager
def signed_in(url: str) -> Iterator[Page]:
    """A browser of somebody who has signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(base_url=url, viewport=SIZE, device_scale_factor=SCALE, reduced_motion="reduce").new_page()
        page.goto("/login")
        page.locator("[name=email]").fill(EMAIL)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("form .button.main").click()
        page.wait_for_url("**/app/bots")
        yield page
        browser.close()


def main(wanted: list[str]) -> None:
    """Takes the pictures that are wanted, or all."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tidings-pictures-") as place:
        home, folder, world = Path(place, "home"), Path(place, "srv"), World()
        settings = {"LOCAL_ROOTS": str(folder), "ALLOWED_NETWORKS": "127.0.0.0/8", "PLANS": json.dumps({"team": 50_000}), "DEFAULT_PLAN": "team"}
        env = environment(home, **{f"TIDINGS_{name}": value for name, value in settings.items()})
        key = answer("setup", "--email", EMAIL, "--password", PASSWORD, "--workspace", "Northwind Bikes", env=env)["apiKey"]
        story = Story(world, folder, key)
        for number in range(1, DAYS + 1):
            with serving(env=env) as server:
                if number == 1:
                    story.begins(server)
                story.day(server, number)
                server.process.stop()
            if number < DAYS:
                a_day_passes(home)
        with serving(env=env) as server, signed_in(server.url) as page:
            for name in wanted or PICTURES:
                page.goto(PICTURES[name].format(**story.made))
                page.evaluate("document.fonts.ready")
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    page.wait_for_timeout(400)  # what draws itself, draws itself again
                    print(f"{name}-{scheme}.png: {picture(page, f'{name}-{scheme}') // 1024} KiB")
            server.process.stop()
        world.server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A database that keeps nothing more, since a bound on the size of files is reached: pages, API and readiness say so, and what was typed goes on to count."""

import re
import resource
from pathlib import Path

import httpx

from tests.flows.commands import answer, environment, serving

EMAIL, PASSWORD = "ann@example.com", "a-long-password"
BOUND = 4096  # bytes that a file may have


def _token(page: httpx.Response) -> str:
    found: list[str] = re.findall(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    return found[0]


def test_pages_api_and_readiness_say_that_the_disk_is_full(home: Path) -> None:
    key = answer("setup", "--email", EMAIL, "--password", PASSWORD, env=environment(home))["apiKey"]
    with serving(env=environment(home)) as server, httpx.Client(base_url=server.url, trust_env=False, timeout=60) as ann:
        bot = server.api("POST", "/bots", key, {"name": "Files"})["id"]
        files = server.api("POST", f"/bots/{bot}/data-sources", key, {"name": "Files", "type": "files", "syncNow": False})["id"]
        ann.post("/login", data={"email": EMAIL, "password": PASSWORD, "form_token": _token(ann.get("/login"))})
        asked = ann.get("/app/bots/new")
        assert asked.status_code == 200
        _, hard = resource.prlimit(server.process.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.process.pid, resource.RLIMIT_FSIZE, (BOUND, hard))
        refused = ann.post("/app/bots/new", data={"name": "A bot <of mine>", "form_token": _token(asked)})
        assert refused.status_code == 503
        assert "The disk that holds the database is full." in refused.text
        assert 'name="name" value="A bot &lt;of mine&gt;"' in refused.text
        typed = {"type": "notion", "name": "Handbook", "config.token": "ntn_credential", "form_token": _token(asked)}
        with_credential = ann.post(f"/app/bots/{bot}/data-sources/new", data=typed)
        assert with_credential.status_code == 503
        assert "Press Back in your browser" in with_credential.text
        assert "ntn_credential" not in with_credential.text
        for path in ("/app/bots", "/app/settings/workspace", "/app/account"):
            page = ann.get(path)
            assert page.status_code == 200
            assert "Free some space on it" in page.text
        status, problem = server.call("POST", "/api/v1/bots", {"name": "A bot"}, key)
        assert (status, problem["detail"]) == (503, "The disk that holds the database is full. Free some space on it; nothing else is needed.")
        assert [each["id"] for each in server.api("GET", "/bots", key)["items"]] == [bot]
        for content in (b"x" * 2 * BOUND, b"x" * 2 * 1024 * 1024):  # the larger one is put down on its way in, too
            url, owner = f"/api/v1/data-sources/{files}/files", {"Authorization": f"Bearer {key}"}
            upload = ann.post(url, files={"files": ("a.md", content)}, headers=owner)
            assert upload.status_code == 503
            assert upload.json()["detail"].startswith("There is no room ")
        assert server.call("GET", "/readyz") == (200, {"status": "ok", "warning": problem["detail"]})
        resource.prlimit(server.process.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert ann.post("/app/bots/new", data={"name": "A bot <of mine>", "form_token": _token(refused)}).status_code == 303
        assert "Free some space" not in ann.get("/app/bots").text
        assert server.call("GET", "/readyz") == (200, {"status": "ok"})

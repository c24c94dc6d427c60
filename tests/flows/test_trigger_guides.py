"""What the guides on triggering tell people to copy works against a real Tidings: scripts of CI, the line for cron, bodies that a mapping reads."""

import json
import re
import secrets
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.commands import Server, a_data_source, answer, environment, serving

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
MAPPING = {"urls": "$.url"}


def fenced(guide: str, language: str) -> list[str]:
    page = (GUIDES / guide).read_text(encoding="utf-8")
    return [textwrap.dedent(block) for block in re.findall(rf"^ *```{language}\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)]


def script_of(guide: str) -> str:
    """The lines below `run: |` or `script: - |` of a guide's YAML."""
    (workflow,) = fenced(guide, "yaml")
    return textwrap.dedent(re.split(r"(?:run: |- )\|\n", workflow)[1])


@dataclass(frozen=True)
class House:
    """A Tidings with one data source and its trigger."""

    server: Server
    key: str
    folder: Path
    source: str
    hook: dict[str, Any]


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Iterator[House]:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n")
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(tmp_path))
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    with serving(env=env) as server:
        source = a_data_source(server, key, folder)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        yield House(server, key, folder, source, server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source}))


def run(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """As the machines of CI run a script: each line has to succeed."""
    return subprocess.run(["sh", "-e", "-c", script], env={"PATH": "/usr/bin:/bin"} | env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("guide", ["trigger-from-github-actions.md", "trigger-from-gitlab-ci.md"])
def test_the_script_for_ci_succeeds_and_fails_as_the_sync_does(house: House, guide: str) -> None:
    script, url = script_of(guide), house.hook["url"]
    commit = {"GITHUB_SHA": "c0ffee", "CI_COMMIT_SHORT_SHA": "c0ffee"}
    good = run(script, BOT_TRIGGER_URL=url, **commit)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["results"]["modifiedRows"] == 1
    assert house.server.api("GET", f"/data-sources/{house.source}/syncs", house.key)["items"][0]["refs"] == ["c0ffee"]
    (house.folder / "a.md").unlink()
    house.folder.rmdir()
    bad = run(script, BOT_TRIGGER_URL=url, **commit)
    assert bad.returncode != 0
    assert json.loads(bad.stdout)["success"] is False
    wrong = run(script, BOT_TRIGGER_URL=url[:-4] + "0000", **commit)
    assert wrong.returncode != 0
    assert "404" in wrong.stderr
    assert url[-32:-4] not in wrong.stderr
    assert run(script, BOT_TRIGGER_URL="", **commit).returncode != 0


def test_the_line_for_cron_keeps_the_url_in_a_file(house: House, tmp_path: Path) -> None:
    setting_up = fenced("trigger-from-cron.md", "bash")[0]
    line = fenced("trigger-from-cron.md", "text")[0].split(" && ")[1]
    assert "hooks" not in line
    done = run(re.sub(r'(?<=url = ").*(?=")', house.hook["url"], setting_up) + line, HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / ".bot-trigger").stat().st_mode & 0o077 == 0
    assert len(house.server.api("GET", f"/data-sources/{house.source}/syncs", house.key)["items"]) == 1
    (tmp_path / ".bot-trigger").write_text((tmp_path / ".bot-trigger").read_text() + 'data = "wait=60"\nget\n')
    waited = run(line.replace("--output /dev/null", ""), HOME=str(tmp_path))
    assert json.loads(waited.stdout)["results"]["totalDataSourceRows"] == 1


def test_the_bodies_of_content_systems_name_rows(house: House) -> None:
    tried = f"/webhooks/{house.hook['id']}/mapping/try"

    def named(body: str) -> Any:
        return house.server.api("POST", tried, house.key, {"body": body, "mapping": MAPPING})["targets"]

    for guide in ("trigger-from-wordpress.md", "trigger-from-contentful.md"):
        assert f"`{json.dumps(MAPPING)}`" in (GUIDES / guide).read_text(encoding="utf-8")
    payload = fenced("trigger-from-contentful.md", "json")[0].replace("{ /payload/fields/slug/en-US }", "first-ride")
    assert named(payload)["urls"] == ["https://www.example.com/guides/first-ride"]
    assert named('{"sys": {"type": "DeletedEntry", "id": "5KsDBWseXY6QegucYAoacS"}}') is None
    assert named(json.dumps({"url": "https://www.example.com/2026/first-ride/"}))["urls"] == ["https://www.example.com/2026/first-ride/"]

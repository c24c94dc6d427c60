"""The other commands: what they print for people and for programs, their exit codes, their sentences."""

import json
import os
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.flows.commands import a_data_source, answer, environment, one_sentence, run, serving, started

COMMANDS = (
    ["serve"], ["setup"], ["demo"], ["sync"], ["listen"], ["keys"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"], ["workspace"],
    ["workspace", "plan"], ["migrate"], ["doctor"], ["config"], ["backup"], ["openapi"],
)  # fmt: skip


@pytest.fixture
def env(home: Path, database_url: str | None) -> dict[str, str]:
    """The environment of a Tidings that is not set up, on either database."""
    return environment(home, database_url)


def set_up(env: dict[str, str], workspace: str = "Ours") -> dict[str, str]:
    """What `setup` says to programs."""
    made: dict[str, str] = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), "--workspace", workspace, env=env)
    return made


@pytest.mark.parametrize("words", [[], *COMMANDS], ids=" ".join)
def test_each_command_has_help_for_narrow_terminals(words: list[str], home: Path) -> None:
    done = run(*words, "--help", env=environment(home, COLUMNS="80"))
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not any(home.iterdir())


def test_help_waits_for_nothing_heavy(home: Path) -> None:
    program = (
        "import sys; from tidings.cli import app; print([name for name in sys.modules if name in {'fastapi', 'sqlalchemy', 'aiohttp', 'pydantic', 'rich'}])"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(home), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_command_starts_by_itself_and_from_the_hatchery_as_well(home: Path, tmp_path: Path) -> None:
    """Ordinary processes, each of which imports what its command needs. `serve`, `listen` and `demo` start like that in tests of their own."""
    env = environment(home)
    email, password = ("--email", "ann@example.com"), ("--password", secrets.token_hex(8))
    for words in (
        ("setup", *email, *password),
        ("keys", "create", "deploy"),
        ("members", "invite", "bob@example.com"),
        ("workspace", "create", "Second", *email),
        ("members", "sign-out", "--all"),
        ("password", "ann@example.com", *password),
        ("backup", str(tmp_path / "copy.sqlite")),
    ):
        done = run(*words, env=env, ordinary=True)
        assert done.returncode == 0, (words, done.stderr)
    for code, told in (
        (0, ("keys list", "workspace list", "members list", "config", "migrate", "openapi", "doctor", "secrets check")),
        (1, ("keys revoke nonsense", "sync nonsense --wait", f"backup {tmp_path / 'copy.sqlite'}")),
        (2, ("secrets replace", "workspace plan x y", "serve --role king")),
    ):
        for line in told:
            ordinary, hatched = run(*line.split(), env=env, ordinary=True), run(*line.split(), env=env)
            assert ordinary.returncode == code, line
            assert (hatched.returncode, hatched.stdout, hatched.stderr) == (code, ordinary.stdout, ordinary.stderr)


def test_setup_makes_one_owner_and_no_second_one(env: dict[str, str]) -> None:
    made = set_up(env)
    assert set(made) == {"workspaceId", "apiKey"}
    again = run("setup", "--email", "bob@example.com", "--password", secrets.token_hex(8), env=env)
    assert again.returncode == 1
    assert one_sentence(again.stderr)
    assert again.stdout == ""


@pytest.mark.parametrize(("email", "password", "named"), [("nobody", "long enough", "email"), ("a@example.com", "short", "password")])
def test_setup_says_what_will_not_do(email: str, password: str, named: str, home: Path) -> None:
    done = run("setup", "--email", email, "--password", password, env=environment(home))
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_setup_without_a_password_is_misuse_where_nobody_can_be_asked(home: Path) -> None:
    done = run("setup", "--email", "a@example.com", env=environment(home))
    assert done.returncode == 2
    assert "--password" in done.stderr


def test_setup_with_an_example_makes_nothing_where_the_secret_key_will_not_do(env: dict[str, str]) -> None:
    words = ("--email", "ann@example.com", "--password", secrets.token_hex(8), "--example")
    refused = run("setup", *words, env=env | {"TIDINGS_SECRET_KEY": "short"})
    assert refused.returncode == 2
    assert "TIDINGS_SECRET_KEY" in refused.stderr
    assert answer("setup", *words, env=env)["apiKey"].startswith("tdk_")


def test_keys_are_made_listed_and_revoked(env: dict[str, str]) -> None:
    made = set_up(env)
    name = f"deploy {secrets.token_hex(3)}"
    key = answer("keys", "create", name, "--role", "member", env=env)
    assert (key["name"], key["role"], key["workspaceId"], key["revokedAt"]) == (name, "member", made["workspaceId"], None)
    assert key["apiKey"].startswith("tdk_")
    listed = answer("keys", "list", env=env)["items"]
    assert [one["role"] for one in listed] == ["operator", "member"]
    assert all("apiKey" not in one for one in listed)
    shown = run("keys", "list", env=env).stdout
    assert name in shown
    assert key["apiKey"] not in shown
    with serving(env=env) as server:
        assert server.call("GET", "/api/v1/bots", key=key["apiKey"])[0] == 200
        answer("keys", "revoke", key["id"], env=env)
        assert server.call("GET", "/api/v1/bots", key=key["apiKey"])[0] == 401
    assert "revoked" in run("keys", "list", env=env).stdout


@pytest.mark.parametrize("words", [["keys", "revoke", "nonsense"], ["keys", "revoke", "00000000-0000-7000-8000-000000000000"], ["sync", "nonsense"]])
def test_what_is_not_there_is_said_in_a_sentence(words: list[str], env: dict[str, str]) -> None:
    set_up(env)
    done = run(*words, env=env)
    assert done.returncode == 1
    assert one_sentence(done.stderr)


@pytest.mark.parametrize("words", [["keys", "list"], ["keys", "create", "x"], ["sync", "x"], ["workspace", "plan", "x", "y"], ["backup", "x"]])
def test_without_a_tidings_it_says_where_it_looked(words: list[str], home: Path) -> None:
    done = run(*words, env=environment(home / "elsewhere"), cwd=home)
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert str(home / "elsewhere") in done.stderr
    assert not any(home.iterdir())


@pytest.mark.parametrize(
    ("words", "named"),
    [(["keys", "create", "x", "--role", "king"], "--role"), (["keys", "create"], "NAME"), (["listen", "--fail", "-1"], "--fail"), (["nothing"], "nothing")],
)
def test_misuse_is_code_2(words: list[str], named: str, home: Path) -> None:
    done = run(*words, env=environment(home))
    assert done.returncode == 2
    assert named in done.stderr


def test_a_workspace_is_put_on_a_plan(env: dict[str, str]) -> None:
    allowance = secrets.randbelow(10**6)
    env |= {"TIDINGS_PLANS": json.dumps({"small": allowance, "unlimited": None})}
    workspace = set_up(env)["workspaceId"]
    assert answer("workspace", "plan", workspace, "small", env=env)["plan"] == {"name": "small", "storageTokensPerMonth": allowance}
    assert "without limit" in run("workspace", "plan", workspace, "unlimited", env=env).stdout
    wrong = run("workspace", "plan", workspace, "huge", env=env)
    assert wrong.returncode == 2
    assert "small" in wrong.stderr


def test_migrate_says_what_it_did(blank_database_url: str | None, home: Path) -> None:
    env = environment(home, blank_database_url)
    assert answer("migrate", env=env)["applied"]
    assert answer("migrate", env=env)["applied"] == []


def test_config_shows_sources_and_masks_secrets(home: Path) -> None:
    password, token = secrets.token_hex(8), secrets.token_hex(8)
    (home / "tidings.toml").write_text(f'trigger_rate = 7\nmetrics_token = "{token}"\n')
    env = environment(home, f"postgresql://ann:{password}@localhost/none", TIDINGS_KEEP_SNAPSHOTS="3", TIDINGS_KEEP_SNAPSHOT="4")
    shown = answer("config", env=env)
    assert shown["TIDINGS_TRIGGER_RATE"] == {"value": 7, "source": "tidings.toml"}
    assert shown["TIDINGS_KEEP_SNAPSHOTS"] == {"value": 3, "source": "environment"}
    assert shown["TIDINGS_REMOVAL_GUARD"]["source"] == "default"
    done = run("config", env=env)
    assert password not in done.stdout
    assert token not in done.stdout
    assert "TIDINGS_KEEP_SNAPSHOT is not a setting" in done.stderr


def test_openapi_needs_nothing(home: Path) -> None:
    done = run("openapi", env=environment(home / "none"))
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["openapi"].startswith("3.1")
    assert set(document["webhooks"]) == {"sync.success", "sync.failure"}
    assert not any(home.iterdir())


def test_doctor_finds_nothing_on_a_sound_house(env: dict[str, str]) -> None:
    set_up(env)
    found = answer("doctor", env=env)
    assert found["ok"] is True
    assert [one for one in found["findings"] if one["level"] == "error"] == []
    assert {"home", "secret key", "database", "schema", "plans"} <= {one["check"] for one in found["findings"]}


def test_doctor_has_a_fix_for_each_thing_that_is_wrong(home: Path) -> None:
    env = environment(home)
    set_up(env)
    with serving(env=env):
        assert "A server runs on this data." in run("doctor", env=env).stdout
    (home / "secret.key").chmod(0o644)
    wrong = env | {"TIDINGS_LOCAL_ROOTS": str(home / "missing"), "TIDINGS_BASE_URL": "http://tidings.example.com", "TIDINGS_HOMES": "x"}
    done = run("doctor", "--json", env=wrong)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    bad = {one["check"]: one for one in found["findings"] if one["level"] != "ok"}
    assert {"secret key", "local roots", "base URL", "settings"} <= set(bad)
    assert all(one["fix"] for one in bad.values())
    shown = run("doctor", env=wrong)
    assert shown.returncode == 1
    assert f"chmod 600 {home / 'secret.key'}" in shown.stdout


def test_doctor_sees_a_secret_key_that_is_not_the_databases(home: Path) -> None:
    env = environment(home)
    key = set_up(env)["apiKey"]
    with serving(env=env) as server:
        bot = server.api("POST", "/bots", key, {"name": "Ann"})["id"]
        source = server.api("POST", f"/bots/{bot}/data-sources", key, {"name": "Files", "type": "files", "config": {}})["id"]
        server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
    assert run("doctor", env=env).returncode == 0
    (home / "secret.key").unlink()
    assert "there is no key here" in _error_of("sealed", env)
    refused = run("serve", "--port", "0", env=env)
    assert refused.returncode == 1
    assert one_sentence(refused.stderr.strip()) or "put it back" in refused.stderr
    assert not (home / "secret.key").exists()
    (home / "secret.key").write_text("ab" * 32)
    (home / "secret.key").chmod(0o600)
    assert "which is not the present one" in _error_of("sealed", env)
    with serving(env=env) as server:
        assert any("until the right secret key is back" in line for line in server.process.errors)


def _error_of(check: str, env: dict[str, str]) -> str:
    found = json.loads(run("doctor", "--json", env=env).stdout)["findings"]
    return next(str(one["message"]) for one in found if one["check"] == check and one["level"] == "error" and one["fix"])


@pytest.mark.parametrize(
    ("setting", "value"), [("TIDINGS_PLANS", "none"), ("TIDINGS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none"), ("TIDINGS_SECRET_KEY", "short")]
)
def test_doctor_reports_what_stops_all_else(setting: str, value: str, home: Path) -> None:
    done = run("doctor", "--json", env=environment(home, **{setting: value}))
    assert done.returncode == 1
    assert [one for one in json.loads(done.stdout)["findings"] if one["level"] == "error" and one["fix"]]


def test_a_backup_beside_a_living_server_is_whole(home: Path, database_url: str | None, tmp_path: Path) -> None:
    if database_url is not None:
        pytest.skip("pg_dump is shown below")
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.md").write_text(f"# {number}\n\nzebra {secrets.token_hex(20)}\n")
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(folder))
    key = set_up(env)["apiKey"]
    with serving(env=env) as server:
        source = a_data_source(server, key, folder)
        sync = server.api("POST", f"/data-sources/{source}/sync", key)["syncId"]
        server.ended(sync, key)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        made = answer("backup", str(tmp_path / "copy.sqlite"), env=env)
    assert made["bytes"] == (tmp_path / "copy.sqlite").stat().st_size
    assert made["notIncluded"] == [str(home / "secret.key")]
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    restored = tmp_path / "restored"
    restored.mkdir()
    (tmp_path / "copy.sqlite").rename(restored / "tidings.sqlite")
    (restored / "secret.key").write_bytes((home / "secret.key").read_bytes())
    with serving(env=environment(restored)) as server:
        assert len(server.api("GET", f"/bots/{bot}/search?q=zebra&limit=100", key)["items"]) == 30


def test_a_backup_overwrites_nothing_and_leaves_no_half(env: dict[str, str], tmp_path: Path) -> None:
    set_up(env)
    target = tmp_path / "copy"
    target.write_text("precious")
    done = run("backup", str(target), env=env)
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert target.read_text() == "precious"
    done = run("backup", str(tmp_path / "no" / "folder"), env=env)
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    done = run("backup", str(target / "below"), env=env)
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "home"]


def test_a_backup_of_postgresql_is_pg_dumps_own(home: Path, database_url: str | None, tmp_path: Path) -> None:
    if database_url is None:
        pytest.skip("SQLite is shown above")
    env = environment(home, database_url)
    set_up(env)
    empty = tmp_path / "bin"
    empty.mkdir()
    without = run("backup", str(tmp_path / "copy"), env=env | {"PATH": str(empty)})
    assert without.returncode == 1
    assert "pg_dump is not here" in without.stderr
    (empty / "pg_dump").write_text(  # what is asked of it, not what it does, is ours
        '#!/bin/sh\nfor word in "$@"; do case $word in --file=*) echo "$@" > "${word#--file=}";; esac; done\n'
    )
    (empty / "pg_dump").chmod(0o755)
    made = answer("backup", str(tmp_path / "copy"), env=env | {"PATH": f"{empty}:{os.environ['PATH']}"})
    assert made["database"] == "postgresql"
    assert "--format=custom" in (tmp_path / "copy").read_text()


@pytest.mark.parametrize(
    ("line", "streams", "code", "told"),
    [
        ("setup --email a@example.com", "<&-", 2, "--password is missing"),
        ("password a@example.com", "<&-", 2, "--password is missing"),
        ("secrets replace", "<&-", 2, "With --yes you say"),
        ("doctor", ">&-", 0, ""),
        ("openapi", ">/dev/full", 1, "Make room where standard output goes"),
        ("config", "2>&-", 0, "TIDINGS_HOME"),
    ],
)
def test_streams_that_are_closed_or_full_are_no_fault(line: str, streams: str, code: int, told: str, home: Path) -> None:
    command = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-m", "tidings", *line.split()]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert told in said
    assert "Traceback" not in said
    assert "Exception" not in said


def test_listen_says_where_the_secret_of_a_webhook_is_found(home: Path) -> None:
    done = run("listen", "--secret", "generate", env=environment(home))
    assert done.returncode == 2
    assert "Copy it from the page of the webhook." in done.stderr


def test_a_version_is_told(home: Path) -> None:
    from tidings import __version__

    assert run("--version", env=environment(home)).stdout == f"tidings {__version__}\n"


def test_listen_on_a_port_in_use_says_so(home: Path) -> None:
    with started("listen", "--port", "0", "--json", env=environment(home)) as process:
        port = process.fact()["url"].rpartition(":")[2]
        done = run("listen", "--port", port, env=environment(home))
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert port in done.stderr

"""What the README and the guides show is what one gets: its commands run as written on a fresh clone, its output is the demo's, its code works."""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.flows.commands import environment, run
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_WEBHOOK_WITHIN = 180  # seconds, on a fresh clone

VARIABLE = (  # what differs from one run to the next
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"/[0-9a-f]{32}\b"), "/SECRET"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\S*/tidings-demo-\w+"), "FOLDER"),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"in \d+ seconds"), "SECONDS"),
)


def fenced(page: str, language: str) -> list[str]:
    """The blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def without_what_varies(text: str) -> str:
    for pattern, name in VARIABLE:
        text = pattern.sub(name, text)
    return text.strip()


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    done = run("demo", env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert without_what_varies(done.stdout) == without_what_varies(fenced(README, "text")[0])


def test_the_pythonic_check_of_a_signature_works(monkeypatch: pytest.MonkeyPatch) -> None:
    secret, body, message, now = new_signing_secret(), json.dumps({"text": secrets.token_hex(8)}).encode(), secrets.token_hex(8), int(time.time())
    code = fenced((ROOT / "docs/guides/check-a-signature.md").read_text(encoding="utf-8"), "python")[0]
    names: dict[str, Any] = {}
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    with pytest.raises(SystemExit):  # anybody can sign with an empty key
        exec(code, names)  # noqa: S102 - our own guide
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    exec(code, names)  # noqa: S102 - our own guide
    genuine: Callable[..., bool] = names["genuine"]

    def headers(at: int, *keys: bytes) -> dict[str, str]:
        return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": sign(keys, message, at, body)}

    key, other = parse_signing_secret(secret), parse_signing_secret(new_signing_secret())
    assert genuine(headers(now, key), body)
    assert genuine(headers(now, other, key), body)
    assert not genuine(headers(now, other), body)
    assert not genuine(headers(now - 400, key), body)
    assert not genuine(headers(now, key), body + b" ")
    assert base64.b64decode(secret.removeprefix("whsec_")) == key


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here to run it")
def test_the_check_of_a_signature_in_node_works(tmp_path: Path) -> None:
    code = fenced((ROOT / "docs/guides/check-a-signature.md").read_text(encoding="utf-8"), "javascript")[0]
    secret, body, message, now = new_signing_secret(), b'{"text": "\xc3\xa4"}', secrets.token_hex(8), int(time.time())
    headers = {"webhook-id": message, "webhook-timestamp": str(now), "webhook-signature": sign([parse_signing_secret(secret)], message, now, body)}
    tried = f"const [headers, body] = {json.dumps([headers, body.decode()])};\n"
    tried += "console.log(genuine(headers, Buffer.from(body)), genuine(headers, Buffer.from(body + ' ')));\n"
    (tmp_path / "check.mjs").write_text(code + tried)
    done = subprocess.run(["node", tmp_path / "check.mjs"], env=os.environ | {"WEBHOOK_SECRET": secret}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["true", "false"]


def test_the_commands_of_the_readme_are_sound_bash() -> None:
    blocks = fenced(README, "bash")
    assert len(blocks) >= 5
    done = subprocess.run(["bash", "-n"], input="".join(blocks), capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.fresh
@pytest.mark.timeout(600)
def test_the_readme_works_as_written_on_a_fresh_clone(tmp_path: Path) -> None:
    for port in (8700, 8701):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"another program has port {port} of this machine")
    clone = tmp_path / "tidings"
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "VIRTUAL_ENV"))} | {"PYTHON": sys.executable}
    script = "set -e\ntrap 'kill $(jobs -p)' EXIT\n" + "\n".join(fenced(README, "bash"))
    begun = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=clone, env=inherited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    watchdog = threading.Timer(FIRST_WEBHOOK_WITHIN * 2, lambda: os.killpg(process.pid, signal.SIGKILL))
    watchdog.start()
    said, first = [], 0.0
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            said.append(line)
            if "signature valid" in line and not first:
                first = time.monotonic() - begun
    process.wait()
    watchdog.cancel()
    output = "".join(said)
    assert 0 < first < FIRST_WEBHOOK_WITHIN, output
    assert output.count("signature valid") == 4, output  # three of the demo, one of the server that was set up by hand
    assert json.loads(said[-1])["items"], output

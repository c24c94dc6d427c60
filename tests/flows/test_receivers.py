"""The receivers in examples/receivers, which the guides show whole: real programs, in every language that is on this machine."""

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.flows.commands import a_data_source, answer, environment, serving
from tidings.web.pages.receivers import FOLDER, VARIABLE
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "receivers"
GUIDES = {"receive-in-python.md": "receiver.py", "receive-in-node.md": "receiver.mjs", "receive-in-go.md": "receiver.go"}


@pytest.fixture(scope="session")
def go_receiver(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The one in Go, compiled."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go here to compile it")
    built = tmp_path_factory.mktemp("go") / "receiver"
    subprocess.run(["go", "build", "-o", built, EXAMPLES / "receiver.go"], check=True, env=os.environ | {"GO111MODULE": "off"}, timeout=250)
    return [str(built)]


@pytest.fixture(params=["python", "node", "go"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command that starts a receiver."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "receiver.py")]
    if request.param == "node":
        if shutil.which("node") is None:
            pytest.skip("there is no Node here to run it")
        return ["node", str(EXAMPLES / "receiver.mjs")]
    found: list[str] = request.getfixturevalue("go_receiver")
    return found


@dataclass
class Running:
    """A receiver that runs."""

    process: subprocess.Popen[str]
    url: str

    def posts(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of its answer."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/", body, headers)
            return connection.getresponse().status

    def works(self) -> tuple[int, object]:
        """The number and the content of what it works on next."""
        assert self.process.stdout is not None
        sequence, _, told = self.process.stdout.readline().partition(" ")
        return int(sequence), json.loads(told)


@contextlib.contextmanager
def running(program: list[str], secret: str, inbox: Path, **more: str) -> Iterator[Running]:
    """A receiver on a free port; it is killed in the end."""
    env = os.environ | {VARIABLE: secret, "PORT": "0", "INBOX": str(inbox)} | more
    with subprocess.Popen(program, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "Listening on " in said
            yield Running(process, said.split()[-1])
        finally:
            process.send_signal(signal.SIGKILL)


def signed(secret: str, message: str, body: bytes, sequence: int | None, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    headers = {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": sign([parse_signing_secret(secret)], message, at, body)}
    return headers if sequence is None else headers | {"Tidings-Sequence": str(sequence)}


def test_a_receiver_takes_each_event_once_and_in_order(program: list[str], tmp_path: Path) -> None:
    secret, inbox = new_signing_secret(), tmp_path / "inbox"
    told = {number: {"success": True, "text": f"ä {secrets.token_hex(4)}"} for number in range(1, 6)}
    bodies = {number: json.dumps(each, ensure_ascii=False).encode() for number, each in told.items()}

    def headers(number: int) -> dict[str, str]:
        return signed(secret, f"event-{number}", bodies[number], number)

    with running(program, secret, inbox) as receiver:
        assert [receiver.posts(bodies[number], headers(number)) for number in (3, 1, 3, 1, 2, 2, 5)] == [200] * 7
        assert [receiver.works() for _ in range(3)] == [(number, told[number]) for number in (1, 2, 3)]
    with running(program, secret, inbox) as receiver:  # it was killed, and knows what it had
        assert [receiver.posts(bodies[number], headers(number)) for number in (2, 4)] == [200] * 2
        works = (one for one in iter(receiver.works, None) if one[0] > 3)  # 3 comes again where it died before it had noted that it was done
        assert [next(works), next(works)] == [(number, told[number]) for number in (4, 5)]


def test_a_receiver_refuses_what_is_not_genuine(program: list[str], tmp_path: Path) -> None:
    secret, body, now = new_signing_secret(), b'{"success": true}', int(time.time())
    with running(program, secret, tmp_path / "inbox", FIRST="7") as receiver:
        good = signed(secret, "one", body, 7)
        refused = [
            {},
            {"Tidings-Sequence": "7"},
            signed(new_signing_secret(), "one", body, 7),
            signed(secret, "one", body, 7, now - 400),
            signed(secret, "one", body, 7, now + 400),
            good | {"webhook-id": "other"},
            good | {"webhook-timestamp": "soon"},
            good | {"webhook-signature": "v1,"},
            {name: value for name, value in good.items() if name != "webhook-signature"},
        ]
        with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0), 10) as connection:  # breaks off within the body
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0), 60) as connection:  # would be read to the end that never comes
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{")
            assert connection.recv(12).rpartition(b" ")[2] in {b"400", b"401"}
        assert [receiver.posts(body, headers) for headers in refused] == [401] * len(refused)
        assert receiver.posts(body + b" ", good) == 401
        assert receiver.posts(body, signed(secret, "test", body, None)) == 200  # a test has no number, and no work follows
        rotating = good | {"webhook-signature": f"v1,AAAA {good['webhook-signature']}"}
        assert receiver.posts(body, rotating) == 200
        assert receiver.works() == (7, {"success": True})


def test_a_receiver_works_with_a_real_tidings(program: list[str], tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n")
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(folder), TIDINGS_ALLOWED_NETWORKS="127.0.0.0/8")
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    secret = new_signing_secret()
    with serving(env=env) as server, running(program, secret, tmp_path / "inbox") as receiver:
        source = a_data_source(server, key, folder)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        hook = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_success", "targetUrl": receiver.url, "secret": secret})
        assert server.api("POST", f"/webhooks/{hook['id']}/check", key)["verdict"] == "good"
        server.api("POST", f"/data-sources/{source}/sync", key)
        sequence, told = receiver.works()
        assert sequence == 1
        assert isinstance(told, dict)
        assert told["results"]["modifiedRows"] == 1


@pytest.mark.parametrize(("guide", "name"), GUIDES.items())
def test_a_guide_shows_the_receiver_that_is_tested(guide: str, name: str) -> None:
    page = (ROOT / "docs" / "guides" / guide).read_text(encoding="utf-8")
    shown = re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert (EXAMPLES / name).read_text(encoding="utf-8") in shown, f"copy examples/receivers/{name} into the guide"


@pytest.mark.parametrize("name", ["python", "node", "go", "php", "ruby"])
def test_the_check_of_a_signature_is_the_same_everywhere(name: str) -> None:
    program = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    found = re.search(r"^(KEY = |const key = |// Whether|/\*\* Whether).*?^(}|end|    return any.*?)$", program, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[0] in (ROOT / "docs" / "guides" / "check-a-signature.md").read_text(encoding="utf-8"), f"copy it from {name}.txt into the guide"
    for example in EXAMPLES.glob({"python": "*.py", "node": "*.mjs"}.get(name, f"*.{name}")):
        assert found[0] in example.read_text(encoding="utf-8"), f"copy it from {name}.txt into {example.name}"

"""The commands as a user runs them: real processes, with an environment of their own.

The hatchery starts them, which spares the second of their imports. `ordinary` asks for a start like any user's, and each command has one in some test.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.hatchery import Hatched, hatch, hatches

ENDS_WITHIN = 240.0  # seconds, on a machine that does much else


def environment(home: Path, database_url: str | None = None, **more: str) -> dict[str, str]:
    """What a command sees: this home, this database, and no setting besides but `more`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    database = {} if database_url is None else {"TIDINGS_DATABASE_URL": database_url}
    return plain | {"TIDINGS_HOME": str(home), "NO_COLOR": "1"} | database | more


def run(*words: str, env: Mapping[str, str], cwd: Path | None = None, ordinary: bool = False) -> subprocess.CompletedProcess[str]:
    """A command from its start to its end."""
    if ordinary or not hatches(env):
        command = [sys.executable, "-m", "tidings", *words]
        return subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ENDS_WITHIN)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = hatch(words, env=env, cwd=cwd, stdout=output.fileno(), stderr=errors.fileno())
        try:
            code = process.wait(ENDS_WITHIN)
        finally:
            _end(process)
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(["tidings", *words], code, output.read(), errors.read())


def answer(*words: str, env: Mapping[str, str]) -> Any:
    """What a command that succeeds prints with `--json`."""
    done = run(*words, "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, "JSON is one line"
    return json.loads(done.stdout)


def one_sentence(text: str) -> bool:
    """Whether this is what a user may be told: no traceback, one line that ends."""
    return len(text.splitlines()) == 1 and text.rstrip().endswith((".", "`", "!"))


class Process:
    """A command that runs until it is stopped; its output is read line by line."""

    def __init__(self, *words: str, env: Mapping[str, str], ordinary: bool = False) -> None:
        (output, its_output), (errors, its_errors) = os.pipe(), os.pipe()
        self.output, self._errors = os.fdopen(output), os.fdopen(errors)
        self.process: subprocess.Popen[bytes] | Hatched
        if ordinary or not hatches(env):
            command = [sys.executable, "-m", "tidings", *words]
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=its_output, stderr=its_errors, start_new_session=True)
        else:
            self.process = hatch(words, env=env, stdout=its_output, stderr=its_errors)
        os.close(its_output)
        os.close(its_errors)
        self.errors: list[str] = []
        self._reading = threading.Thread(target=self._read_errors, daemon=True)
        self._reading.start()

    def line(self) -> str:
        """The next line of its output."""
        line = self.output.readline()
        assert line, "".join(self.errors)
        return line.rstrip("\n")

    def fact(self) -> Any:
        """The next line, as JSON."""
        return json.loads(self.line())

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = 60.0) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(within)
        self._reading.join(10)
        return code

    def close(self) -> None:
        """Ends it if it still runs, and with it whatever it started."""
        _end(self.process)
        self._reading.join(10)
        self.output.close()
        self._errors.close()

    def _read_errors(self) -> None:
        with contextlib.suppress(ValueError):  # closed meanwhile
            self.errors.extend(self._errors)


def _end(process: subprocess.Popen[bytes] | Hatched) -> None:
    """Ends a process if it still runs, and with it whatever it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(ENDS_WITHIN)


@contextlib.contextmanager
def started(*words: str, env: Mapping[str, str], ordinary: bool = False) -> Iterator[Process]:
    """A command that runs; it has ended when the block has."""
    process = Process(*words, env=env, ordinary=ordinary)
    try:
        yield process
    finally:
        process.close()


@dataclass(frozen=True)
class Server:
    """A `tidings serve` that is up."""

    process: Process
    url: str
    said: dict[str, Any]

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
        """(status, JSON) of a request."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=ENDS_WITHIN)
        headers = {"Content-Type": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def api(self, method: str, path: str, key: str, body: object = None) -> Any:
        """What the API answers, which is no error."""
        status, found = self.call(method, f"/api/v1{path}", body, key)
        assert status < 400, found
        return found

    def ended(self, sync_id: str, key: str) -> Any:
        """A sync, once it has ended."""
        while (sync := self.api("GET", f"/syncs/{sync_id}?wait=60", key))["state"] in {"queued", "running"}:
            pass
        return sync


@contextlib.contextmanager
def serving(*words: str, env: Mapping[str, str], ordinary: bool = False) -> Iterator[Server]:
    """A `tidings serve` on a free port."""
    with started("serve", "--port", "0", "--json", *words, env=env, ordinary=ordinary) as process:
        said = process.fact()
        yield Server(process, said["url"], said)


def a_data_source(server: Server, key: str, folder: Path, name: str = "Docs") -> str:
    """A bot with a data source over a folder, not synced yet; the id of the data source."""
    bot = server.api("POST", "/bots", key, {"name": "A bot"})
    wanted = {"name": name, "type": "folder", "config": {"path": str(folder)}, "syncNow": False}
    found: str = server.api("POST", f"/bots/{bot['id']}/data-sources", key, wanted)["id"]
    return found

"""The commands as a user runs them: real processes, with an environment of their own."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STARTS_WITHIN = 120.0  # seconds, on a machine that does much else


def environment(home: Path, database_url: str | None = None, **more: str) -> dict[str, str]:
    """What a command sees: this home, this database, and no setting besides but `more`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    database = {} if database_url is None else {"TIDINGS_DATABASE_URL": database_url}
    return plain | {"TIDINGS_HOME": str(home), "NO_COLOR": "1"} | database | more


def run(*words: str, env: Mapping[str, str], cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command from its start to its end."""
    command = [sys.executable, "-m", "tidings", *words]
    return subprocess.run(command, env=env, cwd=cwd, input=stdin, capture_output=True, text=True, check=False, timeout=240)


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

    def __init__(self, *words: str, env: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tidings", *words]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.errors: list[str] = []
        self._reading = threading.Thread(target=self._read_errors, daemon=True)
        self._reading.start()

    def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
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
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        self._reading.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):  # closed meanwhile
            self.errors.extend(self.process.stderr)


@contextlib.contextmanager
def started(*words: str, env: Mapping[str, str]) -> Iterator[Process]:
    """A command that runs; it has ended when the block has."""
    process = Process(*words, env=env)
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
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
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


@contextlib.contextmanager
def serving(*words: str, env: Mapping[str, str]) -> Iterator[Server]:
    """A `tidings serve` on a free port."""
    with started("serve", "--port", "0", "--json", *words, env=env) as process:
        said = process.fact()
        yield Server(process, said["url"], said)


def a_data_source(server: Server, key: str, folder: Path, name: str = "Docs") -> str:
    """A bot with a data source over a folder, not synced yet; the id of the data source."""
    bot = server.api("POST", "/bots", key, {"name": "A bot"})
    wanted = {"name": name, "type": "folder", "config": {"path": str(folder)}, "syncNow": False}
    found: str = server.api("POST", f"/bots/{bot['id']}/data-sources", key, wanted)["id"]
    return found

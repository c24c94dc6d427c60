"""A real `tidings serve`: started in a session of its own, looked at over HTTP, killed from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.hatchery import hatch
from tests.ports import free_port

SOURCE = Path(__file__).resolve().parent.parent.parent / "src"
READY_SECONDS = 60.0
NO_DATABASE = "PostgreSQL does not answer"
END_SECONDS = 40.0
GONE_SECONDS = 30.0


class Server:
    """One server over a home and a database, on one port, started as often as a test wants.

    `settings` are `TIDINGS_*` variables without the prefix. Everything it prints is kept in the file `log`.
    """

    def __init__(self, home: Path, database_url: str | None, *, role: str = "all", dispatchers: int = 1, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.with_name(f"{home.name}-{role}-{self.port}.log")
        self.wrapper: Sequence[str] = ()  # a program that starts it, with its arguments
        self._arguments = ["serve", "--role", role, *([] if role == "worker" else ["--port", str(self.port)])]
        self._arguments += ["--dispatchers", str(dispatchers)] if dispatchers > 1 else []
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        self._environment |= {f"TIDINGS_{name}": value for name, value in {"HOME": str(home), **settings}.items()}
        self._environment["PYTHONPATH"] = str(SOURCE)
        if database_url is not None:
            self._environment["TIDINGS_DATABASE_URL"] = database_url
        self._process: psutil.Process | None = None
        self._ended = False  # by us
        self._children: list[psutil.Process] = []

    @property
    def pid(self) -> int:
        """The process that serves, which is the leader of its process group."""
        assert self._process is not None
        pid: int = self._process.pid
        return pid

    def run(self, *arguments: str) -> str:
        """Runs a command of `tidings` to its end, and returns what it printed."""
        command = [*self.wrapper, sys.executable, "-m", "tidings", *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=READY_SECONDS)
        assert done.returncode == 0, f"tidings {arguments[0]} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def set_up(self) -> str:
        """Makes the first owner; an operator's API key."""
        key: str = json.loads(self.run("setup", "--email", "ann@example.com", "--password", "a long password", "--json"))["apiKey"]
        return key

    def start(self, *, hatched: bool = False) -> None:
        """Starts it, in a session of its own; returns at once. It may have been ended by us, or at its start because the database was away."""
        assert self._process is None or self._ended or self._had_no_database(), f"The server ended by itself:\n{self.tail()}"
        self._ended = False
        command = [*self.wrapper, sys.executable, "-m", "tidings", *self._arguments]
        with self.log.open("ab") as log:
            if hatched:
                self._process = psutil.Process(hatch(self._arguments, env=self._environment, stdout=log.fileno(), stderr=log.fileno()).let_go())
                return
            self._process = psutil.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def await_ready(self) -> float:
        """Waits until it answers that it is ready; how many seconds that took. Starts it again, as a service manager does, where the database was away."""
        began = time.monotonic()
        until = began + READY_SECONDS
        with httpx.Client(trust_env=False, verify=False) as client:  # noqa: S501 - there is no TLS here, and making ready for it takes time
            while time.monotonic() < until:
                if not self.runs():
                    self.start()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return time.monotonic() - began
                time.sleep(0.02)
        raise AssertionError(f"The server was not ready within {READY_SECONDS:g} s:\n{self.tail()}")

    def _had_no_database(self) -> bool:
        """Whether it said so lately; dispatchers that it had started may have had something to say after it."""
        return any(line.startswith(NO_DATABASE) for line in self.said("")[-20:])

    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        try:
            return self._process is not None and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def dispatchers(self) -> list[psutil.Process]:
        """The dispatchers that it keeps running."""
        return dispatchers_of(self.pid)

    def kill_alone(self) -> None:
        """`kill -9` of the process that serves, not of those that it started."""
        assert self._process is not None
        self._ended = self.runs()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """`kill -9` of the whole process group, at this very moment."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            self._children += self._process.children(recursive=True)
        self._ended = self.runs()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """Stops the process group as it stands (SIGSTOP)."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets a frozen process group go on (SIGCONT)."""
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """Asks it to end (SIGTERM), waits, and returns its exit code."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            self._children += self._process.children(recursive=True)
        self._ended = True
        self._process.terminate()
        code: int = self._process.wait(END_SECONDS)
        return code

    def survivors(self) -> list[psutil.Process]:
        """Processes that this server started and that outlive it by far."""
        return list(psutil.wait_procs(self._children, timeout=GONE_SECONDS)[1])

    def end(self) -> None:
        """For the end of a test, however it went: nothing is left running."""
        if self._process is not None and self._process.is_running():
            self.kill()

    def said(self, word: str) -> list[str]:
        """The lines of what it printed that hold a word."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if word in line]

    def tail(self) -> str:
        """The last lines of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


def dispatchers_of(process_id: int) -> list[psutil.Process]:
    """The dispatchers that a process keeps running."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process_id).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "tidings.worker.dispatchers" in child.cmdline():
                    found.append(child)
    return found


class Away(Exception):
    """The server answered 503: its database does not answer just now."""


class Api:
    """The API as a client sees it. Errors of the transport are httpx's; 503 is Away, any other status than 2xx an AssertionError."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False)

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of an answer."""
        return _json(self._client.get(path, params=params))

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON of an answer."""
        return _json(self._client.post(path, json=body if body is not None else {}))

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """Every item of a list."""
        page = self.get(path, limit=200, **params)
        yield from page["items"]
        while page["nextCursor"] is not None:
            page = self.get(path, limit=200, cursor=page["nextCursor"], **params)
            yield from page["items"]

    def close(self) -> None:
        """Ends its connections."""
        self._client.close()


def _json(answer: httpx.Response) -> Any:
    if answer.status_code == 503:
        raise Away(answer.text)
    assert answer.is_success, f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None

"""Starts `tidings serve` without the seconds that its imports take: forks it out of an interpreter that has them done already.

What is forked is what `python -m tidings` is, in a session of its own, from its first statement on. A test that starts a server dozens of times takes
half as long; the first start and the last one of each test are ordinary ones.

Run as a program this is the hatchery: one JSON object a line on standard input for each server, its process id on standard output.
"""

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
IMPORTED = ("tidings.cli.running", "tidings.cli.serve", "tidings.store.postgres", "uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.off")


class Hatchery:
    """The way to a hatchery process; it ends with `close`, or when this process does."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        environment = {**{name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}, "PYTHONPATH": path}
        command = [sys.executable, "-m", "tests.faults.hatchery"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Starts `python -m tidings ARGUMENTS`; its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": list(arguments), "environment": dict(environment), "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it. What it started goes on."""
        self._process.communicate()


def hatch() -> None:
    """The hatchery's life."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "Only a process of one thread can be forked safely"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are buried by the system
    for line in sys.stdin:
        process_id = os.fork()
        if process_id == 0:
            _become(json.loads(line))
        print(process_id, flush=True)  # noqa: T201 - the answer


def _become(order: dict[str, Any]) -> None:
    """Turns a fork into what `python -m tidings` would be; does not return."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for there, here in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(there, here)
    sys.argv = ["tidings", *order["arguments"]]
    code = 0
    try:
        runpy.run_module("tidings", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    os._exit(code)


if __name__ == "__main__":
    hatch()

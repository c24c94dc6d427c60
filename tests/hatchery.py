"""Starts `tidings` without the second that its imports take: forks it out of an interpreter that has them done already.

What is forked is what `python -m tidings` is, in a session of its own, from its first statement on: with its own environment, folder, input and output,
and with an exit code. There is one hatchery for each process that runs tests; it starts when it is first wanted, and ends with that process.

Run as a program this is the hatchery. An order is a byte on its socket, with three descriptors: a line, and what is to be standard output and error.
The line brings the order as JSON, and takes the process id, and the exit code when there is one.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.off", "uvloop", "psycopg", "alembic.command")  # what is imported when it is wanted
READ_AT_A_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "SSL_")  # variables, by how they begin, that an interpreter and its libraries heed only at their start


class Hatched:
    """A process of the hatchery, and what there is of `subprocess.Popen` for it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._reader = line.makefile("r", encoding="ascii")
        self.pid = int(self._reader.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; the exit code. subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("tidings", timeout or 0)
            self.returncode = int(self._reader.readline())
            self._reader.close()
            self._line.close()
        return self.returncode

    def let_go(self) -> int:
        """Its process id, for those who look after it by that: nobody asks for its exit code any more."""
        self._reader.close()
        self._line.close()
        return self.pid

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def hatches(env: Mapping[str, str]) -> bool:
    """Whether a process with this environment can be forked: nothing in it is heeded only at the start of an interpreter."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(READ_AT_A_START)}
    return ours == {name: value for name, value in env.items() if name.startswith(READ_AT_A_START)}


def hatch(words: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, stdout: int, stderr: int) -> Hatched:
    """Starts `python -m tidings WORDS` with nothing as its standard input and these descriptors as its standard output and error."""
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(_hatchery(), [b"."], [theirs.fileno(), stdout, stderr])
    ours.sendall((json.dumps({"words": list(words), "env": dict(env), "cwd": str(cwd or Path.cwd())}) + "\n").encode())
    return Hatched(ours)


@functools.cache
def _hatchery() -> socket.socket:
    """The way to the hatchery of this process."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}, "PYTHONPATH": path}
    with theirs:
        command = [sys.executable, "-m", "tests.hatchery", str(theirs.fileno())]
        nothing = subprocess.DEVNULL  # so that the buffers of its streams are made for what is no terminal
        process = subprocess.Popen(command, env=env, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=nothing, stdout=nothing, start_new_session=True)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# -- the hatchery itself ---------------------------------------------------------------------------------------------------------------------------------


def main(orders: socket.socket) -> None:
    """The hatchery's life."""
    _import_all()
    assert threading.active_count() == 1, "Only a process of one thread can be forked safely"
    gc.freeze()
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    lines: dict[int, socket.socket] = {}
    while True:
        ready = select.select([orders, woken], [], [])[0]
        if woken in ready:
            woken.recv(1024)
            _bury(lines)
        if orders not in ready:
            continue
        byte, descriptors, _, _ = socket.recv_fds(orders, 1, 3)
        if not byte:
            return
        line = socket.socket(fileno=descriptors[0])
        with line.makefile("r", encoding="utf-8") as given:
            order = json.loads(given.readline())
        process_id = os.fork()
        if process_id == 0:
            for held in (orders, woken, waking, line, *lines.values()):
                held.close()
            _become(order, descriptors[1:])
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        lines[process_id] = line
        line.sendall(f"{process_id}\n".encode())


def _import_all() -> None:
    tidings = importlib.import_module("tidings")
    ours = [module.name for module in pkgutil.walk_packages(tidings.__path__, "tidings.")]
    for name in (*ours, *BESIDE):
        if not name.endswith(".__main__") and ".migrations." not in name:
            importlib.import_module(name)


def _bury(lines: dict[int, socket.socket]) -> None:
    """Tells the exit codes of all that have ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with lines.pop(ended[0]) as line, contextlib.suppress(OSError):  # who started it may be gone
                line.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())


def _become(order: dict[str, Any], streams: Sequence[int]) -> None:
    """Turns a fork into what `python -m tidings` would be, and runs it to its end; does not return."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    for here, there in enumerate(streams, 1):
        os.dup2(there, here)
        os.close(there)
    time.tzset()
    tempfile.tempdir = None  # who imported it may have asked for it
    sys.argv = ["tidings", *order["words"]]
    sys.path[0] = order["cwd"]
    code: object = None
    try:
        runpy.run_module("tidings", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        code = ending.code
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        sys.excepthook(*sys.exc_info())
        code = 1
    # The end of an interpreter, but for the tenth of a second in which it takes all that was imported apart.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))

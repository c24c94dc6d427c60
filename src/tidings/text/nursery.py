"""The processes that read documents: one nursery, which loads the libraries once, and the children that it forks.

The nursery is a fresh interpreter with one thread, so that forking is safe, and children share its memory until they write to it. It takes
orders of five bytes on its control socket: `F` with a socket: fork a child that serves it; `K` and a process id: kill that child. When the
other end of the control socket is gone, for whatever reason, it kills all children and ends, so that nothing outlives the server.

A child reads one batch at a time from its socket and answers in order. Nothing here ever sees the database or the network.
"""

import gc
import os
import pickle
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress

import orjson

from tidings.errors import RowNotRead
from tidings.text.documents import Source
from tidings.text.frames import LENGTH, ORDER
from tidings.text.tokens import load_encoding

NICENESS = 10
MAX_DATA_BYTES = 3 * 1024**3
"""What one child may allocate: a hostile file gets a MemoryError, or its child killed, before the machine gets into trouble."""
WORN_OUT_KIB = 300 * 1024
"""A child that has grown beyond this leaves after its batch; the next one is forked small."""
ANSWER_AFTER_SECONDS = 0.05
KILLED_FIRST = 500
_REAP_SECONDS = 1.0
_WARM_UP = (
    Source(b"# Title\n\nText with `code` and a [link](https://example.org).\n", "warm.md"),
    Source(b"<html><body><main><h1>Title</h1><p>Text</p></main></body></html>", "warm.html"),
    Source(b"name,city\nAda,London\n", "warm.csv"),
)


def run_nursery(control: socket.socket, item_seconds: int) -> None:
    """Forks and kills children as ordered until the server is gone. A child may take `item_seconds` of processor time for one item."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server decides when this ends
    load_encoding()
    _warm_up()
    gc.collect()
    gc.freeze()  # a collection in a child would otherwise write to, and so copy, all shared pages
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([control], [], [], _REAP_SECONDS)
        _reap(children)
        if not ready:
            continue
        order, descriptors, _, _ = socket.recv_fds(control, ORDER.size, 1)
        if len(order) < ORDER.size:
            break
        verb, process_id = ORDER.unpack(order)
        if verb == b"F":
            children.add(_fork(control, descriptors[0], item_seconds))
        elif process_id in children:
            os.kill(process_id, signal.SIGKILL)
    for process_id in children:
        os.kill(process_id, signal.SIGKILL)


def serve_batches(server: socket.socket, item_seconds: int) -> None:
    """Answers batches until the server is gone or this child is worn out. The first answer is its process id."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    _send(server, os.getpid())
    while (batch := _receive(server)) is not None:
        answers: list[object] = []
        answered = time.monotonic()
        for left, item in zip(range(len(batch) - 1, -1, -1), batch, strict=True):
            # The kernel ends this child where an item takes longer. Processor time: on a busy machine, an innocent one only waits longer.
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + item_seconds, most))
            answers.append(_answer(item))
            worn_out = left == 0 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > WORN_OUT_KIB
            if left == 0 or time.monotonic() - answered > ANSWER_AFTER_SECONDS:
                _send(server, [answers, worn_out])
                answers, answered = [], time.monotonic()
            if worn_out:
                return


def _answer(source: Source) -> object:
    """`[title, text hash, [[text, heading, tokens], ...]]`, or the sentence that says why the row is not read."""
    from tidings.text.extract import extract_source  # noqa: PLC0415 - loaded after the vocabulary, see `_warm_up`

    try:
        extracted = extract_source(source)
    except RowNotRead as refused:
        return str(refused)
    return [extracted.title, extracted.text_hash, [[document.text, document.heading, document.tokens] for document in extracted.documents]]


def _warm_up() -> None:
    """Loads the parsers and lets them make their tables. After the vocabulary: building that leaves holes in memory, which these fill."""
    for source in _WARM_UP:
        _answer(source)


def _fork(control: socket.socket, descriptor: int, item_seconds: int) -> int:
    """Starts a child that serves the socket; in the child, does not return."""
    process_id = os.fork()
    if process_id:
        os.close(descriptor)
        return process_id
    status = 1
    try:
        control.close()
        _limit_itself()
        serve_batches(socket.socket(fileno=descriptor), item_seconds)
        status = 0
    except OSError:
        pass  # the server is gone
    finally:
        os._exit(status)


def _limit_itself() -> None:
    """The server goes first, memory is bounded, the kernel takes a child before the server, and what parsers print about bad files goes nowhere.

    The nursery itself is as urgent as the server: a sync waits while it loads, which beside busy neighbours would take a minute at low priority."""
    os.nice(NICENESS)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(str(KILLED_FIRST))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _reap(children: set[int]) -> None:
    while children:
        process_id, _ = os.waitpid(-1, os.WNOHANG)
        if process_id == 0:
            return
        children.discard(process_id)


def _send(server: socket.socket, message: object) -> None:
    body = orjson.dumps(message)
    server.sendall(LENGTH.pack(len(body)) + body)


def _receive(server: socket.socket) -> list[Source] | None:
    """The next batch, None if the server is gone: what is known about each row, then the bytes of all."""
    head = _receive_exactly(server, LENGTH.size)
    told = None if head is None else _receive_exactly(server, LENGTH.unpack(head)[0])
    if told is None:
        return None
    labels = pickle.loads(told)  # noqa: S301 - from our own server; answers go back as JSON, for here hostile input is parsed
    contents = _receive_exactly(server, sum(size for size, *_ in labels))
    if contents is None:
        return None
    batch, view = [], memoryview(contents)
    for size, *label in labels:
        batch.append(Source(bytes(view[:size]), *label))
        view = view[size:]
    return batch


def _receive_exactly(server: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        got = server.recv_into(view)
        if got == 0:
            return None
        view = view[got:]
    return buffer


if __name__ == "__main__":
    run_nursery(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))

"""What keeps the house liveable, as far as a program can tell: sizes, names, docstrings, and who may catch everything. Who imports whom: lint-imports."""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tidings"
SHIPPED = sorted(path.relative_to(ROOT).as_posix() for path in SOURCE.rglob("*.py"))
WRITTEN = sorted(path.relative_to(ROOT).as_posix() for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

MODULE_LINES = 400
FUNCTION_LINES = 60
VAGUE = {"utils", "util", "common", "core", "helpers", "helper", "misc", "shared", "kit"}
TRACKER = re.compile("TO" + "DO|FIX" + "ME|XX" + "X")  # in two halves, so that this file passes
IGNORE_WITHOUT_CODE = re.compile(r"type:\s*ignore(?!\[)")

MIGRATIONS = "src/tidings/store/migrations/versions/"  # as long as the schema is wide, and never edited again
EDITED = [path for path in WRITTEN if not path.startswith(MIGRATIONS)]

MAY_CATCH_EVERYTHING = (
    "src/tidings/worker/",  # the loops log it with the id of the work, and go on
    "src/tidings/text/extract.py",  # foreign parsers raise anything; it becomes a failed row with its cause
    "src/tidings/connectors/registry.py",  # packages of others do anything while they are loaded; it is told, and costs their connector alone
    "src/tidings/store/sqlite.py",  # the writer's thread hands each error to the caller whose write it is
    "src/tidings/store/postgres.py",  # the same, where a write is run by itself
    "src/tidings/store/postgres_writer.py",  # the same, where it is run with others
)

# Modules that open connections, or the sockets for them -> who may import them, and why.
DIALLERS: dict[str, tuple[str, ...]] = {
    "aiohttp": ("src/tidings/outbound/",),  # the door
    "httpx": ("src/tidings/outbound/",),  # for libraries that know no other, led through the door's proxy
    "requests": ("src/tidings/outbound/",),
    "ssl": ("src/tidings/outbound/",),
    "socket": (
        "src/tidings/outbound/",
        "src/tidings/web/serve.py",  # listens
        "src/tidings/cli/running.py",  # holds what listens
        "src/tidings/text/",  # pairs of sockets between our own processes
        "src/tidings/worker/dispatchers.py",  # the machine's name
    ),
    "http.client": ("src/tidings/cli/demo/client.py",),  # the demo speaks to the server that it has started
    "urllib3": ("src/tidings/outbound/pools.py",),  # the same, for dulwich
    "dulwich": ("src/tidings/connectors/repository.py",),  # by that pool
    "aiobotocore": ("src/tidings/connectors/stores/s3.py",),  # through the guarded proxy
    "asyncssh": ("src/tidings/connectors/stores/sftp.py",),  # over a socket that the door has dialled
    "psycopg": ("src/tidings/store/",),  # the operator's own database
}
DIALLERS |= dict.fromkeys(("httpcore", "urllib.request", "pycurl", "websockets", "anyio", "paramiko", "fsspec"), ())
DIALLERS |= dict.fromkeys(("ftplib", "imaplib", "nntplib", "poplib", "smtplib", "telnetlib", "xmlrpc.client", "multiprocessing.connection"), ())
CONNECTS = {"open_connection", "create_connection", "create_datagram_endpoint", "sock_connect", "connect_ex"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def parsed(path: str) -> ast.Module:
    """The syntax tree of a file of ours."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def functions(path: str) -> Iterator[Function]:
    """All functions of a file, those inside others too."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """All that the syntax trees of what we ship are made of, and where it is."""
    return ((path, node) for path in SHIPPED for node in ast.walk(parsed(path)))


def test_there_is_something_to_check() -> None:
    assert "src/tidings/errors.py" in SHIPPED


def test_modules_are_short() -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in EDITED}
    assert {path: length for path, length in lines.items() if length > MODULE_LINES} == {}, f"{MODULE_LINES} are the most. Which two things is it about?"


def test_functions_are_short() -> None:
    lengths = {f"{path}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1 for path in EDITED for node in functions(path)}
    assert {where: length for where, length in lengths.items() if length > FUNCTION_LINES} == {}


def test_modules_are_named_after_what_is_in_them() -> None:
    vague = [path for path in WRITTEN if VAGUE & set(re.split(r"[/_.]", path))]
    assert vague == [], "a name like this collects everything; name it after the one thing that it is about"


def test_public_things_have_docstrings() -> None:
    assert [path for path in SHIPPED if not ast.get_docstring(parsed(path))] == [], "a module needs a docstring of one line"
    public = [(path, node) for path in SHIPPED if not path.startswith(MIGRATIONS) for node in public_things(parsed(path))]
    assert [f"{path}:{node.lineno} {node.name}" for path, node in public if not ast.get_docstring(node)] == []


def public_things(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """The functions and classes of a module that others may use, and the methods of those classes."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            members = node.body if isinstance(node, ast.ClassDef) else []
            yield from (member for member in members if isinstance(member, Function) and not member.name.startswith("_"))


def comments(path: str) -> Iterator[tuple[str, str]]:
    """Where each comment of a file stands, and what it says."""
    with (ROOT / path).open("rb") as file:
        yield from ((f"{path}:{token.start[0]}", token.string) for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)


def test_comments_are_no_tracker_and_no_blanket() -> None:
    said = [comment for path in WRITTEN for comment in comments(path)]
    assert [where for where, text in said if TRACKER.search(text)] == [], "what is to be done stands in an issue"
    assert [where for where, text in said if IGNORE_WITHOUT_CODE.search(text)] == [], "say which error is ignored: type: ignore[code]"


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether an `except` takes whatever comes, and keeps it."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    blanket = any(kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in caught)
    raises_again = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    return blanket and not raises_again


def test_only_the_loops_catch_everything() -> None:
    handlers = [(path, node) for path, node in nodes() if isinstance(node, ast.ExceptHandler) and not path.startswith(MAY_CATCH_EVERYTHING)]
    places = [f"{path}:{node.lineno}" for path, node in handlers if catches_everything(node)]
    assert places == [], "these catch everything; name what is expected, and let the loops in worker/ have the rest"


def test_data_is_frozen() -> None:
    """What others see does not change under their hands; a private class may be the state of something at work."""
    public = [(path, node) for path, node in nodes() if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    decorated = [(path, node, ast.unparse(decorator)) for path, node in public for decorator in node.decorator_list]
    loose = [f"{path}:{node.lineno} {node.name}" for path, node, decorator in decorated if "dataclass" in decorator and "frozen=True" not in decorator]
    assert loose == []


def test_time_comes_from_the_clock() -> None:
    """`clock.now` is the one seam; durations are measured by time.monotonic and time.perf_counter."""
    asks = re.compile(r"(?:time\.time|time\.time_ns|(?:datetime\.)?datetime\.(?:now|utcnow|today)|(?:datetime\.)?date\.today)")
    calls = [(path, node) for path, node in nodes() if isinstance(node, ast.Call) and path != "src/tidings/clock.py"]
    assert [f"{path}:{node.lineno}" for path, node in calls if asks.fullmatch(ast.unparse(node.func))] == []


def imported(path: str) -> Iterator[str]:
    """Every module that a file imports, wherever in it, with the names that it takes out of it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_door_dials() -> None:
    """Whatever leaves the house passes the guard in `outbound`; nothing else has the means to leave it."""
    names = {path: set(imported(path)) for path in SHIPPED}
    used = {(path, module) for path in SHIPPED for module in DIALLERS if any(name == module or name.startswith(f"{module}.") for name in names[path])}
    assert [each for each in sorted(used) if not each[0].startswith(DIALLERS[each[1]])] == [], "these could get past the guard; use tidings.outbound"
    outside = [(path, node) for path, node in nodes() if isinstance(node, ast.Attribute) and not path.startswith("src/tidings/outbound/")]
    assert [f"{path}:{node.lineno}" for path, node in outside if node.attr in CONNECTS] == []


def test_nobody_has_leave_to_dial_who_does_not_use_it() -> None:
    leaves = {(module, place) for module, places in DIALLERS.items() for place in places}
    used = {
        (module, place)
        for module, place in leaves
        for path in SHIPPED
        if path.startswith(place) and any(name == module or name.startswith(f"{module}.") for name in imported(path))
    }
    assert leaves - used == set()

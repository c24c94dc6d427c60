"""Programs to copy that receive the webhooks of one hook and verify their signatures; each is a file under `receivers/`."""

import base64
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from tidings.model.webhooks import Hook

FOLDER = Path(__file__).parent.parent / "receivers"
VARIABLE = "WEBHOOK_SECRET"  # of the environment, where the programs find the secret
_BY_SECRET = (
    ("python-library", "Python, standardwebhooks"),
    ("python", "Python"),
    ("node", "Node"),
    ("go", "Go"),
    ("php", "PHP"),
    ("ruby", "Ruby"),
)
_BY_KEY = (("python-ed25519", "Python, Ed25519"), ("node-ed25519", "Node, Ed25519"))
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,8}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A program; `id` is the name of its file."""

    id: str
    name: str
    code: str


def receivers_of(hook: Hook) -> tuple[Receiver, ...]:
    """What may stand at the target of an outgoing hook: it takes the path, the envelope and the events of this very hook. The secret is not in it."""
    shown = _BY_SECRET if hook.key is None else _BY_SECRET + _BY_KEY
    return tuple(Receiver(name, title, _filled(name, hook)) for name, title in shown)


def _filled(name: str, hook: Hook) -> str:
    envelope = ("data",) if hook.envelope == "standard" else ()
    detail = ("results", "modifiedRows") if hook.type == "sync_success" else ("reason",)
    path = urlsplit(hook.target_url or "").path
    code = _file(name).replace("__PATH__", path if _PLAIN_PATH.fullmatch(path) else "/")
    code = code.replace("__SOURCE__", _members(name, (*envelope, "dataSource"))).replace("__DETAIL__", _members(name, (*envelope, *detail)))
    return code if hook.key is None else code.replace("__PUBLIC__", base64.b64encode(hook.key.raw).decode())


@cache
def _file(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def _members(name: str, path: tuple[str, ...]) -> str:
    """How a language reaches a member of a member."""
    if name.startswith("node"):
        return "".join(f"?.{each}" for each in path)
    quote = "'" if name == "php" else '"'
    return "".join(f"[{quote}{each}{quote}]" for each in path)

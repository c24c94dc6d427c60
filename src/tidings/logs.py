"""Log lines: one event each, for people on a terminal, as JSON elsewhere. Secrets never reach them."""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

import structlog

MASK = "********"

# What is a secret wherever it stands: the last part of a trigger URL or an inbox's, signing secrets, API keys and whatever follows "Bearer", passwords in URLs.
_TRIGGER = "/api/public/hooks/"
_TRIGGER_URL = re.compile(rf"({_TRIGGER}[^/\s\"'?#%]*(?:/|%(?:25)*2f))[^\s\"'?#]+", re.IGNORECASE)
_SECRETS = (
    (_TRIGGER_URL, rf"\1{MASK}"),
    (re.compile(r"(/api/public/inbox/)[^\s\"'?#]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(whsec_|tdk_)[A-Za-z0-9+/=_-]+"), rf"\1{MASK}"),
    (re.compile(r"\b(bearer\s+)[^\s\"',]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:\"']*:)[^\s/@\"']+@", re.IGNORECASE), rf"\1{MASK}@"),
)
_WORD = re.compile(r"[^\s\"']+")
_LAYERS = 5  # of percent-encoding that are looked through
_SECRET_NAMES = re.compile(r"secret|password|token|authorization|api_?key|cookie", re.IGNORECASE)


def mask_secrets(text: str) -> str:
    """`text` without what looks like a secret."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return _WORD.sub(_mask_encoded, text) if "%" in text else text


def _mask_encoded(found: re.Match[str]) -> str:
    """A word without the trigger URL that percent-encoding hides in it."""
    plain = word = found[0]
    if "%" not in word or _TRIGGER_URL.search(word):
        return word
    for _ in range(_LAYERS):
        plain = unquote(plain)
    at = plain.lower().find(_TRIGGER)
    return word if at < 0 else f"{plain[:at]}{_TRIGGER}{MASK}"


def configure_logs(stream: TextIO | None = None) -> None:
    """Every log line of this process, ours and the libraries', goes to `stream` (standard error), masked; JSON unless it is a terminal."""
    # Python has None for standard error that was closed before it started: nobody wants the lines then
    stream = stream or sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open for as long as the process lives
    readable = stream.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer(colors=True) if readable else structlog.processors.JSONRenderer(ensure_ascii=False)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask_event,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # paths hold secrets, so requests are logged by us, with the route's template
    for name in ("uvicorn.access", "aiohttp.access"):
        logging.getLogger(name).disabled = True
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else it logs each request of a sync
    for name in ("uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers[:], library.propagate, library.disabled = [], True, False
        library.setLevel(logging.NOTSET)


def _mask_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Runs after exceptions were turned into text, so that their frames are masked as well."""
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = _masked(name, value)
    return event


def _masked(name: str, value: Any) -> Any:
    """A value as it may be logged under a name. Figures are never secrets, whatever they are called."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, dict):
        return {key: _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    return mask_secrets(value.decode(errors="replace") if isinstance(value, bytes) else str(value))

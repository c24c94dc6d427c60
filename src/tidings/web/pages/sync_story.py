"""What happened in a sync, in a sentence and by phases. Pure."""

from dataclasses import dataclass
from typing import Literal

from tidings.clock import SECOND, Micros
from tidings.model.syncs import Counts, FailureCode, State, Sync
from tidings.web.pages.words import for_people, plural, took

# What to do where the reason does not say it.
_NEXT: dict[FailureCode, str] = {
    "over_plan_limit": "Ask whoever runs Tidings for a larger plan, or take rows away at the source; then sync again.",
    "too_many_failed_rows": "The rows that failed are listed below, each with its reason. When that is mended, sync again.",
    "timeout": "What it had read so far is not read a second time by the next sync.",
}
_BY = {
    "manual": "A person asked for it",
    "hook": "A trigger URL was called",
    "schedule": "The schedule asked for it",
    "api": "It was asked for over the API",
    "cli": "A command asked for it",
    "created": "The data source was made, and its first sync began by itself",
}


Name = Literal["Waiting", "Listing", "Reading", "Publishing"]
Mood = Literal["done", "now", "failed", "cancelled"]
_MOODS: dict[State, Mood] = {"succeeded": "done", "failed": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a sync's time: when it began and how long it took so far. `mood`: how it ended, or that it has not."""

    name: Name
    at: Micros
    took: Micros
    mood: Mood


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a running sync goes: rows a second, and how long it takes at that pace, where that can be told."""

    rate: float
    left: Micros | None


def phases(sync: Sync, now: Micros) -> tuple[Phase, ...]:
    """The phases that a sync has gone through, the present or last one at the end. Listing and reading overlap: reading is what went on after the listing."""
    going = sync.progress
    begun: list[tuple[Name, Micros | None]] = [
        ("Waiting", sync.queued_at),
        ("Listing", sync.started_at),
        ("Reading", going.listed_at),
        ("Publishing", going.read_at),
    ]
    known = [(name, at) for name, at in begun if at is not None]
    ends = [at for _, at in known[1:]] + [sync.finished_at or now]
    last = _MOODS.get(sync.state, "now")
    return tuple(
        Phase(name, at, max(end - at, 0), last if place == len(known) - 1 else "done") for place, ((name, at), end) in enumerate(zip(known, ends, strict=True))
    )


def pace(sync: Sync, now: Micros) -> Pace | None:
    """How quickly it goes; None where it does not run, or has only begun."""
    done = sync.progress.rows_done + sync.progress.rows_failed
    if sync.state != "running" or sync.started_at is None or done == 0 or now - sync.started_at < SECOND:
        return None
    rate = done / ((now - sync.started_at) / SECOND)
    total = sync.progress.rows_total
    return Pace(rate, None if total is None or total <= done else round((total - done) / rate * SECOND))


def told(sync: Sync) -> str:
    """What happened, of a sync that has ended."""
    if sync.state == "cancelled":
        began = "before it began" if sync.started_at is None else f"{took((sync.finished_at or 0) - sync.started_at)} after it began"
        return f"It was cancelled {began}. Nothing of it is shown to anybody, and no webhook was sent."
    if sync.state == "failed":
        reason = for_people(sync.reason or "It failed.")
        next_ = _NEXT.get(sync.code, "") if sync.code else ""
        whole = f"{reason}{'' if reason.endswith(('.', '!', '?')) else '.'} {next_}".strip()
        return f"A sync would fail now. {whole}" if sync.dry_run else whole
    return _would(sync) if sync.dry_run else _did(sync)


def asked(sync: Sync) -> str:
    """What asked for it."""
    more = "" if sync.merged == 0 else f"; {plural(sync.merged, 'more request')} came while it waited, and joined it"
    return f"{_BY[sync.triggered_by]}{more}."


def _did(sync: Sync) -> str:
    results, counts = sync.results, sync.counts
    assert results is not None
    if counts.failed and not results.total_data_source_rows:
        return f"Not one row could be read: {plural(counts.failed, 'row')} failed, so nothing is stored and nothing was charged."
    if not (counts.added or counts.changed or counts.removed):
        stayed = f"{plural(results.total_data_source_rows, 'row')} stayed as before, and nothing was charged."
        return f"It changed nothing: {stayed} {_failed(counts)}" if counts.failed else f"Nothing had changed: {stayed}"
    done = _rows((counts.added, "added"), (counts.changed, "changed"), (counts.removed, "removed"))
    charged = f"charged {plural(results.total_tokens, 'token')}" if results.total_tokens else "charged nothing"
    sentence = f"It {done}, and {charged}."
    return f"{sentence} {_failed(counts)}" if counts.failed else sentence


def _would(sync: Sync) -> str:
    results, counts = sync.results, sync.counts
    assert results is not None
    if not (counts.added or counts.changed or counts.removed):
        return "A sync would change nothing now, and charge nothing."
    wanted = _rows((counts.added, "add"), (counts.changed, "change"), (counts.removed, "remove"))
    return f"A sync would {wanted} now, and charge {plural(results.total_tokens, 'token')}. Nothing was changed by looking."


def _failed(counts: Counts) -> str:
    """What could not be brought up to date, and what becomes of it."""
    failed = counts.failed - counts.held_back
    said = [f"{plural(failed, 'row')} failed"] if failed else []
    said += [f"{plural(counts.held_back, 'new text')} {'was' if counts.held_back == 1 else 'were'} held back"] if counts.held_back else []
    return f"{' and '.join(said)}; what was known of {'it' if counts.failed == 1 else 'them'} before stays."


def _rows(*parts: tuple[int, str]) -> str:
    """`added 3 rows, changed 2 and removed 1`, without those that are none."""
    some = [(number, verb) for number, verb in parts if number]
    said = [f"{verb} {plural(number, 'row') if place == 0 else f'{number:,}'}" for place, (number, verb) in enumerate(some)]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"

"""Figures for `GET /metrics`: what the loops and the web count as it happens. What the queues hold is read from the database at each scrape."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
SYNC_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 21600)

registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)

triggers = Counter(
    "tidings_triggers", "Calls of trigger hooks, by what came of them (queued, merged, refused, unknown, limited).", ["outcome"], registry=registry
)
trigger_seconds = Histogram("tidings_trigger_seconds", "From a trigger's arrival to its answer, without `wait`.", buckets=SECONDS, registry=registry)
requests = Counter("tidings_requests", "HTTP requests, by route template and status.", ["route", "status"], registry=registry)
syncs = Counter("tidings_syncs", "Syncs that ended, by outcome (succeeded, cancelled, dry_run, or the code of the failure).", ["outcome"], registry=registry)
sync_seconds = Histogram("tidings_sync_seconds", "Time a sync ran.", buckets=SYNC_SECONDS, registry=registry)
rows = Counter("tidings_rows", "Rows that syncs settled, by kind (added, changed, removed, unchanged, failed).", ["kind"], registry=registry)
attempts = Counter(
    "tidings_attempts", "Attempts of this process, by outcome (delivered, the status of another answer, unanswered).", ["outcome"], registry=registry
)
attempt_seconds = Histogram("tidings_attempt_seconds", "Time of one attempt, from the name to the last byte.", buckets=SECONDS, registry=registry)

queued = Gauge("tidings_queue_length", "Work that waits, by queue (syncs, deliveries, held).", ["queue"], registry=registry)
oldest = Gauge("tidings_queue_oldest_seconds", "Age of the longest overdue work, by queue.", ["queue"], registry=registry)


def exposition() -> bytes:
    """All figures in Prometheus' text format (`CONTENT_TYPE`)."""
    return generate_latest(registry)

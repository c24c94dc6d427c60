"""Which claimed delivery goes out next: fair over endpoints, and over the hooks of one. In memory, of one process; pure.

An endpoint (scheme, host and port) has at most `limit` requests under way. The limit grows by one with each quick answer while it is reached, and
halves when the endpoint is slow or asks for less. Endpoints that have not lately answered quickly hold at most half of all slots together, so that
any number of dead ones leaves room for those that are well.
"""

from collections import deque
from dataclasses import dataclass, field

from tidings.store.attempts import Claimed

SLOTS = 256
FIRST_LIMIT, LARGEST_LIMIT = 4, 64
AHEAD = 64  # deliveries that wait here for an endpoint that answers quickly; one that does not is claimed only what can start
QUICK_SECONDS = 2.0
FORGOTTEN = 4096  # endpoints remembered


@dataclass(slots=True)
class _Endpoint:
    limit: int = FIRST_LIMIT
    under_way: int = 0
    waiting: int = 0
    quick: bool = False
    hooks: dict[str, deque[Claimed]] = field(default_factory=dict)  # in turn


class Lanes:
    """What waits and what is under way."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._endpoints: dict[str, _Endpoint] = {}
        self._turn: deque[str] = deque()
        self._busy_serial: set[str] = set()
        self._slow = 0  # requests under way at endpoints that are not quick
        self.under_way = 0
        self.waiting = 0

    def room(self) -> int:
        """How many more deliveries may be claimed."""
        return max(0, 2 * self._slots - self.under_way - self.waiting)

    def room_at(self, endpoint: str) -> int:
        """How many more of them for one endpoint."""
        known = self._endpoints.get(endpoint)
        if known is None:
            return FIRST_LIMIT if self._slow < self._slots // 2 else 0
        if known.quick:
            return max(0, known.limit + AHEAD - known.under_way - known.waiting)
        free = self._slots // 2 - self._slow
        return max(0, min(known.limit - known.under_way - known.waiting, free))

    def add(self, claimed: Claimed) -> None:
        """One more that waits for its turn."""
        endpoint = self._endpoints.get(claimed.endpoint)
        if endpoint is None:
            self._forget_some()
            endpoint = self._endpoints[claimed.endpoint] = _Endpoint()
        if not endpoint.waiting:
            self._turn.append(claimed.endpoint)
        endpoint.hooks.setdefault(claimed.webhook_id, deque()).append(claimed)
        endpoint.waiting += 1
        self.waiting += 1

    def next(self) -> Claimed | None:
        """The one to send now; None while none may start. Say `done` when it ended."""
        if self.under_way >= self._slots:
            return None
        for _ in range(len(self._turn)):
            name = self._turn[0]
            endpoint = self._endpoints[name]
            claimed = self._startable(endpoint)
            self._turn.popleft()
            if endpoint.waiting:
                self._turn.append(name)
            if claimed is not None:
                return claimed
        return None

    def done(self, claimed: Claimed, seconds: float, *, overloaded: bool) -> None:
        """It ended after `seconds`. `overloaded`: by a timeout, or an answer that asks for less (429, 503)."""
        endpoint = self._endpoints[claimed.endpoint]
        full = endpoint.under_way >= endpoint.limit
        endpoint.under_way -= 1
        self.under_way -= 1
        self._slow -= 0 if endpoint.quick else 1
        if claimed.serial:
            self._busy_serial.discard(claimed.webhook_id)
        quick = seconds < QUICK_SECONDS and not overloaded
        if quick != endpoint.quick:
            self._slow += -endpoint.under_way if quick else endpoint.under_way
            endpoint.quick = quick
        if not quick:
            endpoint.limit = max(1, endpoint.limit // 2)
        elif full:  # else more connections than are of use would be opened
            endpoint.limit = min(LARGEST_LIMIT, endpoint.limit + 1)

    def drop_waiting(self) -> list[Claimed]:
        """Takes out all that has not started."""
        dropped = [claimed for endpoint in self._endpoints.values() for queue in endpoint.hooks.values() for claimed in queue]
        for endpoint in self._endpoints.values():
            endpoint.hooks.clear()
            endpoint.waiting = 0
        self._turn.clear()
        self.waiting = 0
        return dropped

    def _startable(self, endpoint: _Endpoint) -> Claimed | None:
        if endpoint.under_way >= endpoint.limit or (not endpoint.quick and self._slow >= self._slots // 2):
            return None
        for _ in range(len(endpoint.hooks)):
            hook_id = next(iter(endpoint.hooks))
            queue = endpoint.hooks.pop(hook_id)
            if queue[0].serial and hook_id in self._busy_serial:
                endpoint.hooks[hook_id] = queue
                continue
            claimed = queue.popleft()
            if queue:
                endpoint.hooks[hook_id] = queue  # behind the others: its next turn comes after theirs
            if claimed.serial:
                self._busy_serial.add(hook_id)
            endpoint.waiting -= 1
            endpoint.under_way += 1
            self.waiting -= 1
            self.under_way += 1
            self._slow += 0 if endpoint.quick else 1
            return claimed
        return None

    def _forget_some(self) -> None:
        """Endpoints with nothing to do are forgotten when there are very many."""
        if len(self._endpoints) >= FORGOTTEN:
            for name in [name for name, endpoint in self._endpoints.items() if not endpoint.under_way and not endpoint.waiting]:
                del self._endpoints[name]

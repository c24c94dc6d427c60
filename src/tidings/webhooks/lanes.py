"""Which claimed delivery goes out next: fair over endpoints, and over the hooks of one. In memory, of one process; pure: the time comes in.

An endpoint (scheme, host and port) has at most `limit` requests under way. The limit grows by one with each success that took about as long as the
quickest ones while it is reached, shrinks by one when they take longer (then more at once only wait for each other, there or here), and halves when the
endpoint is slow or asks for less. Endpoints that have not lately answered quickly hold at most half of all slots together, those that are
claimed for them included, so that any number of dead ones leaves room for those that are well.

A hook that fails again and again rests between its attempts, and has one at a time: what answers 500 or resets within a millisecond would otherwise take
all the time that there is. One success ends that.
"""

from collections import deque
from dataclasses import dataclass, field

from tidings.store.attempts import Claimed

SLOTS = 256
FIRST_LIMIT, LARGEST_LIMIT = 4, 64
AHEAD = 64  # deliveries that wait here for an endpoint that answers quickly; one that does not is claimed only what can start
QUICK_SECONDS = 2.0
LONGER, SLACK_SECONDS = 2.0, 0.02  # an answer that takes longer than so many times the quickest, and this, means that there are too many at once
FADES = 1.01  # the quickest answer is forgotten by and by
FORGOTTEN = 4096  # endpoints, and hooks that rest, remembered
PATIENCE = 3  # failures in a row until a hook rests
FIRST_REST, LONGEST_REST = 0.05, 1.0  # seconds, doubled with each further failure


@dataclass(slots=True)
class _Endpoint:
    limit: int = FIRST_LIMIT
    under_way: int = 0
    waiting: int = 0
    quick: bool = False
    quickest: float = QUICK_SECONDS
    hooks: dict[str, deque[Claimed]] = field(default_factory=dict)  # in turn


@dataclass(slots=True)
class _Failing:
    """A hook since its last success."""

    failures: int = 0
    until: float = 0.0


class Lanes:
    """What waits and what is under way. Times are seconds of one clock that never goes back."""

    def __init__(self, slots: int = SLOTS) -> None:
        self.slots = slots
        self.endpoints: dict[str, _Endpoint] = {}
        self._turn: deque[str] = deque()
        self.of_hook: dict[str, int] = {}  # waiting and under way
        self.failing: dict[str, _Failing] = {}
        self._busy_serial: set[str] = set()
        self.slow = 0  # waiting and under way at endpoints that are not quick
        self._slow_under_way = 0
        self.under_way = 0
        self.waiting = 0

    def rooms(self, now: float) -> "Rooms":
        """How much may be claimed for whom."""
        return Rooms(self, now)

    def add(self, claimed: Claimed) -> None:
        """One more that waits for its turn."""
        endpoint = self.endpoints.get(claimed.endpoint)
        if endpoint is None:
            self._forget_some()
            endpoint = self.endpoints[claimed.endpoint] = _Endpoint()
        if not endpoint.waiting:
            self._turn.append(claimed.endpoint)
        endpoint.hooks.setdefault(claimed.webhook_id, deque()).append(claimed)
        self.of_hook[claimed.webhook_id] = self.of_hook.get(claimed.webhook_id, 0) + 1
        self.slow += 0 if endpoint.quick else 1
        endpoint.waiting += 1
        self.waiting += 1

    def next(self) -> Claimed | None:
        """The one to send now; None while none may start. Say `done` when it ended."""
        if self.under_way >= self.slots:
            return None
        for _ in range(len(self._turn)):
            name = self._turn[0]
            endpoint = self.endpoints[name]
            claimed = self._startable(endpoint)
            self._turn.popleft()
            if endpoint.waiting:
                self._turn.append(name)
            if claimed is not None:
                return claimed
        return None

    def done(self, claimed: Claimed, now: float, seconds: float, *, delivered: bool | None, overloaded: bool) -> list[Claimed]:
        """It ended after `seconds`. `delivered`: None where it was not even tried; `overloaded`: by a timeout, or an answer that asks for less (429, 503).

        What waits for a hook that rests from now on, or for an endpoint that is overloaded, takes no room from others: the claims to give back.
        """
        endpoint = self.endpoints[claimed.endpoint]
        full = endpoint.under_way >= endpoint.limit
        endpoint.under_way -= 1
        self.under_way -= 1
        self.slow -= 0 if endpoint.quick else 1
        self._slow_under_way -= 0 if endpoint.quick else 1
        self._count_out(claimed.webhook_id)
        if claimed.serial:
            self._busy_serial.discard(claimed.webhook_id)
        if delivered is None:  # says nothing about the endpoint
            return []
        self._mark(endpoint, quick=seconds < QUICK_SECONDS and not overloaded)
        if not endpoint.quick:
            endpoint.limit = max(1, endpoint.limit // 2)
        elif delivered:
            endpoint.quickest = min(seconds, endpoint.quickest * FADES)
            if seconds > LONGER * endpoint.quickest + SLACK_SECONDS:
                endpoint.limit = max(min(FIRST_LIMIT, endpoint.limit), endpoint.limit - 1)
            elif full:  # else more connections than are of use would be opened
                endpoint.limit = min(LARGEST_LIMIT, endpoint.limit + 1)
        rests = self._judge(claimed.webhook_id, now, delivered=delivered)
        if overloaded:
            return self._drop(endpoint, list(endpoint.hooks))
        return self._drop(endpoint, [claimed.webhook_id]) if rests else []

    def drop_waiting(self) -> list[Claimed]:
        """Takes out all that has not started."""
        return [claimed for endpoint in self.endpoints.values() for claimed in self._drop(endpoint, list(endpoint.hooks))]

    def _startable(self, endpoint: _Endpoint) -> Claimed | None:
        if endpoint.under_way >= endpoint.limit or (not endpoint.quick and self._slow_under_way >= self.slots // 2):
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
            self._slow_under_way += 0 if endpoint.quick else 1
            return claimed
        return None

    def _mark(self, endpoint: _Endpoint, *, quick: bool) -> None:
        if quick != endpoint.quick:
            self.slow += -(endpoint.under_way + endpoint.waiting) if quick else endpoint.under_way + endpoint.waiting
            self._slow_under_way += -endpoint.under_way if quick else endpoint.under_way
            endpoint.quick = quick

    def _judge(self, hook_id: str, now: float, *, delivered: bool) -> bool:
        """Whether a hook rests from now on."""
        if delivered:
            self.failing.pop(hook_id, None)
            return False
        self._forget_some()
        failing = self.failing.setdefault(hook_id, _Failing())
        if now < failing.until:  # one of several that were under way when the rest began
            return True
        failing.failures += 1
        if failing.failures < PATIENCE:
            return False
        failing.until = now + min(LONGEST_REST, FIRST_REST * 2 ** min(failing.failures - PATIENCE, 10))
        return True

    def _drop(self, endpoint: _Endpoint, hook_ids: list[str]) -> list[Claimed]:
        dropped = [claimed for hook_id in hook_ids for claimed in endpoint.hooks.pop(hook_id, ())]
        for claimed in dropped:
            self._count_out(claimed.webhook_id)
        self.slow -= 0 if endpoint.quick else len(dropped)
        endpoint.waiting -= len(dropped)
        self.waiting -= len(dropped)
        if dropped and not endpoint.waiting:
            self._turn.remove(dropped[0].endpoint)
        return dropped

    def _count_out(self, hook_id: str) -> None:
        left = self.of_hook[hook_id] - 1
        if left:
            self.of_hook[hook_id] = left
        else:
            del self.of_hook[hook_id]

    def _forget_some(self) -> None:
        """Endpoints and hooks with nothing to do are forgotten when there are very many."""
        if len(self.endpoints) >= FORGOTTEN:
            for name in [name for name, endpoint in self.endpoints.items() if not endpoint.under_way and not endpoint.waiting]:
                del self.endpoints[name]
        if len(self.failing) >= FORGOTTEN:
            for hook_id in [hook_id for hook_id in self.failing if hook_id not in self.of_hook]:
                del self.failing[hook_id]


class Rooms:
    """How much may be claimed, in all and for whom; made for one claim, which says what it took. Reads the lanes, changes nothing in them."""

    def __init__(self, lanes: Lanes, now: float) -> None:
        self._lanes, self._now = lanes, now
        self._hooks: dict[str, int] = {}
        self._endpoints: dict[str, int] = {}
        self._slow = lanes.slots // 2 - lanes.slow
        self.left = max(0, 2 * lanes.slots - lanes.under_way - lanes.waiting)
        self.rests_until: float | None = None  # when the first of the hooks that had no room because they rest may be asked for again

    def of(self, hook_id: str, endpoint_name: str) -> int:
        """How many more deliveries of a hook."""
        failing = self._lanes.failing.get(hook_id)
        if failing is not None and failing.until > self._now:
            self.rests_until = min(self.rests_until or failing.until, failing.until)
            return 0
        endpoint = self._lanes.endpoints.get(endpoint_name) or _Endpoint()
        room = endpoint.limit - endpoint.under_way - endpoint.waiting - self._endpoints.get(endpoint_name, 0)
        room = room + AHEAD if endpoint.quick else min(room, self._slow)
        if failing is not None and failing.failures >= PATIENCE:
            room = min(room, 1 - self._lanes.of_hook.get(hook_id, 0) - self._hooks.get(hook_id, 0))
        return max(0, min(room, self.left))

    def take(self, hook_id: str, endpoint_name: str, count: int) -> None:
        """So many were taken."""
        endpoint = self._lanes.endpoints.get(endpoint_name)
        self._hooks[hook_id] = self._hooks.get(hook_id, 0) + count
        self._endpoints[endpoint_name] = self._endpoints.get(endpoint_name, 0) + count
        self._slow -= 0 if endpoint is not None and endpoint.quick else count
        self.left -= count

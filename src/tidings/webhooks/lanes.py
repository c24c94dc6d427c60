"""Which claimed delivery goes out next: fair over endpoints, and over the hooks of one. In memory, of one process; pure: the time comes in.

An endpoint (scheme, host and port) has at most `limit` requests under way. The limit grows by one with each success that took about as long as the
quickest ones while it is reached, shrinks by one when they take longer (then more at once only wait for each other, there or here), and halves when the
endpoint is slow or asks for less. One hook has one less than that, so that one that hangs leaves room for the others of its endpoint.

An endpoint is `quick`, or `slow`, or `fresh`: without a verdict yet, or one that was quick until just now. Slow ones hold at most half of all slots together,
fresh ones a quarter, what is claimed for them included, so that any number of dead ones leaves room for those that are well. One that this process
has not met is slow at once where its hook was failing before: after a start the dead ones do not stand in the way of the others.

A hook that fails again and again rests between its attempts, and has one at a time: what answers 500 or resets within a millisecond would otherwise take
all the time that there is. One success ends that.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

from tidings.store.attempts import Claimed

SLOTS = 256
SMALLEST_LIMIT, FIRST_LIMIT, LARGEST_LIMIT = 2, 4, 64
AHEAD = 64  # deliveries that wait here for an endpoint that answers quickly; one that does not is claimed only what can start
QUICK_SECONDS = 2.0
LONGER, SLACK_SECONDS = 2.0, 0.02  # an answer that takes longer than so many times the quickest, and this, means that there are too many at once
FADES = 1.01  # the quickest answer is forgotten by and by
FORGOTTEN = 4096  # endpoints, and hooks that rest, remembered
PATIENCE = 3  # failures in a row until a hook rests
FIRST_REST, LONGEST_REST = 0.05, 1.0  # seconds, doubled with each further failure


Standing = Literal["quick", "fresh", "slow"]
SHARE: dict[Standing, int] = {"quick": 1, "fresh": 4, "slow": 2}  # the slots, divided by this


@dataclass(slots=True)
class _Endpoint:
    limit: int = FIRST_LIMIT
    under_way: int = 0
    waiting: int = 0
    standing: Standing = "fresh"
    quickest: float = QUICK_SECONDS
    hooks: dict[str, deque[Claimed]] = field(default_factory=dict)  # in turn

    @property
    def limit_of_hook(self) -> int:
        return self.limit - 1


@dataclass(slots=True)
class _Failing:
    """A hook since its last success."""

    failures: int = 0
    until: float = 0.0


def first_standing(*, failing: bool) -> Standing:
    """How an endpoint stands that is not known here. `failing`: its hook has failed since its last success, says the database."""
    return "slow" if failing else "fresh"


class Lanes:
    """What waits and what is under way. Times are seconds of one clock that never goes back."""

    def __init__(self, slots: int = SLOTS) -> None:
        self.slots = slots
        self.endpoints: dict[str, _Endpoint] = {}
        self._turn: deque[str] = deque()
        self.of_hook: dict[str, int] = {}  # waiting and under way
        self.failing: dict[str, _Failing] = {}
        self._running_of_hook: Counter[str] = Counter()
        self.held: Counter[Standing] = Counter()  # waiting and under way
        self._running: Counter[Standing] = Counter()  # under way
        self.under_way = 0
        self.waiting = 0

    @property
    def left(self) -> int:
        """How many more deliveries there is room for, whoever they are for."""
        return max(0, 2 * self.slots - self.under_way - self.waiting)

    def rooms(self, now: float) -> "Rooms":
        """How much may be claimed for whom."""
        return Rooms(self, now)

    def add(self, claimed: Claimed) -> None:
        """One more that waits for its turn."""
        endpoint = self.endpoints.get(claimed.endpoint)
        if endpoint is None:
            self._forget_some()
            endpoint = self.endpoints[claimed.endpoint] = _Endpoint(standing=first_standing(failing=claimed.failing))
        if not endpoint.waiting:
            self._turn.append(claimed.endpoint)
        endpoint.hooks.setdefault(claimed.webhook_id, deque()).append(claimed)
        self.of_hook[claimed.webhook_id] = self.of_hook.get(claimed.webhook_id, 0) + 1
        self.held[endpoint.standing] += 1
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
        full = endpoint.under_way >= endpoint.limit_of_hook
        endpoint.under_way -= 1
        self.under_way -= 1
        self.held[endpoint.standing] -= 1
        self._running[endpoint.standing] -= 1
        self._running_of_hook[claimed.webhook_id] -= 1
        self._count_out(claimed.webhook_id)
        if delivered is None:  # says nothing about the endpoint
            return []
        quick = seconds < QUICK_SECONDS and not overloaded
        self._mark(endpoint, "quick" if quick else "fresh" if endpoint.standing == "quick" else "slow")
        if not quick:
            endpoint.limit = max(SMALLEST_LIMIT, endpoint.limit // 2)
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
        if endpoint.under_way >= endpoint.limit or self._running[endpoint.standing] >= self.slots // SHARE[endpoint.standing]:
            return None
        for _ in range(len(endpoint.hooks)):
            hook_id = next(iter(endpoint.hooks))
            queue = endpoint.hooks.pop(hook_id)
            running = self._running_of_hook[hook_id]
            if running >= (1 if queue[0].serial else endpoint.limit_of_hook):
                endpoint.hooks[hook_id] = queue
                continue
            claimed = queue.popleft()
            if queue:
                endpoint.hooks[hook_id] = queue  # behind the others: its next turn comes after theirs
            self._running_of_hook[hook_id] = running + 1
            endpoint.waiting -= 1
            endpoint.under_way += 1
            self.waiting -= 1
            self.under_way += 1
            self._running[endpoint.standing] += 1
            return claimed
        return None

    def _mark(self, endpoint: _Endpoint, standing: Standing) -> None:
        for counter, count in ((self.held, endpoint.under_way + endpoint.waiting), (self._running, endpoint.under_way)):
            counter[endpoint.standing] -= count
            counter[standing] += count
        endpoint.standing = standing

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
        self.held[endpoint.standing] -= len(dropped)
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
            del self.of_hook[hook_id], self._running_of_hook[hook_id]

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
        self._shares = {standing: lanes.slots // share - lanes.held[standing] for standing, share in SHARE.items()}
        self.left = lanes.left
        self.rests_until: float | None = None  # when the first of the hooks that had no room because they rest may be asked for again

    def of(self, hook_id: str, endpoint_name: str, *, failing: bool) -> int:
        """How many more deliveries of a hook. `failing`: it has failed since its last success, says the database."""
        rests = self._lanes.failing.get(hook_id)
        if rests is not None and rests.until > self._now:
            self.rests_until = min(self.rests_until or rests.until, rests.until)
            return 0
        endpoint = self._of(endpoint_name, failing=failing)
        ahead = AHEAD if endpoint.standing == "quick" else 0
        at_most = 1 if rests is not None and rests.failures >= PATIENCE else endpoint.limit_of_hook + ahead
        room = min(
            endpoint.limit + ahead - endpoint.under_way - endpoint.waiting - self._endpoints.get(endpoint_name, 0),
            at_most - self._lanes.of_hook.get(hook_id, 0) - self._hooks.get(hook_id, 0),
        )
        if endpoint.standing != "quick":
            room = min(room, self._shares[endpoint.standing])
        return max(0, min(room, self.left))

    def take(self, hook_id: str, endpoint_name: str, count: int, *, failing: bool) -> None:
        """So many were taken."""
        self._hooks[hook_id] = self._hooks.get(hook_id, 0) + count
        self._endpoints[endpoint_name] = self._endpoints.get(endpoint_name, 0) + count
        self._shares[self._of(endpoint_name, failing=failing).standing] -= count
        self.left -= count

    def _of(self, name: str, *, failing: bool) -> _Endpoint:
        return self._lanes.endpoints.get(name) or _Endpoint(standing=first_standing(failing=failing))

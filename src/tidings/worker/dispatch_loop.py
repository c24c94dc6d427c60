"""The dispatcher: claims due deliveries, sends them, settles what came of them in groups. Any number of these may run over one PostgreSQL."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from tidings import clock, metrics
from tidings.clock import SECOND, Micros
from tidings.errors import TidingsError, Unavailable
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import attempts
from tidings.store.attempts import Claimed, Target
from tidings.store.database import Database
from tidings.store.outcomes import Outcome
from tidings.webhooks.deliver import Policy, attempt, opened, settle
from tidings.webhooks.lanes import Lanes, Rooms

POLL_SECONDS = 5.0  # catches what a lost wake-up would not
SETTLE_SECONDS = 0.01
SETTLE_RESULTS = 64
LARGEST_SETTLE = 256
FRESH_SECONDS = 1.0  # a hook that was read longer ago is read again before an attempt
REMEMBERED = 4096  # hooks; of more, only those that need not be read again
ROTATE_SECONDS = 0.02  # between claims that only look at further hooks
TROUBLE_SECONDS = 1.0
GIVEN_BACK: Micros = 60 * SECOND  # a delivery that could not even be tried waits this long
GRACE_SECONDS = 20.0

log = structlog.get_logger("tidings.dispatch")


async def dispatch(  # noqa: PLR0917 - all of them are needed
    db: Database, settings: Settings, box: SecretBox, outbound: Outbound, owner: str, stop: asyncio.Event, *, grace: float = GRACE_SECONDS
) -> None:
    """Dispatches until `stop` is set; then finishes what is under way within `grace` seconds, and lets go of the rest. `owner`: a name for this process."""
    await _Dispatcher(db, settings, box, outbound, owner, stop).run(grace)


class _Dispatcher:
    """One dispatcher. `_held`: every delivery whose lease is ours, from the claim until it is settled."""

    def __init__(self, db: Database, settings: Settings, box: SecretBox, outbound: Outbound, owner: str, stop: asyncio.Event) -> None:  # noqa: PLR0917
        self._db, self._box, self._outbound, self._owner, self._stop = db, box, outbound, owner, stop
        self._policy = Policy(settings.retry_schedule, settings.delivery_timeout, int(settings.disable_after_days * clock.DAY))
        self._lease: Micros = int(settings.lease_seconds * SECOND)
        self._lanes = Lanes()
        self._held: dict[str, Claimed] = {}
        self._good_until: dict[str, float] = {}  # by the monotonic clock: when a lease may be somebody else's
        self._targets: dict[str, tuple[Target, float]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._results: list[Outcome] = []
        self._let_go: list[Claimed] = []
        self._wake, self._settle_now = asyncio.Event(), asyncio.Event()
        self._settling = asyncio.Lock()
        self._finished, self._enough = 0, 1  # attempts since the last claim; so many call for the next one

    async def run(self, grace: float) -> None:
        """Runs the loops until the end."""
        signal = self._db.listen("deliveries")

        async def hear() -> None:
            await signal.wait(POLL_SECONDS)
            self._wake.set()

        async def be_told() -> None:
            await self._stop.wait()
            self._wake.set()
            await asyncio.Event().wait()

        loops = [asyncio.create_task(self._forever(step)) for step in (hear, be_told, self._settle_some, self._renew)]
        cursor = ""
        try:
            while not self._stop.is_set():
                cursor = await self._claim_and_wait(cursor)
            await self._finish(grace)
        finally:
            for task in [*loops, *self._sending]:
                task.cancel()
            await asyncio.gather(*loops, *self._sending, return_exceptions=True)

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:
                self._trouble("dispatch_step_failed", error, step=step.__name__)
                await asyncio.sleep(TROUBLE_SECONDS)

    # -- claiming ------------------------------------------------------------------------------------------------------------------------------

    async def _claim_and_wait(self, cursor: str) -> str:
        """One claim, and the wait for a reason for the next one; the hook to go on behind."""
        self._wake.clear()
        self._finished = 0
        pause, behind = POLL_SECONDS, cursor
        try:
            if self._lanes.left > 0:
                asked = time.monotonic()  # so old the leases may be: an answer can be long on its way
                claim, rooms = await self._claim(cursor)
                self._take(claim, asked)
                behind = claim.cursor or ""
                self._enough = max(1, len(claim.taken) // 2)
                if claim.cursor is not None:
                    pause = ROTATE_SECONDS
                elif claim.next_at is not None:
                    pause = min(max((claim.next_at - clock.now()) / SECOND, 0.001), POLL_SECONDS)
                if rooms.rests_until is not None:
                    pause = min(pause, max(rooms.rests_until - time.monotonic(), ROTATE_SECONDS))
        except Exception as error:
            self._trouble("claim_failed", error)
            await asyncio.sleep(TROUBLE_SECONDS)
        if self._finished < self._enough:
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass
        return behind

    async def _claim(self, cursor: str) -> tuple[attempts.Claim, Rooms]:
        """What one claim brought, and the rooms that it had."""
        made: list[Rooms] = []

        def rooms() -> Rooms:
            made.append(self._lanes.rooms(time.monotonic()))
            return made[-1]

        return await self._db.write(attempts.claim, self._owner, self._lease, cursor=cursor, rooms=rooms), made[-1]

    def _take(self, claim: attempts.Claim, asked: float) -> None:
        if len(self._targets) > REMEMBERED:
            self._targets = {hook_id: known for hook_id, known in self._targets.items() if asked - known[1] <= FRESH_SECONDS}
        for hook_id, target in claim.targets.items():
            self._targets[hook_id] = (target, asked)
        for claimed in claim.taken:
            known = claimed.id in self._held
            self._held[claimed.id] = claimed
            self._good_until[claimed.id] = asked + self._lease / SECOND
            if not known:  # else its lease had run out before we renewed it: what is under way goes on under the new fence
                self._lanes.add(claimed)
        self._start()

    # -- sending -------------------------------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Starts whatever may start."""
        while not self._stop.is_set() and (claimed := self._lanes.next()) is not None:
            task = asyncio.create_task(self._send(claimed))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, claimed: Claimed) -> None:
        started = time.monotonic()
        outcome = None
        try:
            if not self._lost(claimed):
                outcome = await self._attempt(claimed)
        except Exception as error:
            self._trouble("delivery_not_tried", error, delivery=claimed.id, webhook=claimed.webhook_id)
            await self._give_back(claimed, error)
        finally:
            self._end(claimed, outcome, time.monotonic(), started)
        self._finished += 1
        if self._finished >= self._enough:
            self._wake.set()
        self._start()

    def _end(self, claimed: Claimed, outcome: Outcome | None, now: float, started: float) -> None:
        delivered, overloaded = (None, False) if outcome is None else (outcome.delivered, outcome.overloaded)
        self._let_go += self._lanes.done(claimed, now, now - started, delivered=delivered, overloaded=overloaded)
        if outcome is not None:
            self._results.append(outcome)
        if outcome is not None or self._let_go:
            self._settle_now.set()

    async def _attempt(self, claimed: Claimed) -> Outcome | None:
        target, read_at = self._targets.get(claimed.webhook_id, (None, 0.0))
        if target is None or time.monotonic() - read_at > FRESH_SECONDS:
            target = await self._db.read(attempts.target, claimed.webhook_id, clock.now())
            if target is None:
                raise TidingsError("The hook of this delivery is not there any more.")
            self._targets[claimed.webhook_id] = (target, time.monotonic())
        if not (target.enabled or claimed.test or claimed.probe):  # disabled since it was claimed
            await self._release([claimed])
            return None
        if self._lost(claimed):  # while the hook was read
            return None
        outcome = await attempt(self._outbound, claimed, target, opened(self._box, target), self._policy)
        if not outcome.delivered:
            about = {"delivery": claimed.id, "webhook": claimed.webhook_id, "number": claimed.attempt_count + 1}
            log.info("attempt_failed", **about, state=outcome.state, reason=outcome.reason)
        return outcome

    async def _give_back(self, claimed: Claimed, error: Exception) -> None:
        """Lets go of what could not be tried, for a while."""
        sentence = f"It could not be tried: {type(error).__name__}. The log says more under this delivery's id."
        reason = str(error) if isinstance(error, TidingsError) else sentence
        try:
            await self._db.write(attempts.release, [(claimed.id, self._held.get(claimed.id, claimed).fence)], due=clock.now() + GIVEN_BACK, reason=reason)
        except Exception as trouble:
            self._trouble("release_failed", trouble, delivery=claimed.id)  # its lease runs out by itself
        self._forget([claimed.id])

    # -- settling ------------------------------------------------------------------------------------------------------------------------------

    async def _settle_some(self) -> None:
        """Waits for results, and settles them in a group."""
        await self._settle_now.wait()
        if len(self._results) < SETTLE_RESULTS and not self._stop.is_set():
            await asyncio.sleep(SETTLE_SECONDS)
        await self._settle_all()

    async def _settle_all(self) -> None:
        async with self._settling:  # who stops waits for the group that is on its way
            self._settle_now.clear()
            while self._results:
                group, self._results = [self._newest(outcome) for outcome in self._results[:LARGEST_SETTLE]], self._results[LARGEST_SETTLE:]
                await self._settle_group(group)
            dropped, self._let_go = self._let_go, []
            await self._release(dropped)

    async def _release(self, claims: list[Claimed]) -> None:
        """Gives back what has not started."""
        held = [(claimed.id, self._held[claimed.id].fence) for claimed in claims if claimed.id in self._held]
        if held:
            self._forget([id_ for id_, _ in held])
            await self._db.write(attempts.release, held)

    async def _settle_group(self, group: list[Outcome]) -> None:
        until = time.monotonic() + self._lease / SECOND
        while not await self._settled(group):
            await asyncio.sleep(TROUBLE_SECONDS)
            if self._stop.is_set() or time.monotonic() > until:
                await self._settle_singly(group)
                break
        self._forget([outcome.claimed.id for outcome in group])
        self._wake_if_more_is_due(group)

    async def _settled(self, group: list[Outcome]) -> bool:
        """Whether a group is settled, or was one by one. Not while the database is away: then all of it is told once more for as long as a lease,
        else what receivers have would be sent again."""
        try:
            await self._settle_and_count(group)
        except Unavailable as error:
            self._trouble("settle_put_off", error, deliveries=len(group))
            return False
        except Exception as error:
            self._trouble("settle_failed", error, deliveries=len(group))
            await self._settle_singly(group)
        return True

    async def _settle_and_count(self, group: list[Outcome]) -> None:
        await self._db.write(settle, group, self._policy)
        for outcome in group:
            metrics.attempts.labels("delivered" if outcome.delivered else str(outcome.status or "unanswered")).inc()
            metrics.attempt_seconds.observe(outcome.duration_ms / 1e3)

    def _newest(self, outcome: Outcome) -> Outcome:
        """The outcome under the fence that we hold by now."""
        held = self._held.get(outcome.claimed.id, outcome.claimed)
        return outcome if held.fence == outcome.claimed.fence else replace(outcome, claimed=replace(outcome.claimed, fence=held.fence))

    async def _settle_singly(self, group: list[Outcome]) -> None:
        """One that can't be settled must not hold back the others; its lease runs out, and it is sent again."""
        for outcome in group:
            try:
                await self._settle_and_count([outcome])
            except Exception as error:
                self._trouble("settle_failed", error, delivery=outcome.claimed.id)

    def _wake_if_more_is_due(self, group: list[Outcome]) -> None:
        """Where something waited for the end of these, or one of them is due again before the next look."""
        soon = clock.now() + int(POLL_SECONDS * SECOND)
        if any(one.claimed.serial or one.claimed.probe or (one.next_attempt_at or soon) < soon for one in group):
            self._wake.set()

    # -- leases --------------------------------------------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Extends the leases of all that is held, three times as often as they run out."""
        await asyncio.sleep(self._lease / SECOND / 3)
        held = [(claimed.id, claimed.fence) for claimed in self._held.values()]
        for first in range(0, len(held), LARGEST_SETTLE):
            some = held[first : first + LARGEST_SETTLE]
            before = time.monotonic()
            for id_ in await self._db.write(attempts.renew, some, self._lease):  # what others have taken over stays as it is, and is not sent
                if id_ in self._held:
                    self._good_until[id_] = before + self._lease / SECOND

    def _lost(self, claimed: Claimed) -> bool:
        """Whether somebody else may hold it by now; then it is none of ours."""
        if time.monotonic() < self._good_until.get(claimed.id, 0):
            return False
        self._forget([claimed.id])
        return True

    def _forget(self, ids: list[str]) -> None:
        for id_ in ids:
            self._held.pop(id_, None)
            self._good_until.pop(id_, None)

    async def _finish(self, grace: float) -> None:
        """The clean stop: lets go of what has not started, finishes what is under way, settles it, lets go of the rest."""
        try:
            await self._release(self._lanes.drop_waiting())
            if self._sending:
                await asyncio.wait(list(self._sending), timeout=grace)
            for task in list(self._sending):
                task.cancel()
            await self._settle_all()
            rest = [(claimed.id, claimed.fence) for claimed in self._held.values()]
            if rest:
                await self._db.write(attempts.release, rest)
        except Exception as error:
            self._trouble("dispatcher_not_stopped_cleanly", error)  # leases run out by themselves

    def _trouble(self, event: str, error: Exception, **about: object) -> None:
        """An error that a person knows how to deal with is told in a sentence, any other with where it came from."""
        log.error(event, reason=str(error), exc_info=None if isinstance(error, TidingsError) else error, **about)

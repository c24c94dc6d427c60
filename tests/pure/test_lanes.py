"""The order in which deliveries go out: fair over endpoints and hooks, bounded for those that are slow or fail."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidings.store.attempts import Claimed
from tidings.webhooks.lanes import AHEAD, FIRST_LIMIT, FIRST_REST, LARGEST_LIMIT, LONGEST_REST, PATIENCE, SHARE, Lanes


def claimed(endpoint: str, hook: str, sequence: int, *, serial: bool = False) -> Claimed:
    return Claimed(f"{hook}-{sequence}", 1, hook, endpoint, "e", sequence, False, {}, "", 0, 0, serial=serial)


def started(lanes: Lanes) -> list[Claimed]:
    found = []
    while (one := lanes.next()) is not None:
        found.append(one)
    return found


def good(lanes: Lanes, one: Claimed, now: float = 0.0) -> list[Claimed]:
    return lanes.done(one, now, 0.01, delivered=True, overloaded=False)


def bad(lanes: Lanes, one: Claimed, now: float = 0.0) -> list[Claimed]:
    return lanes.done(one, now, 0.001, delivered=False, overloaded=False)


def late(lanes: Lanes, one: Claimed, now: float = 0.0) -> list[Claimed]:
    return lanes.done(one, now, 15, delivered=False, overloaded=True)


def test_endpoints_take_turns_and_so_do_their_hooks() -> None:
    lanes = Lanes()
    for sequence in range(3):
        for endpoint, hook in (("a", "a1"), ("a", "a2"), ("b", "b1")):
            lanes.add(claimed(endpoint, hook, sequence))
    order = [one.id for one in started(lanes)]
    assert order[:4] == ["a1-0", "b1-0", "a2-0", "b1-1"]
    assert lanes.under_way == FIRST_LIMIT + 3
    assert lanes.waiting == 2


def test_a_limit_grows_with_quick_successes_and_halves_with_timeouts() -> None:
    lanes = Lanes()
    for sequence in range(1000):
        lanes.add(claimed("a", "a1", sequence))
    running = started(lanes)
    assert len(running) == FIRST_LIMIT - 1
    for _ in range(200):
        good(lanes, running.pop(0))
        running += started(lanes)
    assert len(running) == LARGEST_LIMIT - 1
    assert len(late(lanes, running.pop())) == 1000 - 200 - (LARGEST_LIMIT - 1)  # nothing that waits for it takes room from others
    assert lanes.rooms(0.0).of("a1", "a", failing=False) == 0
    while running:
        late(lanes, running.pop(), now=99.0)
    assert lanes.rooms(999.0).of("a1", "a", failing=True) == 1


def test_a_limit_shrinks_when_more_at_once_only_take_longer() -> None:
    lanes = Lanes()
    for sequence in range(1000):
        lanes.add(claimed("a", "a1", sequence))
    running = started(lanes)
    for _ in range(100):
        good(lanes, running.pop(0))
        running += started(lanes)
    before = len(running)
    assert before > FIRST_LIMIT
    for _ in range(5):
        lanes.done(running.pop(0), 0.0, 0.3, delivered=True, overloaded=False)
    assert len(running) + len(started(lanes)) == before - 5
    assert lanes.endpoints["a"].standing == "quick"


def test_failures_make_no_limit_grow() -> None:
    lanes = Lanes()
    for sequence in range(30):
        lanes.add(claimed("a", f"h{sequence}", 0))
    for one in started(lanes):
        bad(lanes, one)
    assert len(started(lanes)) == FIRST_LIMIT


def fill(lanes: Lanes, name: str, count: int, *, failing: bool) -> int:
    """Claims for so many endpoints what there is room for; what is left of the room."""
    rooms = lanes.rooms(0.0)
    for number in range(count):
        taken = rooms.of(f"{name}{number}", f"{name}{number}", failing=failing)
        rooms.take(f"{name}{number}", f"{name}{number}", taken, failing=failing)
        for sequence in range(taken):
            lanes.add(replace(claimed(f"{name}{number}", f"{name}{number}", sequence), failing=failing))
    return rooms.left


def test_dead_endpoints_leave_half_of_the_slots_and_of_the_room_and_new_ones_their_own_quarter() -> None:
    lanes = Lanes(slots=16)
    assert fill(lanes, "dead", 50, failing=True) == 2 * 16 - 8
    assert len(started(lanes)) == 8
    assert lanes.rooms(0.0).of("d", "dead99", failing=True) == 0
    assert lanes.rooms(0.0).of("n", "new", failing=False) == FIRST_LIMIT - 1
    assert fill(lanes, "new", 50, failing=False) == 2 * 16 - 8 - 4
    assert len(started(lanes)) == 4
    assert lanes.next() is None


def test_one_bad_answer_does_not_send_an_endpoint_among_the_dead() -> None:
    lanes = Lanes(slots=16)
    lanes.add(claimed("well", "w", 0))
    (one,) = started(lanes)
    good(lanes, one)
    fill(lanes, "dead", 50, failing=True)
    started(lanes)
    for left in (1, 0):
        lanes.add(claimed("well", "w", 1))
        (one,) = started(lanes)
        late(lanes, one)
        assert lanes.rooms(99.0).of("w", "well", failing=True) == left


def test_a_proven_endpoint_goes_on_beside_dead_ones() -> None:
    lanes = Lanes(slots=16)
    lanes.add(claimed("well", "w", 0))
    (first,) = started(lanes)
    good(lanes, first)
    for number in range(50):
        lanes.add(replace(claimed(f"dead{number}", f"d{number}", 0), failing=True))
    for sequence in range(1, 9):
        lanes.add(claimed("well", "w", sequence))
    running = started(lanes)
    assert sum(one.endpoint == "well" for one in running) == FIRST_LIMIT - 1
    assert sum(one.endpoint != "well" for one in running) == 8
    for one in running:
        if one.endpoint == "well":
            good(lanes, one)
    assert [one.sequence for one in started(lanes)] == [4, 5, 6, 7]  # one more than before


def test_a_hook_that_fails_again_and_again_rests_ever_longer_until_a_success() -> None:
    lanes, now, waits = Lanes(), 100.0, []
    for number in range(PATIENCE + 8):
        lanes.add(claimed("a", "h", number))
        (one,) = started(lanes)
        bad(lanes, one, now)
        rooms = lanes.rooms(now)
        rests = rooms.of("h", "a", failing=False) == 0
        assert rests == (number + 1 >= PATIENCE)
        if rests:
            assert rooms.rests_until is not None
            waits.append(round(rooms.rests_until - now, 6))
            now = rooms.rests_until
            assert lanes.rooms(now).of("h", "a", failing=False) == 1
    assert waits == [min(LONGEST_REST, FIRST_REST * 2**number) for number in range(len(waits))]
    lanes.add(claimed("a", "h", 99))
    (one,) = started(lanes)
    good(lanes, one, now)
    assert lanes.rooms(now).of("h", "a", failing=False) > AHEAD


def test_a_hook_that_rests_lets_go_of_what_waits_and_leaves_others_of_its_endpoint_alone() -> None:
    lanes = Lanes()
    for sequence in range(20):
        lanes.add(claimed("a", "bad", sequence))
        lanes.add(claimed("a", "well", sequence))
    dropped: list[Claimed] = []
    for _ in range(40):
        one = lanes.next()
        if one is None:
            break
        dropped += bad(lanes, one) if one.webhook_id == "bad" else good(lanes, one)
    assert len(dropped) == 20 - PATIENCE
    assert {one.webhook_id for one in dropped} == {"bad"}
    assert (lanes.waiting, lanes.under_way) == (0, 0)
    assert lanes.rooms(0.0).of("well", "a", failing=False) > 0


def test_what_was_not_tried_is_no_failure() -> None:
    lanes = Lanes()
    for sequence in range(PATIENCE + 1):
        lanes.add(claimed("a", "h", sequence))
        (one,) = started(lanes)
        assert lanes.done(one, 0.0, 0.01, delivered=None, overloaded=False) == []
    assert lanes.rooms(0.0).of("h", "a", failing=False) > 0
    assert lanes.endpoints["a"].standing == "fresh"  # nothing was sent there, so nothing is known of it


def test_a_hook_that_hangs_leaves_room_for_the_others_of_its_endpoint() -> None:
    lanes, hanging = Lanes(), 0
    for number in range(200):
        for hook in ("hangs", "well"):
            if lanes.rooms(0.0).of(hook, "a", failing=False):
                lanes.add(claimed("a", hook, number))
        running = started(lanes)
        hanging += sum(one.webhook_id == "hangs" for one in running)
        assert [one.webhook_id for one in running].count("well") == 1
        good(lanes, next(one for one in running if one.webhook_id == "well"))
    assert hanging < LARGEST_LIMIT


def test_a_serial_hook_sends_one_at_a_time_and_holds_up_no_other() -> None:
    lanes = Lanes()
    for sequence in range(3):
        lanes.add(claimed("a", "s", sequence, serial=True))
    lanes.add(claimed("a", "o", 0))
    running = started(lanes)
    assert [one.id for one in running] == ["s-0", "o-0"]
    good(lanes, running[0])
    assert [one.id for one in started(lanes)] == ["s-1"]


def test_what_waits_can_be_taken_out() -> None:
    lanes = Lanes()
    for sequence in range(10):
        lanes.add(claimed("a", "a1", sequence))
    running = started(lanes)
    assert len(lanes.drop_waiting()) == 10 - len(running)
    assert (lanes.waiting, lanes.next()) == (0, None)
    lanes.add(claimed("a", "a1", 10))
    good(lanes, running[0])
    assert [one.sequence for one in started(lanes)] == [10]


step = st.tuples(st.sampled_from("abcde"), st.sampled_from("123"), st.sampled_from((good, bad, late)), st.integers(0, 4))


@given(st.lists(step, max_size=120))
def test_whatever_happens_the_books_are_right(steps: list[tuple[str, str, object, int]]) -> None:
    lanes, held, running, now = Lanes(slots=8), set[str](), list[Claimed](), 0.0
    for number, (endpoint, hook, end, ended) in enumerate(steps):
        now += 0.03
        rooms = lanes.rooms(now)
        count = rooms.of(endpoint + hook, endpoint, failing=hook == "1")
        assert 0 <= count <= rooms.left <= 2 * lanes.slots
        for sequence in range(min(count, 3)):
            lanes.add(replace(claimed(endpoint, endpoint + hook, number * 10 + sequence), failing=hook == "1"))
            held.add(f"{endpoint + hook}-{number * 10 + sequence}")
        running += started(lanes)
        for _ in range(min(ended, len(running))):
            one = running.pop(0)
            held.discard(one.id)
            held -= {dropped.id for dropped in end(lanes, one, now)}  # type: ignore[operator]
        for standing in SHARE:
            alike = [lane for lane in lanes.endpoints.values() if lane.standing == standing]
            assert lanes.held[standing] == sum(lane.under_way + lane.waiting for lane in alike)
        assert (lanes.under_way, lanes.under_way + lanes.waiting) == (len(running), len(held))
        assert sum(lanes.of_hook.values()) == len(held)
        assert all(count > 0 for count in lanes.of_hook.values())
    for one in running:
        good(lanes, one, now)
    while waiting := started(lanes):
        for one in waiting:
            good(lanes, one, now)
    assert (lanes.under_way, lanes.waiting, lanes.held.total()) == (0, 0, 0)

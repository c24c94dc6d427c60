"""The order in which deliveries go out: fair over endpoints and hooks, bounded for those that are slow."""

from tidings.store.attempts import Claimed
from tidings.webhooks.lanes import FIRST_LIMIT, LARGEST_LIMIT, Lanes


def claimed(endpoint: str, hook: str, sequence: int, *, serial: bool = False) -> Claimed:
    return Claimed(f"{hook}-{sequence}", 1, hook, endpoint, "e", sequence, False, {}, "", 0, 0, serial=serial)


def started(lanes: Lanes) -> list[Claimed]:
    found = []
    while (one := lanes.next()) is not None:
        found.append(one)
    return found


def test_endpoints_take_turns_and_so_do_their_hooks() -> None:
    lanes = Lanes()
    for sequence in range(3):
        for endpoint, hook in (("a", "a1"), ("a", "a2"), ("b", "b1")):
            lanes.add(claimed(endpoint, hook, sequence))
    order = [one.id for one in started(lanes)]
    assert order[:4] == ["a1-0", "b1-0", "a2-0", "b1-1"]
    assert lanes.under_way == FIRST_LIMIT + 3
    assert lanes.waiting == 2


def test_a_limit_grows_with_quick_answers_and_halves_without() -> None:
    lanes = Lanes()
    for sequence in range(1000):
        lanes.add(claimed("a", "a1", sequence))
    running = started(lanes)
    assert len(running) == FIRST_LIMIT
    for _ in range(200):
        lanes.done(running.pop(0), 0.01, overloaded=False)
        running += started(lanes)
    assert len(running) == LARGEST_LIMIT
    lanes.done(running.pop(), 15, overloaded=True)
    assert lanes.room_at("a") == 0
    while running:
        lanes.done(running.pop(), 15, overloaded=True)
    assert len(started(lanes)) == 1


def test_dead_endpoints_leave_half_of_the_slots() -> None:
    lanes = Lanes(slots=16)
    for number in range(50):
        for sequence in range(FIRST_LIMIT):
            lanes.add(claimed(f"dead{number}", f"d{number}", sequence))
    assert len(started(lanes)) == 8
    assert lanes.room_at("new") == 0
    assert lanes.next() is None


def test_a_proven_endpoint_goes_on_beside_dead_ones() -> None:
    lanes = Lanes(slots=16)
    lanes.add(claimed("well", "w", 0))
    (first,) = started(lanes)
    lanes.done(first, 0.01, overloaded=False)
    for number in range(50):
        lanes.add(claimed(f"dead{number}", f"d{number}", 0))
    for sequence in range(1, 9):
        lanes.add(claimed("well", "w", sequence))
    running = started(lanes)
    assert sum(one.endpoint == "well" for one in running) == FIRST_LIMIT
    assert sum(one.endpoint != "well" for one in running) == 8
    for one in running:
        if one.endpoint == "well":
            lanes.done(one, 0.01, overloaded=False)
    assert [one.sequence for one in started(lanes)] == [5, 6, 7, 8]


def test_a_serial_hook_sends_one_at_a_time_and_holds_up_no_other() -> None:
    lanes = Lanes()
    for sequence in range(3):
        lanes.add(claimed("a", "s", sequence, serial=True))
    lanes.add(claimed("a", "o", 0))
    running = started(lanes)
    assert [one.id for one in running] == ["s-0", "o-0"]
    lanes.done(running[0], 0.01, overloaded=False)
    assert [one.id for one in started(lanes)] == ["s-1"]


def test_what_waits_can_be_taken_out() -> None:
    lanes = Lanes()
    for sequence in range(10):
        lanes.add(claimed("a", "a1", sequence))
    running = started(lanes)
    assert len(lanes.drop_waiting()) == 10 - len(running)
    assert (lanes.waiting, lanes.next()) == (0, None)
    lanes.add(claimed("a", "a1", 10))
    lanes.done(running[0], 0.1, overloaded=False)
    assert [one.sequence for one in started(lanes)] == [10]

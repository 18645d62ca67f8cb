import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.services.breaker import Breaker
from relay.services.membership import Alone
from relay.services.slots import ARRIVAL_S, Gate, Gates
from tests.services.stillness import Among, FixedEntropy, StillClock, account_of


def gate_of(connections: int, per_s: float, clock: StillClock | None = None) -> Gate:
    """A gate with a breaker that is closed."""
    clock = clock or StillClock()
    return Gate(connections, per_s, clock, Breaker(clock, FixedEntropy()))


def test_a_start_takes_a_connection_until_it_ends() -> None:
    gate = gate_of(2, 100.0)

    assert [gate.take() for _ in range(3)] == [True, True, False]
    assert gate.wait_s() is None
    gate.begin()
    gate.end()
    assert (gate.running, gate.wait_s(), gate.take()) == (1, 0.0, True)


def test_a_start_takes_a_place_in_the_rate_that_time_alone_gives_back() -> None:
    clock = StillClock()
    gate = gate_of(10, 2.0, clock)

    assert [gate.take() for _ in range(3)] == [True, True, False]
    for _ in range(2):
        gate.begin()
        gate.end()
    assert not gate.take()
    assert gate.wait_s() == pytest.approx(1.0 + ARRIVAL_S)
    clock.move(1.0 + ARRIVAL_S + 1e-6)
    assert gate.take()


def test_what_was_not_started_after_all_costs_nothing() -> None:
    gate = gate_of(1, 1.0)
    assert gate.take()

    gate.give_back()

    assert (gate.running, gate.take()) == (0, True)


@given(steps=st.lists(st.sampled_from(["take", "end", "give_back", "second"]), max_size=200))
def test_no_sequence_of_steps_goes_over_the_connections(steps: list[str]) -> None:
    clock = StillClock()
    gate = gate_of(3, 5.0, clock)
    running = 0
    for step in steps:
        if step == "take":
            running += gate.take()
        elif step == "second":
            clock.move(1.0)
        elif running:
            running -= 1
            if step == "give_back":
                gate.give_back()
            else:
                gate.begin()
                gate.end()
        assert gate.running == running <= 3


def test_a_start_counts_from_when_it_begins_not_from_when_it_was_made_ready() -> None:
    clock = StillClock()
    gate = gate_of(10, 1.0, clock)
    assert gate.take()
    clock.move(5.0)
    gate.begin()

    clock.move(0.9)
    assert not gate.take()
    clock.move(0.1 + ARRIVAL_S + 1e-6)
    assert gate.take()


def test_an_account_has_one_gate_which_takes_over_changed_limits() -> None:
    gates, account = Gates(StillClock(), Alone(FixedEntropy()), FixedEntropy()), account_of()
    gate = gates.of(account)
    gate.take()
    gate.take()

    again = gates.of(msgspec.structs.replace(account, connections=3))

    assert again is gate
    assert gate.take()
    assert gates.of(account_of(2)) is not gate


def test_a_gate_lets_through_this_processs_share_and_nothing_without_one() -> None:
    among, account = Among(), msgspec.structs.replace(account_of(), connections=4)
    gates = Gates(StillClock(), among, FixedEntropy())
    among.part = lambda limit: limit // 2

    gate = gates.of(account)
    assert [gate.take() for _ in range(3)] == [True, True, False]

    among.part = lambda limit: 0
    gate = gates.of(account)
    assert (gate.take(), gate.wait_s(), gate.running) == (False, None, 2)
    gate.give_back()
    gate.give_back()
    assert not gate.take()


def test_what_a_share_gains_of_the_rate_may_be_used_a_period_after_it_was_gained() -> None:
    clock, among = StillClock(), Among()
    gates, account = (
        Gates(clock, among, FixedEntropy()),
        msgspec.structs.replace(account_of(), connections=100, requests_per_s=4.0),
    )
    among.part = lambda limit: limit // 2
    gate = gates.of(account)
    clock.move(5.0)

    among.part, among.since_s = lambda limit: limit, clock.monotonic_s()
    clock.move(0.5)
    gates.of(account)

    assert [gate.take() for _ in range(3)] == [True, True, False]
    clock.move(0.5 + ARRIVAL_S + 1e-3)
    assert [gate.take() for _ in range(3)] == [True, True, False]


def test_an_account_that_is_new_to_a_replica_may_have_been_used_by_another_until_its_share_came() -> None:
    clock, among = StillClock(), Among()
    among.since_s = clock.monotonic_s()
    gate = Gates(clock, among, FixedEntropy()).of(account_of())

    assert not gate.take()
    clock.move(1.0 + ARRIVAL_S + 1e-3)
    assert gate.take()

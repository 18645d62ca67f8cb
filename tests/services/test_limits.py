import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.errors import RateExceeded
from relay.domain.teams import Team
from relay.services.limits import RateState, TeamRates, Window
from tests.services.stillness import Among, StillClock, team_of

rates = st.one_of(st.integers(1, 50).map(float), st.floats(0.05, 50))
pauses = st.lists(st.floats(0, 3), max_size=200)


@given(per_s=rates, pauses=pauses)
def test_never_more_than_the_rate_starts_in_any_window(per_s: float, pauses: list[float]) -> None:
    window = Window(per_s)
    now_s, starts = 1000.0, []
    for pause_s in pauses:
        now_s += pause_s
        if window.take(now_s):
            starts.append(now_s)

    for index, first_s in enumerate(starts[window.most :], window.most):
        assert first_s - starts[index - window.most] >= window.period_s - 1e-9


@given(per_s=rates, pauses=pauses)
def test_after_the_stated_wait_a_start_is_allowed_and_before_it_none(per_s: float, pauses: list[float]) -> None:
    window = Window(per_s)
    now_s = 1000.0
    for pause_s in pauses:
        now_s += pause_s
        window.take(now_s)
    wait_s = window.wait_s(now_s)

    assert wait_s <= window.period_s + 1e-9
    if wait_s > 1e-6:
        assert not window.take(now_s + wait_s * 0.99 - 1e-9)
    assert window.take(now_s + wait_s + 1e-6)


@pytest.mark.parametrize(("per_s", "most", "period_s"), [(10.0, 10, 1.0), (1.0, 1, 1.0), (0.5, 1, 2.0), (2.5, 2, 0.8)])
def test_a_window_holds_whole_starts_and_keeps_the_average(per_s: float, most: int, period_s: float) -> None:
    window = Window(per_s)

    assert window.most == most
    assert window.period_s == pytest.approx(period_s)


def test_a_place_that_is_given_back_can_be_had_again() -> None:
    window = Window(1.0)
    assert window.reserve(0.0)
    assert not window.reserve(0.0)

    window.give_back()

    assert window.take(0.0)
    assert not window.take(0.5)


def test_a_place_that_is_kept_counts_from_when_it_starts() -> None:
    window = Window(2.0)
    assert [window.reserve(0.0), window.reserve(0.0), window.reserve(5.0)] == [True, True, False]

    window.begin(3.0)

    assert not window.reserve(3.9)
    window.begin(3.5)
    assert (window.reserve(3.9), window.reserve(4.0), window.reserve(4.4), window.reserve(4.5)) == (
        False,
        True,
        False,
        True,
    )


def test_a_changed_rate_counts_the_starts_so_far() -> None:
    window = Window(2.0)
    window.take(0.0)
    window.take(0.1)

    window.change(3.0)

    assert [window.take(0.2), window.take(0.3), window.take(1.0)] == [True, False, True]


@given(
    per_s=rates,
    steps=st.lists(st.tuples(st.floats(0, 1.5), st.sampled_from(["reserve", "begin", "give back"])), max_size=200),
)
def test_never_more_than_the_rate_begins_in_any_window_however_late(
    per_s: float, steps: list[tuple[float, str]]
) -> None:
    window = Window(per_s)
    now_s, kept, starts = 1000.0, 0, []
    for pause_s, step in steps:
        now_s += pause_s
        if step == "reserve":
            kept += window.reserve(now_s)
        elif kept:
            kept -= 1
            if step == "begin":
                window.begin(now_s)
                starts.append(now_s)
            else:
                window.give_back()

    for index, first_s in enumerate(starts[window.most :], window.most):
        assert first_s - starts[index - window.most] >= window.period_s - 1e-9


@given(changes=st.lists(st.tuples(st.floats(0, 1.5), st.integers(0, 6), st.integers(0, 6)), max_size=60), per_s=rates)
def test_two_that_hand_parts_of_a_rate_to_each_other_keep_it_together(
    changes: list[tuple[float, int, int]], per_s: float
) -> None:
    whole = Window.starts(per_s)
    windows = [Window(per_s), Window(per_s)]
    now_s = 1000.0
    windows[0].allot(whole, now_s)
    windows[1].allot(0, now_s)
    starts: list[float] = []
    for pause_s, part, number in changes:
        now_s += pause_s
        first = min(part, whole)
        # Who loses hears of it first.
        for window, most in sorted(zip(windows, (first, whole - first), strict=True), key=lambda pair: pair[1]):
            window.allot(most, now_s)
        for window in windows:
            starts += [now_s for _ in range(number) if window.take(now_s)]

    for index, later_s in enumerate(starts[whole:], whole):
        assert later_s - starts[index - whole] >= windows[0].period_s - 1e-9


def test_a_team_without_a_limit_is_not_counted() -> None:
    assert TeamRates(StillClock(), Among()).take(team_of()) is None


def test_a_team_over_its_rate_is_told_when_to_come_back() -> None:
    clock = StillClock()
    rates, team = TeamRates(clock, Among()), team_of(requests_per_s=2)

    assert rates.take(team) == RateState(limit=2, period_s=1.0, remaining=1, reset_s=1.0)
    clock.move(0.25)
    assert rates.take(team) == RateState(limit=2, period_s=1.0, remaining=0, reset_s=1.0)
    with pytest.raises(RateExceeded) as refused:
        rates.take(team)
    assert refused.value.retry_after_s == pytest.approx(0.75)
    clock.move(0.75)
    assert rates.take(team) == RateState(limit=2, period_s=1.0, remaining=0, reset_s=1.0)


def test_a_changed_rate_counts_at_once() -> None:
    rates = TeamRates(StillClock(), Among())
    assert rates.take(team_of(requests_per_s=1)) is not None
    with pytest.raises(RateExceeded):
        rates.take(team_of(requests_per_s=1))

    assert rates.take(team_of(requests_per_s=5)) is not None


def _granted(rates: list[TeamRates], team: Team, number: int) -> list[int]:
    """How many of so many requests at once each of these replicas lets through."""
    granted = []
    for one in rates:
        granted.append(0)
        for _ in range(number):
            with contextlib.suppress(RateExceeded):
                one.take(team)
                granted[-1] += 1
    return granted


def _among(replicas: int, part: int) -> Among:
    among = Among()
    among.replicas, among.part = replicas, lambda _limit: part
    return among


def test_replicas_divide_the_rate_of_a_team_exactly() -> None:
    clock, team = StillClock(), team_of(requests_per_s=5)
    rates = [TeamRates(clock, _among(2, part)) for part in (3, 2)]

    assert _granted(rates, team, 9) == [3, 2]
    clock.move(0.999)
    assert _granted(rates, team, 9) == [0, 0]
    assert [(state.limit, state.remaining) for one in rates if (state := one.state(team))] == [(3, 0), (2, 0)]
    clock.move(0.001)
    assert _granted(rates, team, 9) == [3, 2]


def test_a_rate_too_low_for_all_replicas_is_kept_on_the_average_by_each() -> None:
    clock = StillClock()
    rates, team = TeamRates(clock, _among(4, 0)), team_of(requests_per_s=2)

    granted = 0
    for _ in range(100):
        granted += _granted([rates], team, 1)[0]
        clock.move(0.1)

    # Half a request per second, for ten seconds.
    assert granted == 5


def test_a_replica_without_a_share_yet_counts_itself_among_those_that_it_knows() -> None:
    assert _granted([TeamRates(StillClock(), _among(3, 0))], team_of(requests_per_s=9), 9) == [3]

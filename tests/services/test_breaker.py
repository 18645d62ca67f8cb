"""When a breaker opens, and how it closes again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.provider import (
    Balance,
    NotSent,
    SendOutcome,
)
from relay.services.breaker import FEWEST_FAILURES, LONGEST_S, REMEMBERED_S
from tests.services.breaking import ACCEPTED, FIRST_S, MONEY, NO_MONEY, NOT_SENT, TIMED_OUT, Account, refused


@pytest.mark.parametrize(
    "outcome",
    [
        refused("other", "account"),
        refused("auth", "task"),
        refused("balance", "task"),
        refused("ip", "task"),
        NotSent(why="code", code="01", reason="auth"),
        NotSent(why="code", code="03", reason="balance"),
        NotSent(why="code", code="05", reason="ip"),
        NotSent(why="code", code="08", reason="throttled", scope="account"),
        NotSent(why="code", code="08", reason="other", scope="account"),
    ],
    ids=lambda outcome: f"{type(outcome).__name__}-{outcome.reason}-{outcome.scope}",
)
def test_a_refusal_of_the_account_opens_at_once(outcome: SendOutcome) -> None:
    account = Account()

    account.hear(outcome)

    assert account.seen() == ("open", 0)
    assert (account.breaker.reason, account.breaker.openings) == (getattr(outcome, "reason", None), 1)


@pytest.mark.parametrize(
    "outcome",
    [ACCEPTED, refused("content", "task"), refused("other", "task"), TIMED_OUT, NotSent(why="lease")],
    ids=["accepted", "content", "other", "unconfirmed", "lease"],
)
def test_however_many_of_these_never_open(outcome: SendOutcome) -> None:
    account = Account()

    account.hear(*[outcome] * 50)

    assert account.seen() == ("closed", None)


def test_what_is_not_sent_opens_by_its_rate() -> None:
    account = Account()

    account.hear(*[NOT_SENT] * (FEWEST_FAILURES - 1))
    assert account.seen() == ("closed", None)
    account.hear(NOT_SENT)
    assert account.seen() == ("open", 0)
    assert account.breaker.reason == "not_sent"


def test_less_than_half_not_sent_opens_nothing() -> None:
    account = Account()

    for _ in range(20):
        account.hear(NOT_SENT, ACCEPTED, ACCEPTED)

    assert account.seen() == ("closed", None)


def test_old_failures_do_not_count() -> None:
    account = Account()
    account.hear(*[NOT_SENT] * (FEWEST_FAILURES - 1))

    account.clock.move(REMEMBERED_S + 1)
    account.hear(NOT_SENT)

    assert account.seen() == ("closed", None)


def test_it_stays_open_for_its_time_and_then_lets_one_probe_through() -> None:
    account = Account()
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)

    assert account.breaker.next_probe_ms() == account.clock.now_ms() + FIRST_S * 1000
    account.clock.move(FIRST_S - 0.01)
    assert account.seen() == ("open", 0)
    account.clock.move(0.01)
    assert account.seen() == ("half_open", 1)
    assert account.breaker.next_probe_ms() is None
    assert account.breaker.since_ms() == account.clock.now_ms()


def test_a_probe_that_works_starts_slowly_and_every_success_doubles() -> None:
    account = Account(full=8)
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    account.clock.move(FIRST_S)

    widths = []
    for _ in range(4):
        account.hear(ACCEPTED)
        widths.append(account.seen())

    assert widths == [("slow_start", 1), ("slow_start", 2), ("slow_start", 4), ("closed", None)]
    assert account.breaker.reason is None


def test_the_time_doubles_with_every_probe_that_fails_up_to_five_minutes_and_begins_anew_once_it_was_closed() -> None:
    account = Account(full=1)
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    waited = []
    for _ in range(9):
        probe_ms = account.breaker.next_probe_ms()
        assert probe_ms is not None
        waited.append((probe_ms - account.clock.now_ms()) / 1000)
        account.clock.move(waited[-1])
        account.hear(NOT_SENT)
    assert waited == [5.5, 11, 22, 44, 88, 176, LONGEST_S * 1.1, LONGEST_S * 1.1, LONGEST_S * 1.1]

    account.clock.move(LONGEST_S * 1.1)
    account.hear(ACCEPTED, ACCEPTED)
    assert account.seen() == ("closed", None)
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    account.clock.move(FIRST_S)
    assert account.seen() == ("half_open", 1)


@pytest.mark.parametrize("outcome", [NOT_SENT, refused("auth"), NO_MONEY], ids=["not sent", "auth", "balance"])
def test_a_failure_in_the_slow_start_opens_again(outcome: SendOutcome) -> None:
    account = Account()
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    account.clock.move(FIRST_S)
    account.hear(ACCEPTED, ACCEPTED)

    account.hear(outcome)

    assert (account.seen(), account.breaker.openings) == (("open", 0), 2)


def test_a_probe_without_an_answer_has_failed_and_in_the_slow_start_it_widens_nothing() -> None:
    account = Account()
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    account.clock.move(FIRST_S)
    account.hear(TIMED_OUT)
    assert account.seen() == ("open", 0)

    account.clock.move(FIRST_S * 2)
    account.hear(ACCEPTED, TIMED_OUT, TIMED_OUT)
    assert account.seen() == ("slow_start", 1)


def test_a_probe_whose_lease_was_lost_says_nothing() -> None:
    account = Account()
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    account.clock.move(FIRST_S)

    account.hear(NotSent(why="lease"))

    assert account.seen() == ("half_open", 1)


@pytest.mark.parametrize("late", [ACCEPTED, NOT_SENT, refused("auth")], ids=["accepted", "not sent", "auth"])
def test_news_of_what_began_before_it_opened_is_too_late(late: SendOutcome) -> None:
    account = Account()
    begun = account.breaker.begin()
    account.hear(*[NOT_SENT] * FEWEST_FAILURES)
    account.clock.move(FIRST_S)

    account.breaker.learn(begun, late)

    assert (account.seen(), account.breaker.openings) == (("half_open", 1), 1)


@given(
    steps=st.lists(
        st.sampled_from([ACCEPTED, NOT_SENT, TIMED_OUT, NO_MONEY, refused("content", "task"), MONEY, 1.0, 60.0]),
        max_size=60,
    )
)
def test_no_outcomes_make_it_wider_than_the_account_or_leave_it_open_for_ever(
    steps: list[object],
) -> None:
    account = Account()
    for step in steps:
        if isinstance(step, float):
            account.clock.move(step)
        elif isinstance(step, Balance):
            account.breaker.learn_balance(step)
        elif account.breaker.width() != 0:
            account.hear(step)  # type: ignore[arg-type] # an outcome: the others were taken out above
        state, width = account.seen()
        assert {"closed": width is None, "open": width == 0, "half_open": width in (0, 1)}.get(state, True)
        assert width is None or width < 8
    account.clock.move(LONGEST_S * 1.2)
    account.breaker.learn_balance(MONEY)
    account.hear(*[ACCEPTED] * 5)
    assert account.seen() == ("closed", None)

"""A breaker that was opened by a refusal: the balance is asked before a message is tried."""

import pytest

from relay.domain.provider import (
    Balance,
    BalanceUnknown,
    NotSent,
    SendOutcome,
)
from tests.services.breaking import FIRST_S, MONEY, NO_MONEY, Account, refused


@pytest.mark.parametrize("outcome", [refused("auth"), NO_MONEY, refused("ip"), refused("other")])
def test_after_a_refusal_no_message_is_burnt_as_a_probe_the_balance_is_asked(outcome: SendOutcome) -> None:
    account = Account()
    account.hear(outcome)
    assert not account.breaker.wants_balance()

    account.clock.move(FIRST_S)

    assert account.seen() == ("half_open", 0)
    assert account.breaker.wants_balance()
    account.breaker.learn_balance(MONEY)
    assert (account.seen(), account.breaker.wants_balance()) == (("slow_start", 1), False)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Balance(amount="0.5", prepaid=True), "slow_start"),
        (Balance(amount="0", prepaid=True), "open"),
        (Balance(amount="-3", prepaid=True), "open"),
        (Balance(amount="0", prepaid=False), "slow_start"),
        (BalanceUnknown(code="01", why="refused"), "open"),
        (BalanceUnknown(code=None, why="connect"), "open"),
        (BalanceUnknown(code=None, why="read_timeout"), "open"),
        (BalanceUnknown(code=None, why="http_502"), "open"),
    ],
    ids=str,
)
def test_the_account_works_when_it_has_something_to_spend(answer: Balance | BalanceUnknown, state: str) -> None:
    account = Account()
    account.hear(NO_MONEY)
    account.clock.move(FIRST_S)

    account.breaker.learn_balance(answer)

    assert account.breaker.state() == state
    if state == "open":
        account.clock.move(FIRST_S * 2 - 0.01)
        assert account.breaker.state() == "open"
        account.clock.move(0.01)
        assert account.breaker.wants_balance()


@pytest.mark.parametrize("why", ["unreadable", "http_404", "http_405"])
def test_a_provider_that_has_no_such_call_gets_one_message_as_a_probe(why: str) -> None:
    account = Account()
    account.hear(NO_MONEY)
    account.clock.move(FIRST_S)

    account.breaker.learn_balance(BalanceUnknown(code=None, why=why))
    assert (account.seen(), account.breaker.wants_balance()) == (("half_open", 1), False)
    account.hear(NO_MONEY)
    assert account.seen() == ("open", 0)
    account.clock.move(FIRST_S * 2)
    assert account.breaker.wants_balance()


def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    account = Account()
    account.breaker.learn_balance(MONEY)
    assert account.seen() == ("closed", None)
    account.hear(NO_MONEY)
    account.breaker.learn_balance(MONEY)
    assert account.seen() == ("open", 0)


def test_a_provider_that_is_only_busy_is_asked_again_soon_but_not_sooner_than_it_said() -> None:
    busy = Account()
    busy.hear(NotSent(why="code", code="08", reason="busy", scope="account"))
    busy.clock.move(1.1)
    assert busy.seen() == ("half_open", 1)

    told = Account()
    told.hear(NotSent(why="code", code="08", reason="throttled", scope="account", retry_after_s=20.0))
    told.clock.move(19.9)
    assert told.seen() == ("open", 0)


def test_a_change_of_the_account_makes_the_probe_due() -> None:
    account = Account()
    account.breaker.try_now()
    assert account.seen() == ("closed", None)
    account.hear(refused("auth"))

    account.breaker.try_now()

    assert account.breaker.wants_balance()

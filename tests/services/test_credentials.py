from typing import Any, cast

import msgspec
import pytest

from relay.domain.accounts import Account, CodeRule, Credentials
from relay.domain.errors import StoreUnavailable
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import (
    Accepted,
    Balance,
    BalanceUnknown,
    NotSent,
    Pulled,
    Reading,
    Refused,
    SendOutcome,
    Unconfirmed,
)
from relay.ports import Provider, Store, always
from relay.services.accounts import AccountBook
from relay.services.credentials import LiveCredentials
from relay.services.suspicion import GRACE_S
from tests.services.stillness import StillClock, account_of

OLD, NEW, OTHER = "0" * 32, "1" * 32, "2" * 32
ACCOUNT = account_of()
ROTATED = msgspec.structs.replace(
    ACCOUNT,
    password_md5=NEW,
    fallback=Credentials(account=ACCOUNT.account, password_md5=OLD),
    fallback_until_ms=StillClock().now_ms() + 60_000,
    version=2,
)
WORK = SubmissionWork(
    id=SubmissionId("sub_" + "1" * 32),
    message_id=MessageId("msg_" + "1" * 32),
    team_id=TeamId("team_" + "1" * 32),
    account_id=ACCOUNT.id,
    text="x",
    extension=None,
    mobiles=[13800130001],
    attempt=1,
    claim=b"",
    lease_until_ms=0,
    category="notice",
    on_unconfirmed="hold",
    accepted_ms=0,
)
ACCEPTED = Accepted(task_id=None, code="00", message=None)
NO = Refused(code="01", message="wrong", reason="other", scope="task")
HELD = NotSent(why="code", code="01", message="wrong", reason="auth", scope="account")


class Upstream:
    """A provider that takes these passwords; ``said`` are answers that come before that is looked at."""

    def __init__(self, *passwords: str) -> None:
        self.passwords = set(passwords)
        self.said: list[SendOutcome] = []
        self.asked: list[tuple[str, str]] = []

    async def send(self, account: Account, work: SubmissionWork, may_send: Any = always) -> SendOutcome:
        self.asked.append(("send", account.password_md5))
        if self.said:
            return self.said.pop(0)
        return ACCEPTED if account.password_md5 in self.passwords else NO

    async def balance(self, account: Account, may_send: Any = always) -> Balance | BalanceUnknown:
        self.asked.append(("balance", account.password_md5))
        if account.password_md5 in self.passwords:
            return Balance(amount="1", prepaid=True)
        return BalanceUnknown(code="01", why="refused")

    async def pull(self, account: Account, kind: str, may_send: Any = always) -> Pulled:
        self.asked.append(("pull", account.password_md5))
        body = b"rows" if account.password_md5 in self.passwords else b"no"
        return Pulled(body=body, content_type="", http_status=200)

    def read_reports(self, raw: Any) -> Reading[Any]:
        refused = raw.body == b"no"
        return Reading(rows=(), unreadable=0, ignored_fields=0, code="01" if refused else "00", refused=refused)

    read_inbound = read_reports


class Accounts:
    """A store of one account, which may be away."""

    def __init__(self, account: Account) -> None:
        self.row: Account | None = account
        self.away = False

    async def accounts(self) -> list[Account]:
        return [] if self.row is None else [self.row]

    async def callback_tokens(self) -> dict[bytes, Any]:
        return {}

    async def account(self, account_id: AccountId) -> Account | None:
        if self.away:
            raise StoreUnavailable("away")
        return self.row


class Calls:
    """What is called, over an upstream and a store."""

    def __init__(self, upstream: Upstream, account: Account = ACCOUNT) -> None:
        self.upstream, self.accounts, self.clock = upstream, Accounts(account), StillClock()
        self.book = AccountBook(cast(Store, self.accounts), self.clock, sandbox_for_live=False)
        self.told: list[str] = []
        self.live = LiveCredentials(
            cast(Provider, upstream), self.book, self.clock, lambda _account_id, use: self.told.append(use)
        )

    async def send(self, account: Account = ACCOUNT, may_send: Any = always) -> SendOutcome:
        return await self.live.send(account, WORK, may_send)


async def test_what_is_accepted_at_once_asks_for_nothing_else() -> None:
    calls = Calls(Upstream(OLD))
    calls.accounts.away = True

    assert await calls.send() == ACCEPTED
    assert (calls.upstream.asked, calls.told) == ([("send", OLD)], [])


async def test_a_call_that_began_with_the_old_password_ends_with_the_new_one() -> None:
    calls = Calls(Upstream(NEW), ROTATED)

    assert await calls.send(ACCOUNT) == ACCEPTED
    assert (calls.upstream.asked, calls.told) == ([("send", OLD), ("send", NEW)], ["newer"])


async def test_the_fall_back_is_used_while_its_time_lasts() -> None:
    calls = Calls(Upstream(OLD), ROTATED)

    assert await calls.send(ROTATED) == ACCEPTED
    assert calls.told == ["fallback"]
    calls.clock.move(60.0)
    assert await calls.send(ROTATED) == NO
    assert calls.upstream.asked[-1] == ("send", NEW)


async def test_while_the_store_is_away_what_is_in_memory_counts() -> None:
    calls = Calls(Upstream(OLD), ROTATED)
    await calls.book.refresh()
    calls.accounts.away = True

    assert await calls.send(ROTATED) == ACCEPTED


@pytest.mark.parametrize(
    "outcome",
    [
        Unconfirmed(why="read_timeout"),
        NotSent(why="connect"),
        NotSent(why="http_429", code="01"),
        Refused(code="05", message=None, reason="recipient", scope="task"),
    ],
)
async def test_what_is_no_refusal_of_credentials_is_not_sent_again(outcome: SendOutcome) -> None:
    account = msgspec.structs.replace(ROTATED, codes={"05": CodeRule(code_class="recipient")})
    calls = Calls(Upstream(OLD, NEW), account)
    calls.upstream.said = [outcome]

    assert await calls.send(account) == outcome
    assert len(calls.upstream.asked) == 1


async def test_an_unknown_end_of_the_second_try_is_the_end() -> None:
    calls = Calls(Upstream(), ROTATED)
    unknown = Unconfirmed(why="connection_lost")
    calls.upstream.said = [NO, unknown]

    assert await calls.send(ACCOUNT) == unknown
    assert len(calls.upstream.asked) == 2


async def test_without_the_right_to_send_there_is_no_second_try() -> None:
    calls = Calls(Upstream(NEW), ROTATED)

    assert await calls.send(ACCOUNT, may_send=lambda: False) == NO
    assert calls.upstream.asked == [("send", OLD)]


async def test_credentials_that_were_good_and_are_refused_make_messages_wait_for_a_time() -> None:
    calls = Calls(Upstream(OLD))
    await calls.send()
    calls.upstream.passwords = {OTHER}

    assert await calls.send() == HELD
    assert calls.told == ["refused"]
    calls.clock.move(GRACE_S - 1)
    assert await calls.send() == HELD
    calls.clock.move(1)
    assert await calls.send() == NO


async def test_one_question_is_enough_for_many_refusals_at_once() -> None:
    calls = Calls(Upstream(OLD))
    await calls.send()
    calls.upstream.passwords = set()

    assert [await calls.send() for _ in range(5)] == [HELD] * 5
    assert [call for call, _ in calls.upstream.asked].count("balance") == 1


async def test_a_refusal_while_the_balance_is_told_is_about_the_message_and_not_asked_about_again() -> None:
    calls = Calls(Upstream(OLD))
    await calls.send()
    calls.upstream.said = [NO, NO]

    assert [await calls.send(), await calls.send()] == [NO, NO]
    assert [call for call, _ in calls.upstream.asked].count("balance") == 1


async def test_a_password_that_was_never_good_is_refused_at_once() -> None:
    calls = Calls(Upstream(OTHER))

    assert await calls.send() == NO
    assert calls.upstream.asked == [("send", OLD)]


async def test_pulls_and_balances_take_the_other_credentials_as_well() -> None:
    calls = Calls(Upstream(NEW), ROTATED)

    pulled = await calls.live.pull(ACCOUNT, "report")
    balance = await calls.live.balance(ACCOUNT)

    assert isinstance(pulled, Pulled)
    assert pulled.body == b"rows"
    assert balance == Balance(amount="1", prepaid=True)
    assert calls.told == ["newer", "newer"]


async def test_a_pulled_body_that_breaks_our_reader_is_handed_over_all_the_same() -> None:
    calls = Calls(Upstream(OLD))

    def broken(raw: Any) -> Reading[Any]:
        raise ZeroDivisionError("our own mistake")

    calls.upstream.read_reports = broken  # type: ignore[method-assign]  # for this one

    pulled = await calls.live.pull(ACCOUNT, "report")

    assert isinstance(pulled, Pulled)
    assert pulled.body == b"rows"


async def test_a_disabled_or_deleted_account_is_not_tried_again() -> None:
    calls = Calls(Upstream(NEW), msgspec.structs.replace(ROTATED, disabled=True))

    assert await calls.send(ACCOUNT) == NO
    calls.accounts.row = None
    assert await calls.send(ACCOUNT) == NO
    assert calls.book.all() == []


async def test_an_older_answer_of_the_store_does_not_replace_a_newer_one() -> None:
    calls = Calls(Upstream(NEW), ROTATED)
    await calls.book.refresh()
    calls.accounts.row = ACCOUNT

    await calls.book.refresh()

    assert calls.book.all() == [ROTATED]

"""Routing over a few accounts, for tests of it."""

import asyncio
from collections import Counter
from typing import cast

import msgspec

from relay.domain.accounts import Account
from relay.domain.extensions import Lease
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import NotSent, Refused
from relay.domain.teams import AccountPolicy, Mode, Team
from relay.domain.times import LATEST_MS
from relay.ports import Store, Stranded
from relay.services.accounts import AccountBook
from relay.services.membership import Alone
from relay.services.routing import Onward, Routing
from relay.services.slots import Gates
from tests.services.stillness import FixedEntropy, StillClock, account_of, principal_of, team_of

FIRST, SECOND, THIRD, OFF = account_of(1), account_of(2), account_of(3), account_of(4, disabled=True)
SANDBOX = account_of(9, sandbox=True)
MESSAGE = MessageId("msg_" + "1" * 32)
NO_MONEY = Refused(code="03", message=None, reason="balance", scope="account")


class Kept:
    """The part of a store that routing reads."""

    def __init__(self, *accounts: Account) -> None:
        self.rows = list(accounts)
        self.asked = 0
        self.teams: dict[str, Team] = {}
        self.leases: list[Lease] = []
        self.asked_teams = 0

    async def accounts(self) -> list[Account]:
        self.asked += 1
        await asyncio.sleep(0)
        return self.rows

    async def callback_tokens(self) -> dict[bytes, AccountId]:
        return {}

    async def team(self, team_id: str) -> Team | None:
        self.asked_teams += 1
        return self.teams.get(team_id)

    async def leases_of(self, extension: str) -> list[Lease]:
        return [lease for lease in self.leases if extension.endswith(lease.extension)]

    async def waiting_on(self, account_id: AccountId, now_ms: int) -> int:
        return 7


class Routed:
    """Routing over these accounts, and a team that uses them."""

    def __init__(self, *accounts: Account, development: bool = False) -> None:
        self.store = Kept(*accounts)
        self.clock = StillClock()
        store = cast(Store, self.store)
        self.book = AccountBook(store, self.clock, sandbox_for_live=development)
        self.gates = Gates(self.clock, Alone(FixedEntropy()), FixedEntropy())
        self.routing = Routing(store, self.book, self.gates, self.clock)
        self.team = team_of()
        self.extension: str | None = None

    def use(self, policy: AccountPolicy, *accounts: Account) -> None:
        """The team uses these, in this order."""
        ids = tuple(account.id for account in accounts)
        self.team = msgspec.structs.replace(team_of(accounts=ids), account_policy=policy)
        self.store.teams[self.team.id] = self.team

    async def choose(self, message_id: MessageId = MESSAGE, mode: Mode = "live") -> Account:
        return await self.routing.choose(principal_of(self.team, mode), message_id, self.extension)

    async def onward(self, account: Account, attempt: int, numbers: int = 1) -> Onward:
        return await self.routing.onward(self.work(account, attempt, numbers))

    def work(self, account: Account, attempt: int = 1, numbers: int = 1) -> SubmissionWork:
        return msgspec.structs.replace(work_of(account, attempt, numbers), extension=self.extension)

    async def instead(self, account: Account, numbers: int = 1, planned: int = 0) -> AccountId | None:
        waiting = Stranded(
            id=SubmissionId("sub_" + "1" * 32),
            message_id=MESSAGE,
            team_id=self.team.id,
            numbers=numbers,
            extension=self.extension,
        )
        return await self.routing.instead(waiting, account.id, Counter({one.id: planned for one in self.store.rows}))

    def break_(self, *accounts: Account) -> None:
        """They are out of money."""
        for account in accounts:
            breaker = self.gates.of(account).breaker
            breaker.learn(breaker.begin(), NO_MONEY)

    def half_open(self, account: Account) -> None:
        """It may be probed by a message."""
        breaker = self.gates.of(account).breaker
        for _ in range(5):
            breaker.learn(breaker.begin(), NotSent(why="connect"))
        self.clock.move(5.5)


async def routed(*accounts: Account, development: bool = False) -> Routed:
    made = Routed(*accounts, development=development)
    await made.book.refresh()
    made.use("order", *[account for account in accounts if not account.sandbox])
    return made


def work_of(account: Account, attempt: int, numbers: int) -> SubmissionWork:
    return SubmissionWork(
        id=SubmissionId("sub_" + "1" * 32),
        message_id=MESSAGE,
        team_id=TeamId("team_" + "1" * 32),
        account_id=account.id,
        text="hello",
        extension=None,
        mobiles=[13800130000 + number for number in range(numbers)],
        attempt=attempt,
        claim=b"claim",
        lease_until_ms=LATEST_MS,
        category="notice",
        on_unconfirmed="hold",
        accepted_ms=0,
    )

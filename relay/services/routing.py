"""Which account takes a submission: at first, after one that did not, and while one cannot.

A team's accounts have an order for each message: the team's own (policy ``order``), or one drawn by chance in
proportion to the accounts' weights (``weight``). A new message goes to the first that can take it; when none can it
waits at the first that is enabled, and moves as soon as another one can. Nothing moves between the sandbox and the
rest, and nothing goes out over an account on which its extension is another team's: that team would get the answers.

Decision: chance is a hash of message and account (weighted rendezvous hashing), not a die: every replica, and every
attempt, sees the same order for a message, so that "the next account" means something, and nothing has to be stored.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from math import inf, log
from typing import Final

import msgspec

from relay.domain.accounts import Account
from relay.domain.breakers import AccountHealth
from relay.domain.errors import NoAccount
from relay.domain.extensions import Lease, leads_away
from relay.domain.ids import AccountId, MessageId, TeamId
from relay.domain.messages import MessageView, SubmissionView, SubmissionWork
from relay.domain.states import WAITING
from relay.domain.teams import Mode, Principal, Team
from relay.domain.times import instant, instant_or_none
from relay.ports import Clock, Store, Stranded
from relay.services.accounts import AccountBook
from relay.services.slots import Gates

KEPT_S: Final = 5.0
"""How long a team's accounts are remembered for what waits, and who has an extension."""
_MOST_EXTENSIONS: Final = 10_000


class Onward(msgspec.Struct, frozen=True, kw_only=True):
    """Where a submission goes that was not sent. ``account_id`` None: it stays. ``rounds``: how often each account has
    had its turn; ``at_once``: this round has not come to its end, the next one need not wait. ``later``: it stays,
    because the others cannot take it now, and may soon."""

    account_id: AccountId | None
    rounds: int
    at_once: bool
    later: bool = False


class Routing:
    """Orders of accounts, and who of them can take something now."""

    def __init__(self, store: Store, accounts: AccountBook, gates: Gates, clock: Clock) -> None:
        self._store = store
        self._accounts = accounts
        self._gates = gates
        self._clock = clock
        self._allowed: dict[tuple[Mode, tuple[AccountId, ...]], list[Account]] = {}
        self._teams: dict[TeamId, tuple[float, Team | None]] = {}
        self._extensions: dict[str, tuple[float, list[Lease]]] = {}
        accounts.on_change(self._allowed.clear)

    # -- a new message -----------------------------------------------------------------------------------------------

    def usable_by(self, principal: Principal) -> list[Account]:
        """The enabled accounts that this key may use, in order of preference: a test key only the sandbox; a live key
        the team's own, or all when the team names none."""
        return [account for account in self._allowed_to(principal.team, principal.mode) if not account.disabled]

    async def choose(self, principal: Principal, message_id: MessageId, extension: str | None = None) -> Account:
        """The account for a new message; one that another replica has just made is found, too. Where the extension is
        another team's on every account the store refuses it. Raises NoAccount when there is none that it could even
        wait for."""
        chosen = await self._choose(principal, message_id, extension)
        if chosen is None or chosen.disabled:
            await self._accounts.look_again()
            chosen = await self._choose(principal, message_id, extension)
        if chosen is None:
            raise NoAccount(
                "The sandbox is off, and a test key reaches nothing else."
                if principal.mode == "test"
                else "There is no provider account for this team; the platform team adds one (/v1/admin/accounts)."
            )
        return chosen

    async def _choose(self, principal: Principal, message_id: MessageId, extension: str | None) -> Account | None:
        order = self._order(principal.team, principal.mode, message_id)
        if principal.team is not None:
            order = await self._with_own_answers(order, principal.team.id, extension) or order
        for account in order:
            if self._gates.room(account) != 0:
                return account
        # None can take it now. It waits where it will go first: not where nothing may go at all.
        return min(order, key=self._hopelessness, default=None)

    def _hopelessness(self, account: Account) -> int:
        return 2 if account.disabled else 0 if self.lets_through(account) else 1

    # -- what was not sent, or cannot be -----------------------------------------------------------------------------

    async def onward(self, work: SubmissionWork) -> Onward:
        """Where a submission goes that an attempt has just shown not to be sent: to the next account that can take it.

        Decision: once as many attempts were made as there are accounts that can take it, each has had its turn, and the
        next round waits like the next try of a single account. That needs no memory of who was tried, and holds over
        restarts. Raises StoreUnavailable.
        """
        order = await self._order_of_waiting(work.team_id, work.message_id, work.account_id, work.extension)
        at = next((place for place, account in enumerate(order) if account.id == work.account_id), -1)
        others = self._with_room([*order[at + 1 :], *order[: at + 1]], work.account_id, len(work.mobiles), Counter())
        rounds, left = divmod(work.attempt, 1 + len(others))
        return Onward(
            account_id=others[0].id if others else None,
            rounds=max(1, rounds),
            at_once=left != 0,
            later=not others and any(self._fits(account, work.account_id, len(work.mobiles)) for account in order),
        )

    async def instead(self, waiting: Stranded, account_id: AccountId, planned: Counter[AccountId]) -> AccountId | None:
        """Where a submission goes that waits at an account which takes nothing; None: nowhere now. ``planned``: what is
        on its way to each account already. Raises StoreUnavailable."""
        order = await self._order_of_waiting(waiting.team_id, waiting.message_id, account_id, waiting.extension)
        others = self._with_room(order, account_id, waiting.numbers, planned)
        return others[0].id if others else None

    async def answers_stay(self, work: SubmissionWork) -> bool:
        """Whether answers to it, sent over its account, come to nobody but its team: the extension may have become
        another's while it waited. Raises StoreUnavailable."""
        return work.extension is None or not leads_away(
            await self._leases(work.extension), work.account_id, work.team_id
        )

    def _with_room(
        self, order: Sequence[Account], but: AccountId, numbers: int, planned: Counter[AccountId]
    ) -> list[Account]:
        def has_room(account: Account) -> bool:
            room = self._gates.room(account)
            return room is None or room > planned[account.id]

        return [account for account in order if self._fits(account, but, numbers) and has_room(account)]

    @staticmethod
    def _fits(account: Account, but: AccountId, numbers: int) -> bool:
        return account.id != but and not account.disabled and account.max_mobiles >= numbers

    async def _order_of_waiting(
        self, team_id: TeamId, message_id: MessageId, account_id: AccountId, extension: str | None
    ) -> Sequence[Account]:
        here = self._accounts.get(account_id)
        team = await self._team(team_id)
        if here is None or team is None:
            return []
        # Decision: the sandbox is a world of its own, whatever key the message came by. So a message for it never
        # reaches a real number, and the key's mode needs to be known to nobody here.
        order = [one for one in self._order(team, "live", message_id) if one.sandbox == here.sandbox]
        return await self._with_own_answers(order, team_id, extension)

    async def _with_own_answers(
        self, order: Sequence[Account], team_id: TeamId, extension: str | None
    ) -> Sequence[Account]:
        """Those on which the extension is the team's, or nobody's."""
        if extension is None:
            return order
        leases = await self._leases(extension)
        return [account for account in order if not leads_away(leases, account.id, team_id)]

    async def _leases(self, extension: str) -> list[Lease]:
        now_s = self._clock.monotonic_s()
        known = self._extensions.get(extension)
        if known is None or now_s - known[0] >= KEPT_S:
            if len(self._extensions) >= _MOST_EXTENSIONS:
                self._extensions.clear()
            known = self._extensions[extension] = now_s, await self._store.leases_of(extension)
        return known[1]

    async def _team(self, team_id: TeamId) -> Team | None:
        now_s = self._clock.monotonic_s()
        known = self._teams.get(team_id)
        if known is None or now_s - known[0] >= KEPT_S:
            known = self._teams[team_id] = now_s, await self._store.team(team_id)
        return known[1]

    # -- orders ------------------------------------------------------------------------------------------------------

    def _order(self, team: Team | None, mode: Mode, message_id: MessageId) -> Sequence[Account]:
        allowed = self._allowed_to(team, mode)
        if team is None or team.account_policy == "order" or len(allowed) < 2:
            return allowed
        key = message_id.encode()
        return sorted(allowed, key=lambda account: draw(key, account))

    def _allowed_to(self, team: Team | None, mode: Mode) -> list[Account]:
        wanted = () if team is None else team.accounts
        allowed = self._allowed.get((mode, wanted))
        if allowed is None:
            allowed = self._allowed[mode, wanted] = self._allow(wanted, mode)
        return allowed

    def _allow(self, wanted: tuple[AccountId, ...], mode: Mode) -> list[Account]:
        """Also those that are disabled: a message may wait for them."""
        every, sandbox_for_live = self._accounts.all(), self._accounts.sandbox_for_live
        sandbox = [account for account in every if account.sandbox]
        real = [account for account in every if not account.sandbox]
        if mode == "test":
            return sandbox
        if wanted:
            by_id = {account.id: account for account in (every if sandbox_for_live else real)}
            return [by_id[account_id] for account_id in wanted if account_id in by_id]
        if sandbox_for_live and all(account.disabled for account in real):
            return sandbox + real
        return real

    # -- telling -----------------------------------------------------------------------------------------------------

    def lets_through(self, account: Account) -> bool:
        """Whether anything can be sent over it now."""
        return not account.disabled and self._gates.of(account).breaker.width() != 0

    def explain(self, view: MessageView) -> MessageView:
        """The message, with what each of its due submissions waits for: an account, also when its own takes nothing
        now. One that others could take is on its way to them within seconds."""
        if not any(submission.status in WAITING for submission in view.submissions):
            return view
        if view.send_at is not None and view.send_at > instant(self._clock.now_ms()):
            return view
        return msgspec.structs.replace(view, submissions=[self._explain(one) for one in view.submissions])

    def _explain(self, submission: SubmissionView) -> SubmissionView:
        if submission.status not in WAITING:
            return submission
        account = self._accounts.get(submission.account_id)
        if account is not None and self.lets_through(account):
            return submission
        return msgspec.structs.replace(submission, waiting_for="account")

    async def health(self, account_id: str) -> AccountHealth | None:
        """How an account is, as far as this process knows; None when there is none. Raises StoreUnavailable."""
        account = self._accounts.get(AccountId(account_id))
        if account is None:
            return None
        breaker = self._gates.of(account).breaker
        return AccountHealth(
            account_id=account.id,
            disabled=account.disabled,
            state=breaker.state(),
            reason=breaker.reason,
            since=instant(breaker.since_ms()),
            next_probe_at=instant_or_none(breaker.next_probe_ms()),
            waiting=await self._store.waiting_on(account.id, self._clock.now_ms()),
        )


def draw(key: bytes, account: Account) -> float:
    """The account's place for what ``key`` names: the smallest goes first. The chance to be first is the account's
    weight in that of all; 0: behind all others.

    -ln(u) / weight, u in (0, 1]: of exponential variables the smallest is the one of rate w with chance w / sum.
    """
    if account.weight <= 0:
        return inf
    number = int.from_bytes(blake2b(key + account.id.encode(), digest_size=8).digest())
    return -log((number + 1) / 2**64) / account.weight

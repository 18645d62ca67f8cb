"""What waits at an account that takes nothing is brought to others."""

from collections import Counter
from typing import Final

import msgspec

from relay.domain.accounts import Account
from relay.domain.ids import AccountId, SubmissionId
from relay.domain.states import PRIORITY, Category
from relay.ports import Clock, Store
from relay.services.routing import Routing

BATCH: Final = 200


class Rerouted(msgspec.Struct, frozen=True, kw_only=True):
    """``moved``: each submission, and the account that it waits at now. ``more``: look again at once."""

    moved: list[tuple[SubmissionId, AccountId]]
    more: bool


class Reroute:
    """The use case of the submit worker for an account that is disabled, or whose breaker is open.

    Several replicas do the same at the same time: each submission is moved by the first, and by nobody while it is
    being claimed. What may have reached a provider stays where it is, and so does what no other account can take.
    """

    def __init__(self, store: Store, routing: Routing, clock: Clock) -> None:
        self._store = store
        self._routing = routing
        self._clock = clock
        self._passed: dict[tuple[AccountId, Category], int] = {}

    async def leave(self, account: Account) -> Rerouted:
        """Move the next batch of what is due at ``account``, of each category."""
        planned: Counter[AccountId] = Counter()
        moved: list[tuple[SubmissionId, AccountId]] = []
        more = False
        for category in sorted(PRIORITY, key=PRIORITY.__getitem__):
            # What stayed the last time lies ahead of what was not looked at yet.
            passed = self._passed.get((account.id, category), 0)
            waiting = await self._store.stranded(account.id, category, self._clock.now_ms(), skip=passed, limit=BATCH)
            moves: list[tuple[SubmissionId, AccountId]] = []
            for one in waiting:
                to = await self._routing.instead(one, account.id, planned)
                if to is not None:
                    planned[to] += 1
                    moves.append((one.id, to))
            if moves:
                moved += await self._store.move_submissions(account.id, moves)
            full = len(waiting) == BATCH
            more |= full and bool(moves)
            self._passed[account.id, category] = passed + len(waiting) - len(moves) if full else 0
        return Rerouted(moved=moved, more=more)

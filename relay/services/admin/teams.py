"""Teams and their extensions."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.audit import Actor
from relay.domain.errors import BodyInvalid, FieldError
from relay.domain.ids import TeamId
from relay.domain.teams import Team, TeamView, view_of
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.accounts import AccountBook
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse
from relay.services.requests import TeamRequest

_CREATED_STATUS: Final = 201


class TeamsAdmin:
    """Administers teams. Every method raises BodyInvalid, AlreadyExists, IdempotencyKeyReused."""

    def __init__(self, store: Store, accounts: AccountBook, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._accounts = accounts
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy

    async def create_team(
        self, request: TeamRequest, actor: Actor, use: KeyUse | None, render: Callable[[TeamView], bytes]
    ) -> bytes | Replay:
        """A team, its extensions leased."""
        if any(self._accounts.get(account_id) is None for account_id in request.accounts):
            # Another replica may have made it just now.
            await self._accounts.refresh()
        unknown = [
            FieldError(pointer=f"/accounts/{index}", detail="there is no such account")
            for index, account_id in enumerate(request.accounts)
            if self._accounts.get(account_id) is None
        ]
        if unknown:
            raise BodyInvalid("The team names an account that does not exist.", errors=tuple(unknown))
        now_ms = self._clock.now_ms()
        team = Team(
            id=TeamId(self._entropy.new_id("team_")),
            name=request.name,
            signature=request.signature,
            accounts=tuple(request.accounts),
            extensions=tuple(request.extensions),
            quota_units_per_day=request.quota_units_per_day,
            requests_per_s=request.requests_per_s,
            recipient_limits=request.recipient_limits,
            account_policy=request.account_policy,
            dedupe_window_s=request.dedupe_window_s,
            created_ms=now_ms,
        )
        view = view_of(team)
        answer = render(view)
        stored = await self._store.create_team(
            team,
            entry=self._auditor.entry(actor, "team.created", team.id, {"after": msgspec.to_builtins(view)}),
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        return stored if isinstance(stored, Replay) else answer

"""Extensions: which may be leased, leasing the next free one, giving one back."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from relay.domain.audit import Actor
from relay.domain.errors import AlreadyExists, BodyInvalid, FieldError, InUse, NotFound
from relay.domain.extensions import USUAL_DIGITS, ExtensionView, accounts_of, lowest_free
from relay.domain.ids import AccountId, TeamId
from relay.domain.teams import Team
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.accounts import AccountBook
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse
from relay.services.requests import LeaseRequest

_CREATED_STATUS: Final = 201
_TRIES: Final = 100
"""How often the next free extension may be taken by somebody else in the same moment."""


class Widths:
    """How many digits the extensions of each account have. ``refresh`` first: another replica may have changed that."""

    def __init__(self, accounts: AccountBook) -> None:
        self._accounts = accounts
        self.refresh = accounts.refresh

    def unknown(self, pointer: str, account_ids: Iterable[AccountId]) -> list[FieldError]:
        """An error for each account that does not exist."""
        return [
            FieldError(pointer=f"{pointer}/{index}", detail="there is no such account")
            for index, account_id in enumerate(account_ids)
            if self._accounts.get(account_id) is None
        ]

    def of(self, account_ids: Iterable[AccountId]) -> set[int]:
        """What these accounts say, or all of them when none is named; an account that says nothing takes any."""
        named = [self._accounts.get(account_id) for account_id in account_ids] or self._accounts.all()
        return {account.extension_digits for account in named if account is not None and account.extension_digits}

    def wrong(self, pointer: str, extension: str, account_ids: Iterable[AccountId]) -> list[FieldError]:
        """An error, if the extension has not the digits that each of the accounts asks for."""
        other = sorted(digits for digits in self.of(account_ids) if digits != len(extension))
        words = " and ".join(map(str, other))
        return [FieldError(pointer=pointer, detail=f"must have {words} digits on its accounts")] if other else []


class ExtensionsAdmin:
    """Administers extensions."""

    def __init__(self, store: Store, accounts: AccountBook, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._widths = Widths(accounts)
        self._auditor = Auditor(clock, entropy)
        self._clock = clock

    async def lease(
        self, request: LeaseRequest, actor: Actor, use: KeyUse | None, render: Callable[[ExtensionView], bytes]
    ) -> bytes | Replay:
        """Lease the extension that is asked for, or the lowest free one. Raises BodyInvalid, AlreadyExists, InUse when
        none is free, IdempotencyKeyReused."""
        if use is not None:
            # What was the next free one then is not now.
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        team = await self._store.team(request.team_id)
        if team is None:
            raise _invalid("/team_id", "there is no such team")
        account_ids = await self._accounts_for(team, request)
        if request.extension is not None:
            errors = self._widths.wrong("/extension", request.extension, account_ids)
            if errors:
                raise BodyInvalid("The extension cannot be leased.", errors=tuple(errors))
            return await self._take(request, account_ids, request.extension, actor, use, render)
        for _ in range(_TRIES):
            extension = await self._next(account_ids)
            try:
                return await self._take(request, account_ids, extension, actor, use, render)
            except AlreadyExists:
                continue
        raise InUse("Others take every extension that is free; try again.")

    async def _accounts_for(self, team: Team, request: LeaseRequest) -> list[AccountId]:
        await self._widths.refresh()
        if request.account_id is None:
            return list(team.accounts)
        if self._widths.unknown("", [request.account_id]):
            raise _invalid("/account_id", "there is no such account")
        if team.accounts and request.account_id not in team.accounts:
            raise _invalid("/account_id", "the team does not use this account")
        return [request.account_id]

    async def _next(self, account_ids: list[AccountId]) -> str:
        widths = self._widths.of(account_ids) or {USUAL_DIGITS}
        if len(widths) > 1:
            raise _invalid("/account_id", "is needed: the accounts' extensions have not the same number of digits")
        digits = widths.pop()
        found = lowest_free(digits, await self._store.taken_extensions(digits, accounts_of(account_ids)))
        if found is None:
            raise InUse(f"All extensions of {digits} digits are leased.")
        return found

    async def _take(
        self,
        request: LeaseRequest,
        account_ids: list[AccountId],
        extension: str,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[ExtensionView], bytes],
    ) -> bytes | Replay:
        view = ExtensionView(extension=extension, team_id=request.team_id, account_ids=sorted(account_ids))
        answer = render(view)
        stored = await self._store.lease_extension(
            view,
            entry=self._auditor.entry(actor, "extension.leased", view.team_id, {"after": msgspec.to_builtins(view)}),
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, self._clock.now_ms()),
        )
        return stored if isinstance(stored, Replay) else answer

    async def release(self, team_id: str, extension: str, account_id: AccountId | None, actor: Actor) -> None:
        """On one account, or wherever the team has it: others may lease it from now on. Raises NotFound."""
        detail = {"extension": extension, "account_id": account_id}
        entry = self._auditor.entry(actor, "extension.released", team_id, {"before": detail})
        if not await self._store.release_extension(TeamId(team_id), extension, account_id, entry=entry):
            raise NotFound("The team has not leased this extension there.")


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The extension cannot be leased.", errors=(FieldError(pointer=pointer, detail=detail),))

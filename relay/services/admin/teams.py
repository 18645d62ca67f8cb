"""Teams: creating, changing and deleting them, and what they used of their quota."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, Final

import msgspec
from msgspec import UNSET

from relay.domain.audit import Actor
from relay.domain.errors import BodyInvalid, NotFound, PreconditionFailed
from relay.domain.ids import EndpointId, TeamId
from relay.domain.quotas import QuotaDay, TeamUsage, quota_day, usage_of
from relay.domain.states import Category
from relay.domain.teams import RecipientLimit, Team, TeamView, view_of
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.accounts import AccountBook
from relay.services.admin.auditing import Auditor, changes
from relay.services.admin.extensions import Widths
from relay.services.idempotency import KeyUse
from relay.services.requests import LimitPatch, TeamPatch, TeamRequest

_CREATED_STATUS: Final = 201


class TeamsAdmin:
    """Administers teams. A change counts on every replica once what is known of a key has grown old there, see
    ``services.authenticate``."""

    def __init__(
        self,
        store: Store,
        accounts: AccountBook,
        clock: Clock,
        entropy: Entropy,
        *,
        quota_zone: tzinfo,
        gone: Callable[[EndpointId], None],
    ) -> None:
        """``gone`` is told of every endpoint that was deleted with its team."""
        self._store = store
        self._widths = Widths(accounts)
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy
        self._quota_zone = quota_zone
        self._gone = gone

    async def create_team(
        self, request: TeamRequest, actor: Actor, use: KeyUse | None, render: Callable[[TeamView], bytes]
    ) -> bytes | Replay:
        """A team, its extensions leased. Raises BodyInvalid, AlreadyExists, IdempotencyKeyReused."""
        now_ms = self._clock.now_ms()
        team = Team(
            id=TeamId(self._entropy.new_id("team_")),
            name=request.name,
            signature=request.signature,
            accounts=tuple(request.accounts),
            extensions=tuple(sorted(request.extensions)),
            quota_units_per_day=request.quota_units_per_day,
            requests_per_s=request.requests_per_s,
            recipient_limits=request.recipient_limits,
            account_policy=request.account_policy,
            dedupe_window_s=request.dedupe_window_s,
            created_ms=now_ms,
        )
        await self._check(None, team, request.extensions)
        view = view_of(team)
        answer = render(view)
        stored = await self._store.create_team(
            team,
            entry=self._auditor.entry(actor, "team.created", team.id, {"after": msgspec.to_builtins(view)}),
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        return stored if isinstance(stored, Replay) else answer

    async def update_team(
        self, team_id: str, patch: TeamPatch, version: int | None, actor: Actor
    ) -> tuple[TeamView, int]:
        """The team as it is now, and its version. ``version``: only if it still has this one. Raises NotFound,
        PreconditionFailed, BodyInvalid, AlreadyExists."""
        while True:
            before = await self._found(team_id, version)
            after = _patched(before, patch)
            if after == before:
                return view_of(before), before.version
            listed = before.extensions if patch.extensions is UNSET else patch.extensions
            await self._check(before, after, listed)
            view = view_of(after)
            entry = self._auditor.entry(actor, "team.updated", before.id, changes(view_of(before), view))
            # Who changes it meanwhile is not undone: then it is read again.
            if await self._store.update_team(before, after, day=self._today(), entry=entry):
                return view, before.version + 1

    async def delete_team(self, team_id: str, version: int | None, actor: Actor) -> None:
        """The team is gone, with its keys, leases and endpoints. Who was let in a moment ago may still send, for as
        long as a revoked key is believed elsewhere. Raises NotFound, PreconditionFailed, InUse."""
        while True:
            team = await self._found(team_id, version)
            entry = self._auditor.entry(actor, "team.deleted", team.id, {"before": msgspec.to_builtins(view_of(team))})
            endpoints = await self._store.delete_team(team, now_ms=self._clock.now_ms(), entry=entry)
            if endpoints is not None:
                for endpoint_id in endpoints:
                    self._gone(endpoint_id)
                return

    async def usage(self, team_id: str) -> TeamUsage:
        """What the team used today. Raises NotFound."""
        team, day = await self._found(team_id, None), self._today()
        quota = team.quota_units_per_day
        used = await self._store.units_used(team.id, day, counted=quota is not None)
        return usage_of(team.id, day, used, quota)

    async def _found(self, team_id: str, version: int | None) -> Team:
        team = await self._store.team(team_id)
        if team is None:
            raise NotFound("There is no such team.")
        if version is not None and version != team.version:
            raise PreconditionFailed("The team was changed since it was read: read it again.")
        return team

    async def _check(self, before: Team | None, after: Team, listed: list[str] | tuple[str, ...]) -> None:
        """``listed``: the extensions in the order in which they were asked for. Raises BodyInvalid."""
        moved = before is None or before.accounts != after.accounts
        had = () if before is None else before.extensions
        if not moved and set(after.extensions) <= set(had):
            return
        await self._widths.refresh()
        errors = self._widths.unknown("/accounts", after.accounts) if moved else []
        for index, extension in enumerate(listed):
            if extension not in had:
                errors += self._widths.wrong(f"/extensions/{index}", extension, after.accounts)
            elif moved:
                errors += self._widths.wrong("/accounts", extension, after.accounts)
        if errors:
            raise BodyInvalid("The team cannot be like this.", errors=tuple(errors))

    def _today(self) -> QuotaDay:
        return quota_day(self._clock.now_ms(), self._quota_zone)


def _patched(team: Team, patch: TeamPatch) -> Team:
    given: dict[str, Any] = {
        name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not UNSET
    }
    if patch.accounts is not UNSET:
        given["accounts"] = tuple(patch.accounts)
    if patch.extensions is not UNSET:
        given["extensions"] = tuple(sorted(patch.extensions))
    if patch.recipient_limits is not UNSET:
        given["recipient_limits"] = _merged(team, patch.recipient_limits)
    return msgspec.structs.replace(team, **given)


def _merged(team: Team, patch: dict[Category, LimitPatch | None]) -> dict[Category, RecipientLimit]:
    """What is left out of a limit stays as the team's view shows it, which may be by default."""
    own = dict(team.recipient_limits)
    for category, change in patch.items():
        if change is None:
            own.pop(category, None)
            continue
        shown = team.limits.get(category, RecipientLimit())
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
        own[category] = msgspec.structs.replace(shown, **given)
    return own

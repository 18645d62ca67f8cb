"""Opt-outs, as the platform team and the teams themselves add and remove them."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from relay.domain.audit import Actor
from relay.domain.errors import AlreadyExists, BodyInvalid, FieldError, NotFound
from relay.domain.ids import SuppressionId, TeamId
from relay.domain.messages import RefusedNumber
from relay.domain.numbers import last_two, read_mobile
from relay.domain.suppressions import ImportedSuppressions, Suppression, SuppressionSource, SuppressionView, view_of
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse

_CREATED_STATUS: Final = 201
_IMPORTED_STATUS: Final = 200
MOST_AT_ONCE: Final = 10_000
"""Numbers of one import, which is one transaction."""


class AddedSuppression(msgspec.Struct, frozen=True, kw_only=True):
    """``answer`` shows the opt-out; not ``is_new``: it was there already, and is as it was."""

    answer: bytes
    is_new: bool


class SuppressionsAdmin:
    """Adds and removes opt-outs. The audit shows the last two digits of a number, of an import its counts."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy

    async def add(
        self,
        team_id: TeamId,
        number: str,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[SuppressionView], bytes],
        *,
        source: SuppressionSource = "api",
    ) -> AddedSuppression | Replay:
        """From when it returns the number gets no marketing of the team. Raises BodyInvalid, IdempotencyKeyReused."""
        mobile = read_mobile(number)
        if mobile is None:
            raise _invalid("/number", "is no mobile number")
        await self._check_team(team_id)
        suppression = self._new(team_id, mobile, source)
        answer = render(view_of(suppression))
        entry = self._auditor.entry(actor, "suppression.added", suppression.id, _detail(suppression))
        idempotency = None if use is None else use.answered(_CREATED_STATUS, answer, suppression.created_ms)
        try:
            stored = await self._store.add_suppression(suppression, entry=entry, idempotency=idempotency)
        except AlreadyExists:
            # Decision: no error, because what was asked for is so. The first one stands.
            first = await self._store.suppression_of(team_id, mobile)
            if first is None:
                raise
            return AddedSuppression(answer=render(view_of(first)), is_new=False)
        return stored if isinstance(stored, Replay) else AddedSuppression(answer=answer, is_new=True)

    async def add_all(
        self,
        team_id: TeamId,
        numbers: list[str],
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[ImportedSuppressions], bytes],
    ) -> bytes | Replay:
        """The same for up to ``MOST_AT_ONCE`` numbers, all of them or none. Raises BodyInvalid for an unknown team,
        IdempotencyKeyReused."""
        await self._check_team(team_id)
        mobiles: dict[int, None] = {}
        refused: list[RefusedNumber] = []
        for written in numbers:
            mobile = read_mobile(written)
            if mobile is None:
                refused.append(RefusedNumber(to=written, reason="malformed"))
            else:
                mobiles[mobile] = None

        def answer(added: int) -> bytes:
            already = len(numbers) - len(refused) - added
            return render(ImportedSuppressions(added=added, already=already, refused=refused))

        suppressions = [self._new(team_id, mobile, "import") for mobile in mobiles]
        added = await self._store.add_suppressions(
            suppressions,
            entry=self._auditor.entry(
                actor, "suppression.imported", team_id, {"numbers": len(numbers), "refused": len(refused)}
            ),
            idempotency=None if use is None else use.answered(_IMPORTED_STATUS, b"", self._clock.now_ms()),
            render=answer,
        )
        return added if isinstance(added, Replay) else answer(added)

    async def remove(self, suppression_id: str, actor: Actor, *, team_id: TeamId | None = None) -> None:
        """The number may get marketing again. Raises NotFound, also when it is not of the team ``team_id``."""
        suppression = await self._store.suppression(suppression_id)
        if suppression is not None and team_id in (None, suppression.team_id):
            entry = self._auditor.entry(actor, "suppression.removed", suppression.id, _detail(suppression))
            if await self._store.remove_suppression(suppression_id, entry=entry):
                return
        raise NotFound("There is no such suppression.")

    async def _check_team(self, team_id: TeamId) -> None:
        if await self._store.team(team_id) is None:
            raise _invalid("/team_id", "there is no such team")

    def _new(self, team_id: TeamId, mobile: int, source: SuppressionSource) -> Suppression:
        return Suppression(
            id=SuppressionId(self._entropy.new_id("sup_")),
            team_id=team_id,
            mobile=mobile,
            source=source,
            keyword=None,
            created_ms=self._clock.now_ms(),
        )


def _detail(suppression: Suppression) -> dict[str, Any]:
    return {
        "team_id": suppression.team_id,
        "number_ends_in": last_two(suppression.mobile),
        "source": suppression.source,
    }


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The number cannot be suppressed.", errors=(FieldError(pointer=pointer, detail=detail),))

"""API keys."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.audit import Actor
from relay.domain.errors import BodyInvalid, FieldError
from relay.domain.ids import KeyId
from relay.domain.teams import KeyKind, KeyView, hash_secret, write_key
from relay.domain.times import instant, instant_or_none
from relay.ports import Clock, Entropy, NewKey, Replay, Store
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse
from relay.services.requests import KeyRequest

_CREATED_STATUS: Final = 201
_KEY_BYTES: Final = 32
_HINT_DIGITS: Final = 4


class KeysAdmin:
    """Administers keys. Every method raises BodyInvalid, IdempotencyKeyReused."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy

    async def create_key(
        self, request: KeyRequest, actor: Actor, use: KeyUse | None, render: Callable[[KeyView, str], bytes]
    ) -> bytes | Replay:
        """``render`` gets the view and the secret, which is shown this once."""
        await self._check_key(request)
        now_ms = self._clock.now_ms()
        kind: KeyKind = "admin" if "admin" in request.scopes else request.mode
        secret = write_key(kind, self._entropy.token(_KEY_BYTES))
        view = KeyView(
            id=KeyId(self._entropy.new_id("key_")),
            team_id=request.team_id,
            name=request.name,
            hint=secret[: len(f"rk_{kind}_") + _HINT_DIGITS],
            scopes=list(dict.fromkeys(request.scopes)),
            mode=request.mode,
            created_at=instant(now_ms),
            expires_at=instant_or_none(request.expires_ms),
        )
        answer = render(view, secret)
        stored = await self._store.create_key(
            NewKey(view=view, hash=hash_secret(secret)),
            entry=self._auditor.entry(actor, "key.created", view.id, {"after": msgspec.to_builtins(view)}),
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        return stored if isinstance(stored, Replay) else answer

    async def _check_key(self, request: KeyRequest) -> None:
        if "admin" in request.scopes:
            if request.team_id is not None or len(set(request.scopes)) > 1:
                raise _invalid("/scopes", "admin stands alone, and belongs to no team")
            return
        if request.team_id is None:
            raise _invalid("/team_id", "is required, but for the scope admin")
        if await self._store.team(request.team_id) is None:
            raise _invalid("/team_id", "there is no such team")


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The key cannot be made.", errors=(FieldError(pointer=pointer, detail=detail),))

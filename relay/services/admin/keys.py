"""API keys.

Decision: scopes, team and mode are fixed when a key is made: what its holder may do never grows behind the back of
whoever gave it to them. Decision: the last platform key can be revoked like every other, because a leaked key must
always be; `relay keys create --scope admin` on the machine makes a new one.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import UnsetType, structs

from relay.domain.audit import Actor, AuditAction, AuditEntry
from relay.domain.errors import AlreadySettled, BodyInvalid, FieldError, NotFound
from relay.domain.ids import KeyId
from relay.domain.keys import FoundKey, KeyKind, KeyView, hint_of, write_key
from relay.domain.teams import hash_secret
from relay.domain.times import LATEST_MS, SECOND_MS, instant, instant_or_none, ms_or_none, to_ms
from relay.ports import Clock, Entropy, NewKey, Replay, Store
from relay.services.admin.auditing import Auditor, changes
from relay.services.idempotency import KeyUse
from relay.services.requests import KeyChange, KeyRequest, KeyRotation

_CREATED_STATUS: Final = 201
_DONE_STATUS: Final = 200
_KEY_BYTES: Final = 32


class KeysAdmin:
    """Administers keys. Every method raises BodyInvalid, IdempotencyKeyReused; those that take an id NotFound, too."""

    def __init__(
        self, store: Store, clock: Clock, entropy: Entropy, *, changed: Callable[[], None] = lambda: None
    ) -> None:
        """``changed`` is called after each change, so that this process at least lets nobody in by an old one."""
        self._store = store
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy
        self._changed = changed

    async def create_key(
        self, request: KeyRequest, actor: Actor, use: KeyUse | None, render: Callable[[KeyView, str], bytes]
    ) -> bytes | Replay:
        """``render`` gets the view and the secret, which is shown this once."""
        await self._check_key(request)
        now_ms = self._clock.now_ms()
        new, secret = self._new(request, now_ms)
        answer = render(new.view, secret)
        stored = await self._store.create_key(
            new,
            entry=self._auditor.entry(actor, "key.created", new.view.id, {"after": msgspec.to_builtins(new.view)}),
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        return stored if isinstance(stored, Replay) else answer

    async def change_key(self, key_id: str, change: KeyChange, actor: Actor) -> KeyView:
        """Name and expiry. Raises AlreadySettled for a key that works no more: it stays so."""

        def after(view: KeyView, now_ms: int) -> KeyView:
            return structs.replace(
                view,
                name=view.name if isinstance(change.name, UnsetType) else change.name,
                expires_at=view.expires_at
                if isinstance(change.expires_ms, UnsetType)
                else instant_or_none(change.expires_ms),
            )

        changed = await self._change(key_id, after, actor, "key.updated", None, lambda view: b"")
        assert not isinstance(changed, Replay)  # noqa: S101 - there is no Idempotency-Key
        return changed[0]

    async def revoke_key(
        self, key_id: str, actor: Actor, use: KeyUse | None, render: Callable[[KeyView], bytes]
    ) -> bytes | Replay:
        """It works no more: here at once, in other replicas within ``authenticate.FRESH_S``. Once more changes
        nothing."""

        def after(view: KeyView, now_ms: int) -> KeyView:
            return structs.replace(view, revoked_at=view.revoked_at or instant(now_ms))

        revoked = await self._change(key_id, after, actor, "key.revoked", use, render, also_expired=True)
        return revoked if isinstance(revoked, Replay) else revoked[1]

    async def rotate_key(
        self,
        key_id: str,
        rotation: KeyRotation,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[KeyView, str, KeyView], bytes],
    ) -> bytes | Replay:
        """A new key that may do the same, while the old one goes on for the overlap, and never longer than it would
        have. ``render`` gets the new view, the secret, which is shown this once, and the old view as it is now.

        Decision: unless the rotation says when, the new key expires as long after now as the old one was given when it
        was made, or last changed. Raises AlreadySettled for a key that works no more.
        """
        while True:
            replay = await self._replay(use)
            if replay is not None:
                return replay
            now_ms = self._clock.now_ms()
            old = self._alive(await self._find(key_id), now_ms)
            new, secret = self._new(_same_again(old, rotation, now_ms), now_ms)
            ends_ms = now_ms + rotation.overlap_s * SECOND_MS
            after = structs.replace(old, expires_at=instant(min(ends_ms, ms_or_none(old.expires_at) or ends_ms)))
            answer = render(new.view, secret, after)
            detail = changes(old, after) | {"successor": msgspec.to_builtins(new.view)}
            stored = await self._store.change_key(
                old,
                after,
                successor=new,
                entry=self._auditor.entry(actor, "key.rotated", old.id, detail),
                idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
            )
            if stored is not None:
                self._changed()
                return stored if isinstance(stored, Replay) else answer

    async def look_up(self, secrets: Iterable[str]) -> list[FoundKey]:
        """Which keys these are."""
        now = instant(self._clock.now_ms())
        found: list[FoundKey] = []
        for secret in secrets:
            view = await self._store.find_key(hash_secret(secret))
            if view is None:
                found.append(FoundKey(hint=hint_of(secret), state="unknown"))
            else:
                state = view.state(now)
                known = {name: getattr(view, name) for name in ("hint", "id", "team_id", "name", "last_used_at")}
                found.append(FoundKey(state=state, **known))
        return found

    # -- how ---------------------------------------------------------------------------------------------------------

    async def _change(
        self,
        key_id: str,
        change: Callable[[KeyView, int], KeyView],
        actor: Actor,
        action: AuditAction,
        use: KeyUse | None,
        render: Callable[[KeyView], bytes],
        *,
        also_expired: bool = False,
    ) -> tuple[KeyView, bytes] | Replay:
        """Until nobody has changed it between the look and the change."""
        while True:
            replay = await self._replay(use)
            if replay is not None:
                return replay
            now_ms = self._clock.now_ms()
            before = await self._find(key_id)
            if not also_expired:
                self._alive(before, now_ms)
            after = change(before, now_ms)
            answer = render(after)
            if after == before:
                return after, answer
            stored = await self._store.change_key(
                before,
                after,
                entry=self._entry(actor, action, before, after),
                idempotency=None if use is None else use.answered(_DONE_STATUS, answer, now_ms),
            )
            if stored is not None:
                self._changed()
                return stored if isinstance(stored, Replay) else (after, answer)

    def _entry(self, actor: Actor, action: AuditAction, before: KeyView, after: KeyView) -> AuditEntry:
        return self._auditor.entry(actor, action, before.id, changes(before, after))

    async def _replay(self, use: KeyUse | None) -> Replay | None:
        return None if use is None else await self._store.find_replay(use.scope, use.key, use.fingerprint)

    async def _find(self, key_id: str) -> KeyView:
        view = await self._store.key(key_id)
        if view is None:
            raise NotFound("There is no such key.")
        return view

    def _alive(self, view: KeyView, now_ms: int) -> KeyView:
        state = view.state(instant(now_ms))
        if state != "active":
            raise AlreadySettled(f"The key is {state}, and stays so: make a new one.")
        return view

    def _new(self, request: KeyRequest, now_ms: int) -> tuple[NewKey, str]:
        kind: KeyKind = "admin" if "admin" in request.scopes else request.mode
        secret = write_key(kind, self._entropy.token(_KEY_BYTES))
        view = KeyView(
            id=KeyId(self._entropy.new_id("key_")),
            team_id=request.team_id,
            name=request.name,
            hint=hint_of(secret),
            scopes=list(dict.fromkeys(request.scopes)),
            mode=request.mode,
            created_at=instant(now_ms),
            expires_at=instant_or_none(request.expires_ms),
            last_used_at=None,
            revoked_at=None,
        )
        return NewKey(view=view, hash=hash_secret(secret)), secret

    async def _check_key(self, request: KeyRequest) -> None:
        if request.expires_ms is not None and request.expires_ms <= self._clock.now_ms():
            raise _invalid("/expires_at", "must be later than now")
        if "admin" in request.scopes:
            if request.team_id is not None or len(set(request.scopes)) > 1:
                raise _invalid("/scopes", "admin stands alone, and belongs to no team")
            if request.mode != "live":
                raise _invalid("/mode", "a platform key is no test key: the sandbox is all that one may reach")
            return
        if request.team_id is None:
            raise _invalid("/team_id", "is required, but for the scope admin")
        if await self._store.team(request.team_id) is None:
            raise _invalid("/team_id", "there is no such team")


def _same_again(old: KeyView, rotation: KeyRotation, now_ms: int) -> KeyRequest:
    if not isinstance(rotation.expires_ms, UnsetType):
        expires_ms = rotation.expires_ms
    else:
        lifetime_ms = None if old.expires_at is None else to_ms(old.expires_at) - to_ms(old.created_at)
        expires_ms = None if lifetime_ms is None else min(now_ms + lifetime_ms, LATEST_MS)
    return KeyRequest(team_id=old.team_id, scopes=old.scopes, mode=old.mode, expires_ms=expires_ms, name=old.name)


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The key cannot be made.", errors=(FieldError(pointer=pointer, detail=detail),))

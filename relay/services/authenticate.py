"""Who calls."""

from collections import OrderedDict
from typing import Final

from msgspec import structs

from relay.domain.errors import StoreError, Unauthenticated
from relay.domain.ids import KeyId
from relay.domain.keys import KeyView, is_key
from relay.domain.teams import Principal, hash_secret
from relay.domain.times import SECOND_MS, instant
from relay.ports import Clock, Store

FRESH_S: Final = 3.0
"""How long a key is believed without asking the store. What is promised is that a revoked key works for 5 s at most,
on every replica: the rest is for a slow answer of the store."""
MOST_CACHED: Final = 10_000

_DETAIL: Final = "Send a key that is known and not expired: Authorization: Bearer rk_live_…"


class Authenticate:
    """Finds the principal of a key, and remembers when each key was used."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._used_s: dict[KeyId, float] = {}
        self._forgotten = 0

    async def principal(self, secret: str) -> Principal:
        """Raises Unauthenticated for a key that is malformed, unknown, revoked or expired."""
        key_hash = hash_secret(secret)
        now_s = self._clock.monotonic_s()
        known = self._known.get(key_hash)
        if known is None or known[0] < now_s:
            principal = await self._load(secret, key_hash, now_s)
        else:
            principal = known[1]
        if principal.expires_ms is not None and principal.expires_ms <= self._clock.now_ms():
            raise Unauthenticated(_DETAIL)
        self._used_s[principal.key_id] = now_s
        return principal

    async def _load(self, secret: str, key_hash: bytes, now_s: float) -> Principal:
        self._known.pop(key_hash, None)
        forgotten = self._forgotten
        # The checksum turns away typing errors and guesses without a query.
        principal = await self._store.find_principal(key_hash) if is_key(secret) else None
        if principal is None:
            raise Unauthenticated(_DETAIL)
        if forgotten == self._forgotten:
            # Otherwise something was revoked meanwhile, and this may be what it was before.
            self._known[key_hash] = (now_s + FRESH_S, principal)
            if len(self._known) > MOST_CACHED:
                self._known.popitem(last=False)
        return principal

    def forget(self) -> None:
        """Some key was changed: from now on the store is asked about each of them again."""
        self._forgotten += 1
        self._known.clear()

    # -- last use ----------------------------------------------------------------------------------------------------

    def with_last_use(self, view: KeyView) -> KeyView:
        """The key as this process knows it, which may have seen it after the store was told."""
        used_s = self._used_s.get(view.id)
        if used_s is None:
            return view
        used_at = instant(self._ms_of(used_s))
        if view.last_used_at is not None and view.last_used_at >= used_at:
            return view
        return structs.replace(view, last_used_at=used_at)

    async def note_uses(self) -> None:
        """Tell the store when keys were used last. Raises StoreError; then it is told at the next time."""
        used_s, self._used_s = self._used_s, {}
        if not used_s:
            return
        try:
            await self._store.note_key_uses({key_id: self._ms_of(at_s) for key_id, at_s in used_s.items()})
        except StoreError:
            self._used_s = used_s | self._used_s
            raise

    def _ms_of(self, at_s: float) -> int:
        return self._clock.now_ms() - round((self._clock.monotonic_s() - at_s) * SECOND_MS)

"""Who calls."""

from collections import OrderedDict
from typing import Final

from relay.domain.errors import Unauthenticated
from relay.domain.teams import Principal, hash_secret, is_key
from relay.ports import Clock, Store

FRESH_S: Final = 5.0
"""How long a key is believed without asking the store: a revoked key works no longer than this."""
MOST_CACHED: Final = 10_000

_DETAIL: Final = "Send a key that is known and not expired: Authorization: Bearer rk_live_…"


class Authenticate:
    """Finds the principal of a key."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

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
        return principal

    async def _load(self, secret: str, key_hash: bytes, now_s: float) -> Principal:
        self._known.pop(key_hash, None)
        # The checksum turns away typing errors and guesses without a query.
        principal = await self._store.find_principal(key_hash) if is_key(secret) else None
        if principal is None:
            raise Unauthenticated(_DETAIL)
        self._known[key_hash] = (now_s + FRESH_S, principal)
        if len(self._known) > MOST_CACHED:
            self._known.popitem(last=False)
        return principal

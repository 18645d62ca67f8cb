"""Pulling reports and inbound messages: what is pulled exists nowhere else, so it is stored before it is read."""

from typing import Final, Literal

import msgspec

from relay.domain.accounts import Account
from relay.domain.errors import StoreError, StoreUnavailable
from relay.domain.ids import RawId
from relay.domain.provider import BodyKind, PullFailed, RawBody
from relay.ports import Clock, Entropy, PendingRaw, Provider, Spool, Store
from relay.services.apply import Apply
from relay.services.membership import Members

PullOutcome = Literal["rows", "empty", "refused", "unreadable", "failed", "spooled"]
_OK: Final = range(200, 300)
_AGAIN_S: Final = 1.0


class PullResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one pull brought. ``rows`` by what they did. Pull again at once only after ``rows``. ``quarantined``: parts
    of the body could not be read."""

    outcome: PullOutcome
    rows: dict[str, int]
    detail: str | None
    seconds: float
    quarantined: bool = False


class Pull:
    """The use case of the pull worker; the caller sees to it that one runs per account and kind. A process that stopped
    leading on the way to the provider does not ask."""

    def __init__(
        self,
        store: Store,
        provider: Provider,
        apply: Apply,
        spool: Spool,
        members: Members,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._provider = provider
        self._members = members
        self._apply = apply
        self._spool = spool
        self._clock = clock
        self._entropy = entropy

    async def once(self, account: Account, kind: BodyKind) -> PullResult:
        """Ask once. While what came can be kept neither in the store nor in the spool it stays in memory, and this goes
        on. Raises StoreError when it was stored and could not be applied: it is then among what is left to apply."""
        started_s = self._clock.monotonic_s()
        pulled = await self._provider.pull(account, kind, self._members.leads)
        seconds = self._clock.monotonic_s() - started_s
        if isinstance(pulled, PullFailed):
            return PullResult(outcome="failed", rows={}, detail=pulled.why, seconds=seconds)
        raw = RawBody(
            kind=kind,
            source="pull",
            content_type=pulled.content_type,
            query=b"",
            body=pulled.body,
            received_ms=self._clock.now_ms(),
        )
        item = PendingRaw(id=RawId(self._entropy.new_id("raw_")), account_id=account.id, raw=raw)
        if not await self._stored(item):
            return PullResult(outcome="spooled", rows={}, detail=None, seconds=seconds)
        result = await self._apply.apply(item)
        outcome: PullOutcome = "empty"
        if result.rows:
            outcome = "rows"
        elif result.result == "quarantined":
            outcome = "unreadable"
        elif pulled.http_status not in _OK:
            outcome = "refused"
        return PullResult(
            outcome=outcome,
            rows=result.rows,
            detail=str(pulled.http_status),
            seconds=seconds,
            quarantined=result.result == "quarantined",
        )

    async def _stored(self, item: PendingRaw) -> bool:
        """True once it is in the store, False once it is in the spool: behind what waits there, see receive.py."""
        while True:
            # Out of order is better than lost.
            ways = (self._spooled, self._in_store) if self._spool.waiting else (self._in_store, self._spooled)
            for way in ways:
                if await way(item):
                    return way == self._in_store
            # Both are away, and the provider has forgotten it. As long as this lasts nothing more is pulled here.
            await self._clock.sleep(_AGAIN_S)

    async def _in_store(self, item: PendingRaw) -> bool:
        try:
            await self._store.store_raw(item.account_id, item.raw, item.id)
        except StoreError:
            # One that refuses it for good too: the replay sets the body aside for a person.
            return False
        return True

    async def _spooled(self, item: PendingRaw) -> bool:
        try:
            await self._spool.append(item)
        except StoreUnavailable:
            return False
        return True

"""Callbacks: durable first, then understood; answered 200 whatever they hold."""

from collections.abc import Callable
from typing import Literal

import msgspec

from relay.domain.errors import AddressNotAllowed, NotFound, StoreUnavailable
from relay.domain.ids import RawId
from relay.domain.peers import client_address, is_allowed
from relay.domain.provider import RawBody
from relay.ports import (
    Entropy,
    PendingRaw,
    Provider,
    ReceivedBody,
    Spool,
    Store,
    StoredEffects,
)
from relay.services.accounts import AccountBook

CallbackOutcome = Literal["stored", "quarantined", "spooled"]


class CallbackResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body. ``rows`` counts its rows by what they did; see ``relay.ports.ReceivedBody``."""

    result: CallbackOutcome
    rows: dict[str, int]
    ignored_fields: int = 0


class Apply:
    """A raw body becomes state and events, by whichever way it came."""

    def __init__(self, store: Store, provider: Provider, set_going: Callable[[StoredEffects], None]) -> None:
        """``set_going`` is called with what each commit set going."""
        self._store = store
        self._provider = provider
        self._set_going = set_going

    async def apply(self, item: PendingRaw) -> CallbackResult:
        """Store and apply. A body that breaks our code is kept in quarantine. Raises StoreUnavailable."""
        try:
            received, ignored = await self._understand(item)
        except StoreUnavailable:
            raise
        except Exception as error:
            # Decision: the one place beside the supervisor that catches everything, because this body comes once:
            # a mistake of ours must cost a look into the quarantine, never the body.
            await self._store.quarantine(
                item.account_id, item.id, item.raw, f"it broke our code: {type(error).__name__}"
            )
            return CallbackResult(result="quarantined", rows={})
        self._set_going(received.effects)
        return CallbackResult(
            result="quarantined" if received.quarantined else "stored", rows=received.results, ignored_fields=ignored
        )

    async def _understand(self, item: PendingRaw) -> tuple[ReceivedBody, int]:
        if item.raw.kind == "report":
            reports = self._provider.read_reports(item.raw)
            received = await self._store.receive_reports(item.account_id, item.id, item.raw, reports)
            return received, reports.ignored_fields
        inbound = self._provider.read_inbound(item.raw)
        received = await self._store.receive_inbound(item.account_id, item.id, item.raw, inbound)
        return received, inbound.ignored_fields


class Receive:
    """The use case behind the callback routes."""

    def __init__(self, apply: Apply, accounts: AccountBook, spool: Spool, entropy: Entropy) -> None:
        self._apply = apply
        self._accounts = accounts
        self._spool = spool
        self._entropy = entropy

    async def callback(self, token: str, raw: RawBody, *, peer: str, forwarded_for: str | None) -> CallbackResult:
        """Durable when it returns. Raises NotFound (unknown token), AddressNotAllowed, and StoreUnavailable when
        neither the store nor the spool can be written."""
        account = await self._accounts.by_token(token)
        if account is None:
            raise NotFound("There is nothing here.")
        if account.callback_allow and not is_allowed(
            client_address(peer, forwarded_for, account.callback_proxies), account.callback_allow
        ):
            raise AddressNotAllowed("Callbacks of this account are not taken from this address.")
        item = PendingRaw(id=RawId(self._entropy.new_id("raw_")), account_id=account.id, raw=raw)
        try:
            return await self._apply.apply(item)
        except StoreUnavailable:
            await self._spool.append(item)
            return CallbackResult(result="spooled", rows={})

"""Callbacks: durable when they are answered, whatever they hold, and applied in the order in which they came.

Order matters because among reports that contradict each other the first one stands. What is promised: a callback that
comes after another one was answered is applied after it, by this replica. So while bodies wait in the spool, new ones
go behind them; and once a body is no longer waited for in the store, all that are under way go into the spool in the
order in which they came. Several replicas have no order among each other.
"""

import asyncio
from typing import Any, Final

from relay.domain.accounts import Account
from relay.domain.errors import AddressNotAllowed, NotFound, StoreError, StoreUnavailable
from relay.domain.ids import RawId
from relay.domain.peers import client_address, is_allowed
from relay.domain.provider import RawBody
from relay.ports import Entropy, PendingRaw, Spool
from relay.services.accounts import AccountBook
from relay.services.apply import AppliedBody, Apply

_SPOOLED: Final = AppliedBody(result="spooled", rows={})


class _UnderWay:
    """A body that the store has not answered for yet. ``turned`` is done when it is no longer waited for: then
    ``spooled`` is its way into the spool."""

    __slots__ = ("item", "spooled", "turned")

    def __init__(self, item: PendingRaw) -> None:
        self.item = item
        self.turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.spooled: asyncio.Future[None] | None = None


class Receive:
    """The use case behind the callback routes."""

    def __init__(
        self, apply: Apply, accounts: AccountBook, spool: Spool, entropy: Entropy, *, store_timeout_s: float
    ) -> None:
        """``store_timeout_s``: how long the store is waited for."""
        self._apply = apply
        self._accounts = accounts
        self._spool = spool
        self._entropy = entropy
        self._store_timeout_s = store_timeout_s
        self._under_way: dict[RawId, _UnderWay] = {}
        self._applying: set[asyncio.Task[AppliedBody]] = set()

    async def callback(self, token: str, raw: RawBody, *, peer: str, forwarded_for: str | None) -> AppliedBody:
        """Durable when it returns. Raises NotFound (unknown token), AddressNotAllowed, SpoolUnavailable when neither
        the store nor the spool can be written, and StoreUnavailable when nobody can tell whose token it is."""
        account = await self._account_of(token)
        if account is None:
            raise NotFound("There is nothing here.")
        if account.callback_allow and not is_allowed(
            client_address(peer, forwarded_for, account.callback_proxies), account.callback_allow
        ):
            raise AddressNotAllowed("Callbacks of this account are not taken from this address.")
        item = PendingRaw(id=RawId(self._entropy.new_id("raw_")), account_id=account.id, raw=raw)
        ends_s = self._ends_s()
        if self._spool.waiting and not await self._spool.turn(self._store_timeout_s):
            try:
                await self._spool.append(item)
            except StoreUnavailable:
                # Decision: the store is tried out of turn, because out of order is better than lost; with all its
                # time, because nothing else is left.
                return await self._store_or_spool(item, self._ends_s())
            return _SPOOLED
        return await self._store_or_spool(item, ends_s)

    def _ends_s(self) -> float:
        return asyncio.get_running_loop().time() + self._store_timeout_s

    async def _account_of(self, token: str) -> Account | None:
        try:
            async with asyncio.timeout(self._store_timeout_s):
                return await self._accounts.by_token(token)
        except TimeoutError as error:
            raise StoreUnavailable("the store does not answer") from error

    async def _store_or_spool(self, item: PendingRaw, ends_s: float) -> AppliedBody:
        way = self._under_way[item.id] = _UnderWay(item)
        # A task of its own, which goes on when it is not waited for any longer: a write must not be cancelled half way.
        # It may still succeed beside the spool; the replay of the same id then changes nothing.
        applying = asyncio.create_task(self._apply.apply(item))
        self._applying.add(applying)
        applying.add_done_callback(self._forget)
        try:
            await _first_of({applying, way.turned}, ends_s)
            if way.spooled is None:
                try:
                    if applying.done():
                        return applying.result()
                except StoreError:
                    pass  # it goes into the spool
                self._turn_to_spool()
        finally:
            self._under_way.pop(item.id, None)
        assert way.spooled is not None  # noqa: S101 - this body was under way, and all of those have turned
        return await self._spooled(way.spooled, applying, ends_s)

    async def _spooled(
        self, spooled: asyncio.Future[None], applying: asyncio.Task[AppliedBody], ends_s: float
    ) -> AppliedBody:
        try:
            await spooled
        except StoreUnavailable:
            # The spool is full: whoever came late still has some time in which the store may answer.
            await _first_of({applying}, ends_s)
            if applying.done() and applying.exception() is None:
                return applying.result()
            raise
        return _SPOOLED

    def _turn_to_spool(self) -> None:
        """All bodies that are under way take their places in the spool, in the order in which they came."""
        turned, self._under_way = self._under_way, {}
        for way in turned.values():
            way.spooled = asyncio.ensure_future(self._spool.append(way.item))
            way.turned.set_result(None)

    def _forget(self, applying: asyncio.Task[AppliedBody]) -> None:
        self._applying.discard(applying)
        if not applying.cancelled():
            applying.exception()  # is seen: whoever waited has seen it too, or has the body in the spool


async def _first_of(waits: set[asyncio.Future[Any]], ends_s: float) -> None:
    """Until one of them is done, or the loop's time is ``ends_s``. None of them is cancelled."""
    left_s = ends_s - asyncio.get_running_loop().time()
    await asyncio.wait(waits, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)

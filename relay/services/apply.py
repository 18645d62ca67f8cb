"""A raw body becomes state and events, by whichever way it came: callback, pull, or replay of the spool."""

from collections.abc import Callable
from typing import Final, Literal, assert_never

import msgspec

from relay.domain.errors import SchemaMissing, StoreError, StoreUnavailable
from relay.domain.provider import InboundRow
from relay.domain.suppressions import NO_WORDS, OptOutWords
from relay.ports import PendingRaw, Provider, ReadBody, ReadInbound, ReadReports, ReceivedBody, Store, StoredEffects

AWAY: Final = (StoreUnavailable, SchemaMissing)
"""What says nothing about a body: it can be applied later."""

BodyOutcome = Literal["stored", "quarantined", "spooled", "set_aside"]


class AppliedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body. ``rows`` counts its rows by what they did; see ``relay.ports.ReceivedBody``.
    ``set_aside``: the store takes it neither as what it says nor as bytes."""

    result: BodyOutcome
    rows: dict[str, int]
    ignored_fields: int = 0


class Apply:
    """Stores bodies with what they say, each once."""

    def __init__(
        self,
        store: Store,
        provider: Provider,
        set_going: Callable[[StoredEffects], None],
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> None:
        """``set_going`` is called with what each commit set going."""
        self._opt_out_words = opt_out_words
        self._store = store
        self._provider = provider
        self._set_going = set_going

    async def apply(self, item: PendingRaw) -> AppliedBody:
        """Store and apply. A body that breaks our code is kept in quarantine. Raises StoreUnavailable, SchemaMissing,
        and StoreError when the store takes not even its bytes."""
        try:
            body = self._read(item)
            received = await self._receive(body)
        except AWAY:
            raise
        except Exception as error:
            # Decision: the one place beside the supervisor that catches everything, because this body comes once:
            # a mistake of ours must cost a look into the quarantine, never the body.
            await self._store.quarantine(
                item.account_id, item.id, item.raw, f"it broke our code: {type(error).__name__}"
            )
            return AppliedBody(result="quarantined", rows={})
        return self._applied(body, received)

    async def apply_in_turn(self, items: list[PendingRaw]) -> list[AppliedBody]:
        """The same for several, in this order, with one commit. Raises StoreUnavailable, SchemaMissing; then some of
        the first ones may be applied, and will not be again."""
        try:
            bodies = [self._read(item) for item in items]
            received = await self._store.receive_in_turn(bodies)
        except AWAY:
            raise
        except Exception:
            # One of them breaks something. One by one, each has its own end; nothing of the attempt was stored.
            return [await self._apply_or_refuse(item) for item in items]
        return [self._applied(*pair) for pair in zip(bodies, received, strict=True)]

    async def _apply_or_refuse(self, item: PendingRaw) -> AppliedBody:
        try:
            return await self.apply(item)
        except AWAY:
            raise
        except StoreError:
            return AppliedBody(result="set_aside", rows={})

    def _read(self, item: PendingRaw) -> ReadBody:
        return read_body(self._provider, item, self._opt_out_words)

    async def _receive(self, body: ReadBody) -> ReceivedBody:
        item = body.item
        match body:
            case ReadReports():
                return await self._store.receive_reports(item.account_id, item.id, item.raw, body.reading)
            case ReadInbound():
                return await self._store.receive_inbound(item.account_id, item.id, item.raw, body.reading)
            case _:
                assert_never(body)

    def _applied(self, body: ReadBody, received: ReceivedBody) -> AppliedBody:
        self._set_going(received.effects)
        return AppliedBody(
            result="quarantined" if received.quarantined else "stored",
            rows=received.results,
            ignored_fields=body.reading.ignored_fields,
        )


def read_body(provider: Provider, item: PendingRaw, words: OptOutWords) -> ReadBody:
    """What a body says, and which of its inbound messages are an opt-out word."""
    match item.raw.kind:
        case "report":
            return ReadReports(item=item, reading=provider.read_reports(item.raw))
        case "mo":
            reading = provider.read_inbound(item.raw)
            rows = tuple(_with_opt_out(row, words) for row in reading.rows)
            return ReadInbound(item=item, reading=msgspec.structs.replace(reading, rows=rows))
        case _:
            assert_never(item.raw.kind)


def _with_opt_out(row: InboundRow, words: OptOutWords) -> InboundRow:
    """The row, and the opt-out word that its text consists of."""
    word = words.find(row.text)
    return row if word is None else msgspec.structs.replace(row, opt_out=word)

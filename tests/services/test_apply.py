"""Bodies that are applied together: one that breaks something takes no neighbour down."""

from typing import Any, cast

import pytest

from relay.domain.errors import SchemaMissing, StoreError, StoreUnavailable
from relay.domain.ids import RawId
from relay.domain.provider import RawBody, Reading
from relay.ports import PendingRaw, Provider, ReadBody, ReceivedBody, Store, StoredEffects
from relay.services.apply import AppliedBody, Apply
from tests.services.stillness import account_of

EFFECTS = StoredEffects(deliveries=(), recipients_by_status={}, segments_by_status={}, events_by_type={})
STORED = AppliedBody(result="stored", rows={"applied": 1})


def items_of(*bodies: bytes) -> list[PendingRaw]:
    """Reports, and inbound messages where a body begins with ``mo``."""
    return [
        PendingRaw(
            id=RawId(f"raw_{number:032x}"),
            account_id=account_of().id,
            raw=RawBody(
                kind="mo" if body.startswith(b"mo") else "report",
                source="push",
                content_type="",
                query=b"",
                body=body,
                received_ms=1,
            ),
        )
        for number, body in enumerate(bodies)
    ]


class Reader:
    """A provider that cannot read ``unreadable``."""

    def read_reports(self, raw: RawBody) -> Reading[Any]:
        if raw.body == b"unreadable":
            raise KeyError("a mistake of ours")
        return Reading(rows=(), unreadable=0, ignored_fields=0)

    read_inbound = read_reports


class Shelf:
    """The part of a store that takes bodies; refuses ``refused`` whatever way it comes, and all while it is away."""

    def __init__(self) -> None:
        self.away: StoreError | None = None
        self.together: list[list[bytes]] = []
        self.alone: list[bytes] = []
        self.quarantined: list[bytes] = []

    def _take(self, raw: RawBody, into: list[bytes]) -> None:
        if self.away is not None:
            raise self.away
        if raw.body == b"refused":
            raise StoreError("the statement failed")
        into.append(raw.body)

    async def receive_in_turn(self, bodies: list[ReadBody]) -> list[ReceivedBody]:
        taken: list[bytes] = []
        for body in bodies:
            self._take(body.item.raw, taken)
        self.together.append(taken)
        return [_received(body.item.id) for body in bodies]

    async def receive_reports(self, account_id: object, raw_id: RawId, raw: RawBody, rows: object) -> ReceivedBody:
        self._take(raw, self.alone)
        return _received(raw_id)

    receive_inbound = receive_reports

    async def quarantine(self, account_id: object, raw_id: RawId, raw: RawBody, why: str) -> None:
        self._take(raw, self.quarantined)


def _received(raw_id: RawId) -> ReceivedBody:
    return ReceivedBody(raw_id=raw_id, results={"applied": 1}, quarantined=False, effects=EFFECTS)


def apply_of(shelf: Shelf, going: list[StoredEffects]) -> Apply:
    return Apply(cast(Store, shelf), cast(Provider, Reader()), going.append)


async def test_bodies_of_both_kinds_are_applied_in_turn_with_one_commit() -> None:
    shelf, going = Shelf(), list[StoredEffects]()

    results = await apply_of(shelf, going).apply_in_turn(items_of(b"one", b"mo two", b"three"))

    assert results == [STORED] * 3
    assert (shelf.together, shelf.alone, going) == ([[b"one", b"mo two", b"three"]], [], [EFFECTS] * 3)


@pytest.mark.parametrize(
    ("broken", "result", "quarantined"),
    [(b"unreadable", "quarantined", [b"unreadable"]), (b"refused", "set_aside", [])],
)
async def test_one_that_breaks_something_has_its_own_end_and_the_others_are_applied_in_order(
    broken: bytes, result: str, quarantined: list[bytes]
) -> None:
    shelf = Shelf()

    results = await apply_of(shelf, []).apply_in_turn(items_of(b"one", broken, b"three"))

    assert [each.result for each in results] == ["stored", result, "stored"]
    assert (shelf.alone, shelf.quarantined) == ([b"one", b"three"], quarantined)


@pytest.mark.parametrize("away", [StoreUnavailable("locked"), SchemaMissing("being migrated")])
async def test_a_store_that_is_away_says_nothing_about_a_body(away: StoreError) -> None:
    shelf = Shelf()
    shelf.away = away

    with pytest.raises(type(away)):
        await apply_of(shelf, []).apply_in_turn(items_of(b"unreadable", b"two"))
    with pytest.raises(type(away)):
        await apply_of(shelf, []).apply(items_of(b"one")[0])
    assert (shelf.alone, shelf.quarantined) == ([], [])

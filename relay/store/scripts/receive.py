"""Several bodies in one transaction, as a replay of the spool brings them."""

from typing import assert_never

from relay.ports import ReadBody, ReadInbound, ReadReports, ReceivedBody
from relay.store.script import Db, Script
from relay.store.scripts import inbound, reports


def in_turn(db: Db, bodies: list[ReadBody]) -> Script[list[ReceivedBody]]:
    """See ``relay.ports.Store.receive_in_turn``."""
    received: list[ReceivedBody] = []
    for body in bodies:
        item = body.item
        match body:
            case ReadReports():
                received.append((yield from reports.receive(db, item.account_id, item.id, item.raw, body.reading)))
            case ReadInbound():
                received.append((yield from inbound.receive(db, item.account_id, item.id, item.raw, body.reading)))
            case _:
                assert_never(body)
    return received

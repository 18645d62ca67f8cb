"""Replicas that share a database: beating, leaving, and burying the dead.

On PostgreSQL several of these run at once, READ COMMITTED. What keeps them apart:

- A row in ``replicas`` is renewed or deleted, whichever comes first; the other finds nothing. Its leases end in the
  transaction that deletes it, so a replica whose row is there has all of them.
- Only a replica whose own time was not over buries others, so no two wait for each other's row. It also keeps all
  leases alive when the database was away for everybody.
- ``duties.take`` locks the one row of the duty, whoever has it, so beats come one after another from there on. Those
  who live are listed after it: of two replicas that join at once, the later one sees the earlier one.
"""

from typing import Final

from relay.domain.ids import AccountId, EndpointId
from relay.ports import Held, Standing
from relay.store.script import Db, Script

UPKEEP: Final = "upkeep"
"""The duty of everything that only one process may do: pulls, balances, sweep, left bodies, retention."""


def beat(db: Db, replica: bytes, *, name: str, ttl_ms: int, join: bool) -> Script[Standing | None]:
    """See ``relay.ports.Store.beat``."""
    now_ms = yield from _now_ms(db)
    expires_ms = now_ms + ttl_ms
    if join:
        yield from db.run("replicas.join", id=replica, name=name, now_ms=now_ms, expires_ms=expires_ms)
    else:
        row = yield from db.row("replicas.find", id=replica)
        if row is None or not (yield from db.run("replicas.renew", id=replica, expires_ms=expires_ms)):
            return None
        if row[0] > now_ms:
            for dead in (yield from db.rows("replicas.delete_dead", now_ms=now_ms)):
                yield from _end_leases(db, bytes(dead[0]), now_ms)
    taken = yield from db.row("duties.take", name=UPKEEP, replica=replica, until_ms=expires_ms, now_ms=now_ms)
    living = yield from db.rows("replicas.all")
    return Standing(now_ms=now_ms, replicas=tuple(sorted(bytes(found[0]) for found in living)), leads=taken is not None)


def leave(db: Db, replica: bytes) -> Script[None]:
    """See ``relay.ports.Store.leave``."""
    yield from db.run("replicas.delete", id=replica)
    yield from _end_leases(db, replica, (yield from _now_ms(db)))


def held(db: Db) -> Script[list[Held]]:
    """See ``relay.ports.Store.held``."""
    submissions = yield from db.rows("submissions.held")
    deliveries = yield from db.rows("deliveries.held")
    return [
        Held(key=AccountId("acct_" + bytes(account).hex()), replica=bytes(replica), number=number)
        for account, replica, number in submissions
    ] + [
        Held(key=EndpointId("ep_" + bytes(endpoint).hex()), replica=bytes(replica), number=number)
        for endpoint, replica, number in deliveries
    ]


def _now_ms(db: Db) -> Script[int]:
    row = yield from db.row("clock.now_ms")
    if row is None:
        raise LookupError("the database has no clock")
    return int(row[0])


def _end_leases(db: Db, replica: bytes, now_ms: int) -> Script[None]:
    yield from db.run("submissions.end_leases", replica=replica, now_ms=now_ms)
    yield from db.run("deliveries.free_of_replica", replica=replica)
    yield from db.run("duties.give_up", replica=replica)

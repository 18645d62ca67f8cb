"""Whether the store can serve, and how much waits in it."""

from relay.domain.errors import SchemaMissing, StoreUnavailable
from relay.domain.times import SECOND_MS
from relay.ports import QueueDepth
from relay.store.migrate import head
from relay.store.script import Db, Script


def check(db: Db) -> Script[None]:
    """Raises SchemaMissing unless the database has this release's schema, or that of a later one, which lets this
    release go on while the replicas are replaced (relay/store/migrate.py); StoreUnavailable when it takes no writes,
    as after a failover that went past this connection."""
    row = yield from db.row("schema.revision")
    if row is None or row[0] < head():
        raise SchemaMissing("The database is not migrated to this release: run `relay migrate`.")
    writes = yield from db.row("schema.takes_writes")
    if writes is None or not writes[0]:
        raise StoreUnavailable("the database takes no writes: a standby, or read-only")


def queue_depths(db: Db, now_ms: int) -> Script[list[QueueDepth]]:
    """See ``relay.ports.Store.queue_depths``."""
    depths: list[QueueDepth] = []
    for queue in ("submissions", "deliveries", "raw"):
        count = yield from db.row(f"{queue}.waiting", now_ms=now_ms)
        number, oldest_ms = (0, None) if count is None else (count[0], count[1])
        age_s = 0.0 if oldest_ms is None else max(0, now_ms - oldest_ms) / SECOND_MS
        depths.append(QueueDepth(queue=queue, depth=number, oldest_due_age_s=age_s))
    return depths

"""Whether a transaction is committed whose COMMIT was sent and not answered."""

import asyncio
import time
from typing import Final

from relay.domain.errors import StoreUnavailable
from relay.store.postgres.batch import Transaction
from relay.store.postgres.connections import Connections, Session
from relay.store.postgres.failures import Broken, is_unknown_transaction

LOOK_AGAIN_S: Final = 0.05
_STATUS: Final = """
SELECT pg_xact_status($1::text::xid8), (SELECT stats_reset::text FROM pg_stat_archiver)
"""


async def was_committed(transaction: Transaction, connections: Connections, within_s: float) -> bool:
    """Raises StoreUnavailable when it cannot be told: the one case in which that does not prove that nothing happened.
    Whoever asks again then finds it: by its Idempotency-Key, its claim, or its raw id.

    A server that has crashed meanwhile may not know the number any more, or have given it to another transaction: it
    forgets those of which nothing had reached the disk. So what it says of a commit counts only if it is the same life
    that gave the number; that it has not committed always does.
    """
    deadline_s = time.monotonic() + within_s
    session: Session | None = None
    try:
        while time.monotonic() < deadline_s:
            try:
                session = session or await connections.session()
                ((status, life),) = await session.fetch(_STATUS, transaction.number)
            except (StoreUnavailable, Broken) as error:
                if is_unknown_transaction(error.__cause__):
                    return False
                if session is not None:
                    session.drop()
                    session = None
            else:
                if life != transaction.life and status == "committed":
                    break
                if life != transaction.life or status == "aborted":
                    return False
                if status == "committed":
                    return True
            await asyncio.sleep(LOOK_AGAIN_S)
    finally:
        if session is not None:
            session.drop()
    raise StoreUnavailable("PostgreSQL went away while it committed")

"""Whether a transaction is committed whose COMMIT was sent and not answered."""

import asyncio
import time
from typing import Final

from relay.domain.errors import StoreUnavailable
from relay.store.postgres.batch import Transaction
from relay.store.postgres.connections import Connections, Session
from relay.store.postgres.failures import Broken, is_unknown_number

LOOK_AGAIN_S: Final = 0.05
_STATUS: Final = """
SELECT pg_xact_status($1::text::xid8), (SELECT stats_reset::text FROM pg_stat_archiver)
"""


async def was_committed(transaction: Transaction, connections: Connections, within_s: float) -> bool | None:
    """None when nobody has told in time. Raises StoreUnavailable when nobody can tell any more.

    A server that has crashed meanwhile may have given the number to another transaction, for it forgets those of which
    nothing had reached the disk. So what it says of a commit counts only if it is the same life that gave the number;
    that it has not committed, or knows no such number, always does.
    """
    deadline_s = time.monotonic() + within_s
    session: Session | None = None
    try:
        while time.monotonic() < deadline_s:
            try:
                session = session or await connections.session()
                ((status, life),) = await session.fetch(_STATUS, transaction.number)
            except (StoreUnavailable, Broken) as error:
                if is_unknown_number(error):
                    return False
                if session is not None:
                    session.drop()
                    session = None
            else:
                if life != transaction.life and status == "committed":
                    raise in_doubt()
                if life != transaction.life or status == "aborted":
                    return False
                if status == "committed":
                    return True
            await asyncio.sleep(LOOK_AGAIN_S)
    finally:
        if session is not None:
            session.drop()
    return None


def in_doubt() -> StoreUnavailable:
    """The one case in which this error does not prove that nothing happened. Whoever asks again then finds it: by its
    Idempotency-Key, its claim, or its raw id."""
    return StoreUnavailable("PostgreSQL went away while it committed")

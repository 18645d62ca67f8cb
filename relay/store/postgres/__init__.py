"""The driver of PostgreSQL, which several replicas share.

driver.py       writers with group commit, readers, what happens when the server goes away
batch.py        one transaction of many scripts
shapes.py       what a statement reads and writes, so that writes can be put together
connections.py  opening connections, and not trying too often while there are none
failures.py     the one seam where PostgreSQL's errors become ours
"""

from relay.store.postgres.driver import PostgresDriver

__all__ = ["PostgresDriver"]

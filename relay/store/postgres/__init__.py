"""The driver of PostgreSQL, which several replicas share.

driver.py       the driver: writers and readers
writer.py       group commits, and what happens when one of them fails
jobs.py         what waits for a writer, and telling those who wait
settle.py       whether a commit happened whose answer was lost
readers.py      reading on snapshots
batch.py        one transaction of many scripts
pending.py      writes that are still to be carried out
shapes.py       what a statement reads and writes, so that writes can be put together
statements.py   what is known of each query and of the columns that it fills
connections.py  opening connections, and not trying too often while there are none
failures.py     the one seam where PostgreSQL's errors become ours
hints.py        replicas tell each other what to look at
"""

from relay.store.postgres.driver import PostgresDriver

__all__ = ["PostgresDriver"]

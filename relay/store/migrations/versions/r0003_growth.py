"""What keeps the tables from growing for ever, and who did what.

Additive: the release before never looks at the new tables, and leaves the new column empty.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create marks, what was left behind them, the audit, and an age for the pairs of inbound messages."""
    # Up to which id a kind of rows has been walked: what is behind a mark needs no index that says "done".
    op.create_table(
        "retention_marks",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("id", sa.LargeBinary(16), nullable=False),
    )
    # What a mark passed although its time had not come: looked at again when it may have.
    op.create_table(
        "retention_left",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        sa.Column("look_ms", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("retention_left_due", "retention_left", ["kind", "look_ms"])
    op.create_table(
        "audit",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("from_address", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
    )
    op.add_column("inbound_seen", sa.Column("received_ms", sa.BigInteger(), nullable=True))
    seen = sa.table("inbound_seen", sa.column("received_ms", sa.BigInteger()))
    # Nobody knows how old they are: their week begins now.
    op.execute(sa.update(seen).values(received_ms=time.time_ns() // 1_000_000))

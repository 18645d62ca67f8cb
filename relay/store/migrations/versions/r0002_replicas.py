"""Replicas that share a database: who lives, and who does what only one may do."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; the release before never looks at them."""
    op.create_table(
        "replicas",
        sa.Column("id", sa.LargeBinary(8), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("joined_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "duties",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("replica", sa.LargeBinary(8), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
    )

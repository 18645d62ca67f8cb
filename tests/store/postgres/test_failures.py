"""What PostgreSQL says becomes one line that says what to do."""

import asyncpg
import pytest

from relay.domain.errors import StoreUnavailable
from relay.store.postgres.failures import translated


@pytest.mark.parametrize(
    "error", [asyncpg.DuplicatePreparedStatementError(), asyncpg.InvalidSQLStatementNameError()], ids=["twice", "gone"]
)
def test_a_pooler_that_nobody_told_of_is_named_with_its_setting(error: asyncpg.PostgresError) -> None:
    ours = translated(error)

    assert "RELAY_DATABASE_POOLER=transaction" in str(ours)
    assert not isinstance(ours, StoreUnavailable)

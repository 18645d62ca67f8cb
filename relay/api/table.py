"""All operations: what is not here is not served, and is not in the document."""

from typing import Final

from relay.api.operations import Operation
from relay.api.routes import (
    account_access,
    account_health,
    accounts,
    audit,
    balance,
    callbacks,
    deliveries,
    docs,
    endpoints,
    erasures,
    events,
    extensions,
    health,
    inbound,
    keyring,
    keys,
    messages,
    orphans,
    quarantine,
    suppressions,
    teams,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *messages.OPERATIONS,
    *inbound.OPERATIONS,
    *suppressions.OPERATIONS,
    *balance.OPERATIONS,
    *endpoints.OPERATIONS,
    *deliveries.OPERATIONS,
    *events.OPERATIONS,
    *callbacks.OPERATIONS,
    *accounts.OPERATIONS,
    *account_health.OPERATIONS,
    *account_access.OPERATIONS,
    *teams.OPERATIONS,
    *extensions.OPERATIONS,
    *keys.OPERATIONS,
    *orphans.OPERATIONS,
    *quarantine.OPERATIONS,
    *keyring.OPERATIONS,
    *erasures.OPERATIONS,
    *audit.OPERATIONS,
    *health.OPERATIONS,
    *docs.OPERATIONS,
)

PUBLIC: Final = frozenset(
    {
        "pushReportsCallback",
        "getReportsCallback",
        "pushInboundCallback",
        "getInboundCallback",
        "livez",
        "readyz",
        "metrics",
        "openapi",
        "docs",
        "docsAsset",
        "root",
    }
)
"""The operations that ask for no key, each on purpose; a test holds the table against it."""

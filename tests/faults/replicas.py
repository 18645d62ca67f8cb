"""Several gateways on one PostgreSQL."""

from typing import Final

from tests.faults import audit

TTL_S: Final = 2.0
SETTINGS: Final = {
    **audit.SETTINGS,
    "database_timeout_s": "1",
    "log_level": "warning",
    "replica_ttl_s": str(TTL_S),
}
"""Of replicas that find out soon what became of the others."""


def on(*database_urls: str, each: int = 2) -> list[dict[str, str]]:
    """What is each one's own: on every database URL there are ``each``."""
    return [{"database_url": url} for url in database_urls for _ in range(each)]

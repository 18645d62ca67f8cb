"""Tells which credentials were good when the first were refused."""

from typing import Final

import structlog

from relay.domain.ids import AccountId
from relay.ports import Clock
from relay.services.credentials import CredentialsUse

_QUIET_S: Final = 60.0

log = structlog.get_logger("relay")


class CredentialsTold:
    """One line a minute for each account and use, whatever is sent meanwhile."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_s: dict[tuple[AccountId, CredentialsUse], float] = {}

    def __call__(self, account_id: AccountId, use: CredentialsUse) -> None:
        """Calls of this account were refused, and good with other credentials; or with none."""
        now_s = self._clock.monotonic_s()
        if now_s - self._told_s.get((account_id, use), float("-inf")) < _QUIET_S:
            return
        self._told_s[account_id, use] = now_s
        write = log.info if use == "newer" else log.warning
        write("credentials.refused", account_id=account_id, good=None if use == "refused" else use)

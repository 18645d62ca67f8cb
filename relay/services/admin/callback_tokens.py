"""Callback tokens: a new one before the old one goes, so that no callback is turned away meanwhile."""

from collections.abc import Callable
from typing import Final

from relay.domain.accounts import TOKEN_ID_BYTES, CallbackTokenView, token_view
from relay.domain.audit import Actor
from relay.domain.errors import NotFound
from relay.domain.ids import AccountId
from relay.domain.teams import hash_secret
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.accounts import AccountBook
from relay.services.admin.accounts import new_callback_token
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse

_DONE_STATUS: Final = 200


class CallbackTokensAdmin:
    """Rotates, lists and revokes them."""

    def __init__(self, store: Store, accounts: AccountBook, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._entropy = entropy
        self._auditor = Auditor(clock, entropy)

    async def rotate(
        self,
        account_id: AccountId,
        overlap_s: int,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[str, int], bytes],
    ) -> bytes | Replay:
        """A new token beside the newest of the others, which lives for ``overlap_s`` more; those before it end at once.
        ``render`` gets the token, which is shown this once, and the time in milliseconds at which the other one ends.
        Raises NotFound."""
        token = new_callback_token(self._entropy)
        now_ms = self._clock.now_ms()
        expires_ms = now_ms + overlap_s * SECOND_MS
        answer = render(token, expires_ms)
        new_id = hash_secret(token)
        detail = {"overlap_s": overlap_s, "callback_token_id": _token_id(new_id)}
        stored = await self._store.rotate_callback_token(
            account_id,
            token,
            now_ms=now_ms,
            expires_ms=expires_ms,
            entry=self._auditor.entry(actor, "account.callback_token_rotated", account_id, detail),
            idempotency=None if use is None else use.answered(_DONE_STATUS, answer, now_ms),
        )
        await self._accounts.refresh()
        return stored if isinstance(stored, Replay) else answer

    async def tokens(self, account_id: AccountId) -> list[CallbackTokenView]:
        """Those that are live, oldest first. Raises NotFound."""
        if await self._store.account(account_id) is None:
            raise NotFound("There is no such account.")
        now_ms = self._clock.now_ms()
        known = await self._store.callback_tokens_of(account_id)
        return [token_view(token_hash, token) for token_hash, token in known.items() if token.is_live(now_ms)]

    async def revoke(self, account_id: AccountId, token_id: str, actor: Actor) -> None:
        """The token ends at once, in other replicas within seconds; the last one, too. Raises NotFound."""
        entry = self._auditor.entry(
            actor, "account.callback_token_revoked", account_id, {"callback_token_id": token_id}
        )
        if not await self._store.revoke_callback_token(account_id, token_id, entry=entry):
            raise NotFound("The account has no such callback token.")
        await self._accounts.refresh()


def _token_id(token_hash: bytes) -> str:
    return token_hash[:TOKEN_ID_BYTES].hex()

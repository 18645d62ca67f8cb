"""How a provider account and its provider get at each other: credentials, callback tokens, and a probe of both."""

from typing import Final, TypeVar

import msgspec

from relay.api.account_inputs import (
    CallbackUrlsRotated,
    CredentialsInput,
    ProbeInput,
    TokenRotationInput,
    dedup_check,
    new_credentials,
)
from relay.api.bodies import check_json_type, read_json
from relay.api.call import Call, done
from relay.api.exchange import Answer
from relay.api.operations import Operation, Respond
from relay.api.routes.accounts import account_id_of, callback_urls
from relay.domain.accounts import AccountView, CallbackTokenView
from relay.domain.errors import CredentialsRefused, ProviderUnreachable
from relay.domain.times import instant
from relay.services.admin.probe import ProbeView

T = TypeVar("T", bound=msgspec.Struct)
_ENCODER: Final = msgspec.json.Encoder()


class CallbackTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The live callback tokens of an account, oldest first; two at most."""

    data: list[CallbackTokenView]


async def rotate_credentials(call: Call) -> Answer:
    """Other credentials, once the provider has taken them."""
    account_id = account_id_of(call)
    wanted, body = await call.json(CredentialsInput)
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        return done(
            await call.services.account_credentials.rotate(
                account_id, new_credentials(wanted), call.actor, use, _ENCODER.encode
            )
        )


async def rotate_callback_token(call: Call) -> Answer:
    """Another callback token beside the one before."""
    account_id = account_id_of(call)
    wanted, body = await _json_or_none(call, TokenRotationInput)
    use = call.key_use(body)

    def render(token: str, expires_ms: int) -> bytes:
        return _ENCODER.encode(
            CallbackUrlsRotated(callback_urls=callback_urls(call, token), others_expire_at=instant(expires_ms))
        )

    with call.services.in_flight.enter(use):
        return done(await call.services.account_tokens.rotate(account_id, wanted.overlap_s, call.actor, use, render))


async def list_callback_tokens(call: Call) -> Answer:
    """Those that are live."""
    tokens = await call.services.account_tokens.tokens(account_id_of(call))
    return Answer(200, _ENCODER.encode(CallbackTokens(data=tokens)))


async def revoke_callback_token(call: Call) -> Answer:
    """End one at once."""
    await call.services.account_tokens.revoke(account_id_of(call), call.parameter("callback_token_id"), call.actor)
    return Answer(204, b"")


async def probe(call: Call) -> Answer:
    """Ask the provider now."""
    account_id = account_id_of(call)
    wanted, body = await _json_or_none(call, ProbeInput)
    use = call.key_use(body)
    check = dedup_check(wanted.check_dedup)
    with call.services.in_flight.enter(use):
        return done(await call.services.account_probe.probe(account_id, check, call.actor, use, _ENCODER.encode))


async def _json_or_none(call: Call, kind: type[T]) -> tuple[T, bytes]:
    """The body as a ``kind``, its defaults when there is none; and its bytes."""
    raw = await call.body(call.settings.body_bytes)
    if not raw.strip():
        return kind(), raw
    check_json_type(call.header(b"content-type"))
    return read_json(raw, kind), raw


_PATH: Final = "/v1/admin/accounts/{account_id}"

OPERATIONS: Final = (
    Operation(
        id="rotateAccountCredentials",
        method="POST",
        path=f"{_PATH}/rotate-credentials",
        tag="Platform",
        summary="Change an account's credentials",
        description="Asks the provider for the balance with the new credentials, and activates them when that "
        "succeeds; else nothing changes. For `fallback_s` seconds a call that the new ones are refused for is made "
        "with the ones before. Safe while messages are sent.",
        scope="admin",
        run=rotate_credentials,
        body=CredentialsInput,
        body_examples={
            "password": {"password": "the-new-interface-password", "fallback_s": 3600},
            "reference": {"password_ref": "file:/run/secrets/sms-password"},
        },
        creates=True,
        answers=(Respond(status=200, description="Changed.", body=AccountView, headers=("Idempotent-Replayed",)),),
        refusals=(CredentialsRefused, ProviderUnreachable),
    ),
    Operation(
        id="rotateAccountCallbackToken",
        method="POST",
        path=f"{_PATH}/rotate-callback-token",
        tag="Platform",
        summary="Make another callback token",
        description="The new addresses are shown this once; register them with the provider before the others expire. "
        "Two tokens are live at most: a third one ends the oldest at once.",
        scope="admin",
        run=rotate_callback_token,
        body=TokenRotationInput,
        body_examples={"a day": {"overlap_s": 86400}},
        creates=True,
        answers=(Respond(status=200, description="Made.", body=CallbackUrlsRotated, headers=("Idempotent-Replayed",)),),
    ),
    Operation(
        id="listAccountCallbackTokens",
        method="GET",
        path=f"{_PATH}/callback-tokens",
        tag="Platform",
        summary="List an account's live callback tokens",
        scope="admin",
        run=list_callback_tokens,
        answers=(Respond(status=200, description="The tokens, without what is secret.", body=CallbackTokens),),
    ),
    Operation(
        id="revokeAccountCallbackToken",
        method="DELETE",
        path=f"{_PATH}/callback-tokens/{{callback_token_id}}",
        tag="Platform",
        summary="Revoke a callback token",
        description="At once in the replica that is asked, within seconds in the others. Callbacks by it get 404.",
        scope="admin",
        run=revoke_callback_token,
        answers=(Respond(status=204, description="Revoked."),),
    ),
    Operation(
        id="probeAccount",
        method="POST",
        path=f"{_PATH}/probe",
        tag="Platform",
        summary="Ask an account's provider now",
        description="The balance and how long it takes to be told. `check_dedup` sends one text twice with the same "
        "taskId, which costs up to two SMS.",
        scope="admin",
        run=probe,
        body=ProbeInput,
        body_examples={
            "balance": {},
            "taskId": {"check_dedup": {"number": "13800130001", "text": "【示例】测试"}},
        },
        creates=True,
        answers=(Respond(status=200, description="Its answers.", body=ProbeView, headers=("Idempotent-Replayed",)),),
        refusals=(CredentialsRefused, ProviderUnreachable),
    ),
)

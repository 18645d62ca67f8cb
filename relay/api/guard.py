"""What must hold before a handler runs: an acceptable answer, a key with the scope, the team's rate, not draining."""

from typing import Final

from relay.api.call import Call
from relay.api.operations import Operation
from relay.api.preferences import accepts
from relay.api.queries import NoQuery
from relay.domain.errors import Draining, NotAcceptable, RateExceeded, ScopeMissing, Unauthenticated
from relay.domain.teams import Principal, Scope

_DRAIN_AGAIN_S: Final = 2.0


async def admit(call: Call, operation: Operation) -> None:
    """Let the call through with its principal in the exchange, or raise the refusal."""
    if operation.scope is None:
        return
    media_type = operation.answers[0].media_type
    if not accepts(call.header(b"accept"), media_type):
        raise NotAcceptable(f"The answer is {media_type}; accept that, or */*.")
    principal = await call.services.authenticate.principal(_secret(call))
    call.exchange.principal = principal
    _check_scope(principal, operation.scope)
    _take_rate(call, principal)
    if operation.creates and call.services.readiness.draining:
        # Read to its end: the connection is closed behind the answer, and a body that nobody has read makes that a
        # reset, which the caller may see instead of the answer.
        await call.body(call.settings.body_bytes)
        raise Draining("This replica is about to stop; send the request again.", retry_after_s=_DRAIN_AGAIN_S)
    if operation.query is NoQuery:
        call.query(NoQuery)


async def admit_again(call: Call) -> None:
    """For a call that takes long. Raises Unauthenticated when its key was revoked or has expired meanwhile."""
    await call.services.authenticate.principal(_secret(call))


def _secret(call: Call) -> str:
    header = call.header(b"authorization")
    if header is None:
        raise Unauthenticated("Send the header 'Authorization: Bearer <key>'.")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("The Authorization header must read 'Bearer <key>'.")
    return secret.strip()


def _check_scope(principal: Principal, scope: Scope) -> None:
    if scope != "admin" and principal.team is None:
        raise ScopeMissing(
            f"This is a platform key; the operation belongs to a team and needs one of its keys with the scope {scope}."
        )
    if scope == "admin" and principal.team is not None:
        raise ScopeMissing("This is the key of a team; the operation needs a platform key with the scope admin.")
    if scope not in principal.scopes:
        raise ScopeMissing(f"This key does not have the scope {scope}.")


def _take_rate(call: Call, principal: Principal) -> None:
    team = principal.team
    if team is None:
        return
    try:
        call.exchange.rate = call.services.rates.take(team)
    except RateExceeded:
        call.exchange.rate = call.services.rates.state(team)
        raise

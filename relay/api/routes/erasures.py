"""Erasing a number, for the platform team."""

from typing import Final

import msgspec

from relay.api.call import REPLAYED, Call
from relay.api.erasure_inputs import ErasureInput, erasure_number
from relay.api.exchange import Answer
from relay.api.operations import Operation, Respond
from relay.domain.erasure import ErasureView
from relay.ports import Replay

_ENCODER: Final = msgspec.json.Encoder()


async def erase_number(call: Call) -> Answer:
    """Erase a number wherever it stands."""
    wanted, body = await call.json(ErasureInput)
    mobile = erasure_number(wanted)
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        done = await call.services.erase.number(mobile, call.actor, use, _ENCODER.encode)
    if isinstance(done, Replay):
        return Answer(done.status, done.answer, [REPLAYED])
    return Answer(200, done)


OPERATIONS: Final = (
    Operation(
        id="eraseNumber",
        method="POST",
        path="/v1/admin/erasures",
        tag="Platform",
        summary="Erase a number wherever it stands",
        description="In messages, recipients, inbound messages, events and raw bodies the number reads `erased` "
        "afterwards, or is gone; the text of a message that it alone got, and of inbound messages from it, is empty. "
        "This cannot be undone. What is not final yet may still be sent and told of: it is left, counted in "
        "`left_open`, and goes when the call is repeated later. Answers kept for an Idempotency-Key are sealed and go "
        "by their own age. Opt-outs stay, and are shown as such: without them the number would be written to again. It "
        "takes as long as walking over all that is stored: seconds, with very many rows minutes.",
        scope="admin",
        run=erase_number,
        body=ErasureInput,
        body_examples={"number": {"number": "13800130001"}},
        creates=True,
        answers=(
            Respond(
                status=200,
                description="What was erased, and what was left.",
                body=ErasureView,
                headers=("Idempotent-Replayed",),
            ),
        ),
    ),
)

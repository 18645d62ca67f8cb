"""Finding one number in what was written, and striking it out."""

from typing import get_args

import msgspec
import pytest

from relay.domain.erasure import ERASURE_STAGES, ErasureStage, Traces

MOBILE = 13800130001
TRACES = Traces(MOBILE)


@pytest.mark.parametrize(
    ("text", "struck"),
    [
        ("13800130001", "erased"),
        ("+8613800130001", "erased"),
        ("8613800130001", "erased"),
        ("008613800130001", "erased"),
        ("call 13800130001, not 13800130002", "call erased, not 13800130002"),
        ('{"mobile":"13800130001"}', '{"mobile":"erased"}'),
        ("mobile=%2B8613800130001&x=1", "mobile=%2Berased&x=1"),
        ("138001300012", "138001300012"),
        ("913800130001", "913800130001"),
        ("138****0001", "138****0001"),
        ("", ""),
    ],
)
def test_a_number_is_struck_with_its_prefix_and_no_other_number_is(text: str, struck: str) -> None:
    assert TRACES.strike(text) == struck
    assert TRACES.strike_bytes(text.encode()) == struck.encode()
    assert TRACES.is_in(text.encode()) == (text != struck)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'"138****0001"', True),
        (b"86138*0001", True),
        (b"mobile=138%2A%2a%2A%2A0001", True),
        (b"138****0002", False),
        (b"139****0001", False),
        (b"138****00011", False),
        (b"9138****0001", False),
        (b"13800130001", False),
    ],
)
def test_its_mask_is_seen(data: bytes, found: bool) -> None:
    assert TRACES.is_masked(data) is found


def test_refused_numbers_are_struck_however_their_caller_wrote_them() -> None:
    refused = (
        '[{"to":"138-0013 0001","reason":"duplicate"},{"to":"13800130001x","reason":"malformed"},'
        '{"to":"13800130002","reason":"suppressed"}]'
    )

    assert TRACES.strike_refused(refused) == (
        '[{"to":"erased","reason":"duplicate"},{"to":"erasedx","reason":"malformed"},'
        '{"to":"13800130002","reason":"suppressed"}]'
    )


@pytest.mark.parametrize("refused", ["[]", '[ {"to": "13800130002", "reason": "malformed"} ]'])
def test_a_list_without_it_stays_to_the_byte(refused: str) -> None:
    assert TRACES.strike_refused(refused) is refused


def test_an_event_stays_as_it_is_but_for_the_number() -> None:
    payload = (
        '{"id":"evt_1","type":"message.delivered","timestamp":"2026-11-18T11:06:40Z","data":{"message_id":"msg_1",'
        '"reference":"订单 13800130001","metadata":{"tel":"+8613800130001"},"sequence":1,"recipients":'
        '[{"to":"13800130001","final":true,"reason":null},{"to":"13800130002","final":true,"reason":null}]}}'
    )

    assert TRACES.strike_event(payload.encode()).decode() == (
        '{"id":"evt_1","type":"message.delivered","timestamp":"2026-11-18T11:06:40Z","data":{"message_id":"msg_1",'
        '"reference":"订单 erased","metadata":{"tel":"erased"},"sequence":1,"recipients":'
        '[{"to":"erased","final":true,"reason":null},{"to":"13800130002","final":true,"reason":null}]}}'
    )


@pytest.mark.parametrize(
    ("sender", "data"),
    [
        ("13800130001", {"from": "erased", "text": "", "to_extension": "101"}),
        ("13800130002", {"from": "13800130002", "text": "ask erased", "to_extension": "101"}),
    ],
)
def test_the_text_of_an_inbound_message_goes_with_its_sender(sender: str, data: dict[str, str]) -> None:
    event = {
        "type": "inbound.received",
        "data": {"from": sender, "text": "ask 13800130001", "to_extension": "101"},
    }

    assert msgspec.json.decode(TRACES.strike_event(msgspec.json.encode(event)))["data"] == data


def test_every_stage_is_gone_through_once_and_the_recipients_come_last() -> None:
    assert sorted(ERASURE_STAGES) == sorted(get_args(ErasureStage))
    assert ERASURE_STAGES[-1] == "recipients"

"""Standard Webhooks signatures, with the reference library as the judge."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from relay.domain.endpoints import write_secret
from relay.webhooks.signing import Signer, read_secret, verify

SECRET = write_secret(bytes(range(32)))
OLDER = write_secret(bytes(range(32, 64)))
NOW_S = 1_795_392_000
BODY = '{"id":"evt_1","text":"您好"}'.encode()


def headers(signature: str, *, webhook_id: str = "evt_1", timestamp_s: int = NOW_S) -> dict[str, str]:
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp_s), "webhook-signature": signature}


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signature = Signer().sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64), st.from_regex(r"\A[a-z_0-9]{1,40}\Z"), st.integers(0, 2**33), st.text())
def test_the_reference_library_signs_the_same(key: bytes, webhook_id: str, timestamp_s: int, text: str) -> None:
    secret = write_secret(key)
    expected = Webhook(secret).sign(webhook_id, datetime.fromtimestamp(timestamp_s, UTC), text)
    assert Signer().sign([secret], webhook_id, timestamp_s, text.encode()) == expected


@pytest.mark.parametrize("secret", [SECRET, OLDER])
def test_the_reference_library_accepts_either_secret_of_a_rotation(secret: str) -> None:
    now_s = int(datetime.now(UTC).timestamp())
    signature = Signer().sign([SECRET, OLDER], "evt_1", now_s, BODY)
    Webhook(secret).verify(BODY, headers(signature, timestamp_s=now_s))
    with pytest.raises(WebhookVerificationError):
        Webhook(write_secret(b"x" * 32)).verify(BODY, headers(signature, timestamp_s=now_s))


def test_signatures_stand_in_the_order_of_the_secrets() -> None:
    both = Signer().sign([SECRET, OLDER], "evt_1", NOW_S, BODY)
    assert both.split(" ") == [Signer().sign([secret], "evt_1", NOW_S, BODY) for secret in (SECRET, OLDER)]


def test_any_bytes_are_signed_as_they_are() -> None:
    body = bytes(range(256))
    mac = hmac.new(bytes(range(32)), b"evt_1.5." + body, hashlib.sha256).digest()
    assert Signer().sign([SECRET], "evt_1", 5, body) == "v1," + base64.b64encode(mac).decode()


def test_the_kept_keys_are_bounded_and_still_right() -> None:
    signer = Signer(kept_keys=2)
    secrets = [write_secret(bytes([number]) * 32) for number in range(5)]
    for secret in secrets * 2:
        assert signer.sign([secret], "evt_1", NOW_S, BODY) == Signer().sign([secret], "evt_1", NOW_S, BODY)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_!!!!", "whsec_ä", "whsec_A", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="a signing secret is whsec_ and base64") as caught:
        read_secret(secret)
    assert "MfKQ" not in str(caught.value)


def test_a_secret_without_padding_is_read() -> None:
    assert read_secret(SECRET.rstrip("=")) == bytes(range(32))


def test_what_we_sign_verifies() -> None:
    signature = Signer().sign([SECRET, OLDER], "evt_1", NOW_S, BODY)
    assert verify([OLDER], headers(signature), BODY, NOW_S)
    assert verify([SECRET], {name.title(): value for name, value in headers(signature).items()}, BODY, NOW_S + 300)


SIGNATURE = Signer().sign([SECRET], "evt_1", NOW_S, BODY)


@pytest.mark.parametrize(
    ("changed", "body", "now_s"),
    [
        ({"webhook-id": "evt_2"}, BODY, NOW_S),
        ({"webhook-id": ""}, BODY, NOW_S),
        ({"webhook-timestamp": str(NOW_S + 1)}, BODY, NOW_S),
        ({"webhook-timestamp": "now"}, BODY, NOW_S),
        ({"webhook-timestamp": "9" * 5000}, BODY, NOW_S),
        ({"webhook-signature": ""}, BODY, NOW_S),
        ({"webhook-signature": SIGNATURE.replace("v1,", "v1a,")}, BODY, NOW_S),
        ({"webhook-signature": SIGNATURE[3:]}, BODY, NOW_S),
        ({"webhook-signature": "v1,ü"}, BODY, NOW_S),
        ({}, BODY + b" ", NOW_S),
        ({}, BODY, NOW_S + 301),
        ({}, BODY, NOW_S - 301),
    ],
)
def test_anything_changed_or_stale_does_not_verify(changed: dict[str, str], body: bytes, now_s: int) -> None:
    assert verify([SECRET], headers(SIGNATURE), BODY, NOW_S)
    assert not verify([SECRET], {**headers(SIGNATURE), **changed}, body, now_s)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_does_not_verify(missing: str) -> None:
    given_headers = headers(SIGNATURE)
    del given_headers[missing]
    assert not verify([SECRET], given_headers, BODY, NOW_S)


def test_an_unknown_version_beside_a_good_signature_is_passed_over() -> None:
    assert verify([SECRET], headers(f"v1a,abc {SIGNATURE} v2,x"), BODY, NOW_S)

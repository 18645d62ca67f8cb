"""The pure rules: segments, statuses, retries, keys, states, filters, ids, times, errors."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain import errors
from relay.domain.endpoints import matches, write_secret
from relay.domain.errors import Exhausted, NothingSent, RelayError
from relay.domain.events import EVENT_TYPES, TYPE_OF_STATUS
from relay.domain.ids import PREFIXES, SubmissionId, is_id, is_task_id, raw_bytes, task_id
from relay.domain.keys import KeyKind, is_key, write_key
from relay.domain.reports import classify, meaning_of
from relay.domain.retry import DELIVERY_SCHEDULE_MS, delivery_delay_ms, submit_delay_ms
from relay.domain.segments import count_segments
from relay.domain.states import FINAL, STATUSES, UPGRADABLE, WAITING, MessageStatus, RecipientStatus, message_status
from relay.domain.teams import hash_secret
from relay.domain.times import LATEST_MS, instant, instant_or_none, to_ms

HEX = "0192f3c4d5e6708192a3b4c5d6e7f809"


# Segments: provider/contract.md 2


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("x" * 70, 1),
        ("短" * 70, 1),
        ("x" * 71, 2),
        ("短" * 134, 2),
        ("短" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 35 + "x", 2),
        ("短" * 69 + "😀", 2),
        ("x" * 670, 10),
        ("x" * 671, 11),
    ],
)
def test_a_text_takes_one_segment_up_to_70_units_and_then_67_each(text: str, segments: int) -> None:
    assert count_segments(text) == segments


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_segments_count_utf_16_units(text: str) -> None:
    units = len(text.encode("utf-16-le")) // 2
    assert count_segments(text) == (1 if units <= 70 else (units + 66) // 67)


# Statuses: an open set


@pytest.mark.parametrize("raw", ["delivrd", " DELIVRD ", "Deliver"])
def test_a_status_is_read_without_regard_to_case_and_blanks(raw: str) -> None:
    assert classify(raw) == "delivered"


@given(st.text(max_size=12))
def test_every_status_means_something(raw: str) -> None:
    meaning = meaning_of(raw)
    assert (meaning.reason is None) == (meaning.status == "delivered")
    assert meaning.status is None or meaning.status in FINAL


def test_a_status_that_is_not_final_changes_nothing() -> None:
    assert [meaning_of(raw).status for raw in ("ACCEPTD", "ENROUTE", "UNKNOWN")] == [None, None, None]


# Retries


def test_a_delivery_is_tried_thirteen_times_over_four_days() -> None:
    delays = [delivery_delay_ms(attempt, 0.0) for attempt in range(1, 13)]
    assert tuple(delays) == DELIVERY_SCHEDULE_MS
    assert delays == sorted(delays)
    assert 3 * 86_400_000 < sum(delays) < 5 * 86_400_000
    with pytest.raises(Exhausted) as caught:
        delivery_delay_ms(13, 0.0)
    assert caught.value.attempt == 13


@given(st.integers(1, 12), st.floats(0, 1))
def test_jitter_adds_up_to_a_fifth_and_takes_nothing_away(attempt: int, jitter: float) -> None:
    base = DELIVERY_SCHEDULE_MS[attempt - 1]
    assert base <= delivery_delay_ms(attempt, jitter) <= base * 1.2


def test_a_submission_waits_half_a_second_doubled_up_to_a_minute() -> None:
    delays = [submit_delay_ms(attempt, 0.0) for attempt in (1, 2, 3, 7, 8, 100, 10**9)]
    assert delays == [500, 1000, 2000, 32_000, 60_000, 60_000, 60_000]
    assert submit_delay_ms(1, 1.0) == 600


# Keys


@given(st.sampled_from(["live", "test", "admin"]), st.binary(min_size=32, max_size=32))
def test_every_key_that_is_written_is_a_key(kind: KeyKind, secret: bytes) -> None:
    key = write_key(kind, secret)
    assert is_key(key)
    assert (len(key), key.isascii()) == (len(f"rk_{kind}_") + 49, True)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 55), st.characters(codec="ascii"))
def test_a_key_with_one_wrong_sign_is_none(secret: bytes, position: int, sign: str) -> None:
    key = write_key("live", secret)
    wrong = key[:position] + sign + key[position + 1 :]
    assert is_key(wrong) == (wrong == key)


@pytest.mark.parametrize("text", ["", "rk", "rk__", "rk_live_", "rk_live_" + "0" * 49, "xx_live_" + "0" * 49, "_" * 60,
                                  "rk_live_" + "é" * 49, "rk_root_" + "0" * 49])  # fmt: skip
def test_what_is_no_key_is_none(text: str) -> None:
    assert not is_key(text)


@given(st.text())
def test_any_text_is_a_key_or_not(text: str) -> None:
    assert is_key(text) in (True, False)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_secrets_are_different_keys_with_different_hashes(one: bytes, other: bytes) -> None:
    keys = write_key("live", one), write_key("live", other)
    assert (keys[0] == keys[1]) == (one == other)
    assert (hash_secret(keys[0]) == hash_secret(keys[1])) == (one == other)


# States


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"queued": 1}, "queued"),
        ({"delivered": 3}, "delivered"),
        ({"delivered": 3, "queued": 0}, "delivered"),
        ({"delivered": 3, "failed": 1}, "completed"),
        ({"delivered": 3, "submitted": 1}, "submitted"),
        ({"submitted": 3, "unconfirmed": 1}, "unconfirmed"),
        ({"submitting": 1, "unconfirmed": 1, "delivered": 1}, "submitting"),
        ({"scheduled": 1, "queued": 5}, "scheduled"),
        ({"canceled": 2}, "canceled"),
        ({}, "completed"),
    ],
)
def test_a_message_is_where_its_least_advanced_recipient_is(
    counts: dict[RecipientStatus, int], status: MessageStatus
) -> None:
    assert message_status(counts) == status


@given(st.dictionaries(st.sampled_from(STATUSES), st.integers(0, 3)))
def test_a_message_is_final_exactly_when_all_its_recipients_are(counts: dict[RecipientStatus, int]) -> None:
    status = message_status(counts)
    settled = all(recipient in FINAL for recipient, count in counts.items() if count)
    assert (status == "completed" or status in FINAL) == settled


def test_every_status_is_listed_once_and_has_its_place() -> None:
    assert len(set(STATUSES)) == len(STATUSES)
    assert set(STATUSES) >= FINAL
    assert not FINAL & WAITING
    assert set(STATUSES) >= UPGRADABLE


def test_every_final_status_has_its_event() -> None:
    assert set(TYPE_OF_STATUS) >= FINAL
    assert set(TYPE_OF_STATUS.values()) <= set(EVENT_TYPES)


# Filters of an endpoint


@pytest.mark.parametrize(
    ("event_types", "extensions", "event_type", "extension", "wanted"),
    [
        ((), (), "message.delivered", None, True),
        (("message.delivered",), (), "message.delivered", None, True),
        (("message.failed",), (), "message.delivered", None, False),
        (("message.*",), (), "message.delivered", None, True),
        (("message.*",), (), "inbound.received", None, False),
        (("*",), (), "message.delivered", None, False),
        (("mess",), (), "message.delivered", None, False),
        ((), ("10",), "inbound.received", "10", True),
        ((), ("10",), "inbound.received", "100", False),
        ((), ("10",), "inbound.received", None, False),
        (("inbound.*",), ("10", "20"), "inbound.received", "20", True),
        (("message.*",), ("10",), "inbound.received", "10", False),
    ],
)
def test_an_endpoint_gets_what_its_filters_name(
    event_types: tuple[str, ...], extensions: tuple[str, ...], event_type: str, extension: str | None, wanted: bool
) -> None:
    assert matches(iter(event_types), iter(extensions), event_type, extension) is wanted


def test_a_signing_secret_is_written_as_standard_webhooks_says() -> None:
    assert write_secret(bytes(24)) == "whsec_" + "A" * 32


# Ids


@pytest.mark.parametrize("prefix", PREFIXES.values())
def test_an_id_is_its_prefix_and_32_digits(prefix: str) -> None:
    assert is_id(prefix + HEX, prefix)
    assert raw_bytes(prefix + HEX).hex() == HEX
    for wrong in (HEX, prefix, prefix + HEX[:-1], prefix + HEX + "0", prefix + HEX.upper(), prefix + HEX + "\n"):
        assert not is_id(wrong, prefix)


def test_no_prefix_is_the_beginning_of_another() -> None:
    prefixes = list(PREFIXES.values())
    assert not [(one, other) for one in prefixes for other in prefixes if one != other and other.startswith(one)]


def test_a_task_id_is_the_digits_of_its_submission() -> None:
    assert task_id(SubmissionId("sub_" + HEX)) == HEX
    assert [is_task_id(text) for text in (HEX, HEX.upper(), HEX + "0", "", HEX + "\n")] == [True, False, False] + 2 * [
        False
    ]


# Times


@given(st.integers(0, LATEST_MS))
def test_every_instant_is_read_back(ms: int) -> None:
    assert to_ms(instant(ms)) == ms
    assert instant_or_none(ms) == instant(ms)


def test_instants_are_utc_and_rounded_down() -> None:
    assert instant(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert instant_or_none(None) is None
    assert to_ms(datetime(1970, 1, 1, 8, 0, 0, 1999, tzinfo=timezone(timedelta(hours=8)))) == 1
    assert instant(LATEST_MS).isoformat() == "9999-12-31T23:59:59.999000+00:00"


# Errors


def test_every_error_is_in_the_tree_and_has_a_public_title() -> None:
    tree = errors.__doc__ or ""
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, RelayError):
            assert error.__name__ in tree
            assert (error.__doc__ or "").partition("\n")[0].endswith(".")
    assert NothingSent().why == "connect"


def test_shuffled_statuses_give_the_same_word() -> None:
    counts: dict[RecipientStatus, int] = dict.fromkeys(STATUSES, 1)
    items = list(counts.items())
    random.Random(1).shuffle(items)  # noqa: S311 - an order, not a secret
    assert message_status(dict(items)) == message_status(counts) == "scheduled"

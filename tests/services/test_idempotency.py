import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.errors import IdempotencyKeyInUse, IdempotencyKeyInvalid
from relay.services.idempotency import InFlight, KeyUse, fingerprint, read_key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("order-77", "order-77"),
        ('"order-77"', "order-77"),
        (" order-77\t", "order-77"),
        (r'"a\"b\\c"', r'a"b\c'),
        ('"', '"'),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_key_is_read_bare_or_quoted(header: str, key: str) -> None:
    assert read_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "a b", "x" * 256, "ключ", "a\x00", "a\n", "\x7f"])
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        read_key(header)


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100))
def test_a_quoted_key_is_read_as_what_was_quoted(key: str) -> None:
    assert read_key(quoted(key)) == key


def test_two_different_requests_have_different_fingerprints() -> None:
    made = {
        fingerprint(method, path, body)
        for method in ("POST", "PUT")
        for path in ("/v1/a", "/v1/b")
        for body in (b"", b"x", b"/v1/a")
    }

    assert len(made) == 12
    assert {len(found) for found in made} == {32}


def use_of(scope: str, key: str) -> KeyUse:
    return KeyUse(scope=scope, key=key, fingerprint=b"")


def test_a_key_is_held_while_its_request_runs_and_free_afterwards() -> None:
    running = InFlight()
    with running.enter(use_of("team_1", "k")):
        with pytest.raises(IdempotencyKeyInUse) as refused, running.enter(use_of("team_1", "k")):
            pass
        assert refused.value.retry_after_s == 1.0
        with running.enter(use_of("team_2", "k")), running.enter(use_of("team_1", "l")), running.enter(None):
            pass
    with running.enter(use_of("team_1", "k")):
        pass


def test_a_request_that_breaks_frees_its_key() -> None:
    running = InFlight()
    with pytest.raises(ZeroDivisionError), running.enter(use_of("team_1", "k")):
        raise ZeroDivisionError

    with running.enter(use_of("team_1", "k")):
        pass

"""The text of a key, as a scanner looks for it."""

import re

import pytest

from relay.domain.keys import KEY_PATTERN, KeyKind, find_keys, hint_of, is_key, write_key

KEY = write_key("live", bytes(range(32)))


@pytest.mark.parametrize("kind", ["live", "test", "admin"])
def test_every_key_fits_the_pattern_that_scanners_are_given(kind: KeyKind) -> None:
    for secret in (bytes(32), b"\xff" * 32, bytes(range(32))):
        key = write_key(kind, secret)
        assert re.fullmatch(KEY_PATTERN, key)
        assert is_key(key)
        assert hint_of(key) == key[: len(f"rk_{kind}_") + 4]


def test_keys_are_found_wherever_they_stand_and_each_once() -> None:
    other = write_key("admin", bytes(32))
    text = f'RELAY_KEY="{KEY}"\ncurl -H "Authorization: Bearer {other}" https://x/?key={KEY}&a=1 _{other}_'

    assert find_keys(text) == [KEY, other]


def test_what_only_looks_like_a_key_is_none() -> None:
    typed_wrong = KEY[:-1] + ("1" if KEY[-1] != "1" else "2")
    part_of_more = f"x{KEY} {KEY}x"

    assert find_keys(f"{typed_wrong} {part_of_more} {KEY[:-1]} {KEY.replace('live', 'dead')}") == []
    assert not is_key(KEY + "\n")

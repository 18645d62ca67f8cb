"""Secrets at rest."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.errors import KeyRingError
from relay.store.ring_files import RingSource
from relay.store.sealing import KeyRing, write_key

KEY = bytes(range(32))
OTHER = bytes(range(32, 64))
PLACE = "accounts:password:acct_1"
RING = KeyRing.parse(write_key("k1", KEY))


def load(
    *,
    value: str | None,
    file: Path | None,
    data_dir: Path,
    create: bool,
    token: Callable[[int], bytes] = secrets.token_bytes,
) -> KeyRing:
    source = RingSource(value=value, file=file, data_dir=data_dir, create=create)
    return KeyRing.parse(source.read_first(token))


@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_was_sealed_opens_at_its_place(plain: bytes, place: str) -> None:
    assert RING.open(RING.seal(plain, place=place), place=place) == plain


def test_a_sealed_value_has_the_documented_layout() -> None:
    ring = KeyRing.parse(write_key("k1", KEY), token=lambda size_bytes: b"n" * size_bytes)
    expected = b"\x01\x02k1" + b"n" * 12 + AESGCM(KEY).encrypt(b"n" * 12, b"secret", PLACE.encode())
    assert ring.seal(b"secret", place=PLACE) == expected


def test_the_same_secret_never_looks_the_same_twice() -> None:
    assert RING.seal(b"secret", place=PLACE) != RING.seal(b"secret", place=PLACE)


def test_a_value_that_was_moved_does_not_open() -> None:
    with pytest.raises(KeyRingError, match=r"^accounts:password does not open with key 'k1'"):
        RING.open(RING.seal(b"secret", place=PLACE), place="accounts:password:acct_2")


def test_a_change_of_any_bit_is_noticed() -> None:
    sealed = RING.seal(b"secret", place=PLACE)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyRingError):
            RING.open(bytes(changed), place=PLACE)


@given(st.binary(max_size=60) | st.integers(0, 37).map(lambda size: RING.seal(b"secret", place=PLACE)[:size]))
def test_bytes_that_are_no_whole_sealed_value_are_refused(sealed: bytes) -> None:
    with pytest.raises(KeyRingError):
        RING.open(sealed, place=PLACE)


def test_an_old_key_opens_and_the_first_one_seals() -> None:
    changed = KeyRing.parse(f"{write_key('k2', OTHER)}\n{write_key('k1', KEY)}\n")
    old = RING.seal(b"secret", place=PLACE)
    assert changed.open(old, place=PLACE) == b"secret"
    assert not changed.is_current(old)
    new = changed.seal(b"secret", place=PLACE)
    assert changed.is_current(new)
    with pytest.raises(KeyRingError, match="sealed with key 'k2', which is not in the key ring"):
        RING.open(new, place=PLACE)


def test_another_key_under_the_same_id_does_not_open() -> None:
    with pytest.raises(KeyRingError, match="does not open with key 'k1'"):
        KeyRing.parse(write_key("k1", OTHER)).open(RING.seal(b"secret", place=PLACE), place=PLACE)


@pytest.mark.parametrize(
    "text",
    [
        f"{write_key('k1', KEY)}",
        f"# made on a Monday, by hand\n\n  {write_key('k1', KEY)}  \n",
        f"{write_key('k1', KEY)},{write_key('k2', OTHER)}",
        f"{write_key('k1', KEY)}\r\n{write_key('k2', OTHER)}\r\n",
    ],
)
def test_a_ring_may_have_comments_blanks_and_commas(text: str) -> None:
    assert KeyRing.parse(text).open(RING.seal(b"secret", place=PLACE), place=PLACE) == b"secret"


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(KEY).decode(),
        f"k1={base64.b64encode(KEY).decode()}",
        write_key("k1", KEY[:31]),
        write_key("k1", KEY + b"x"),
        write_key("", KEY),
        write_key("k 1", KEY),
        write_key("k" * 33, KEY),
        "k1:" + "ä" * 44,
        f"{write_key('k2', OTHER)}\n{write_key('k1', KEY)[:-1]}",
        f"{write_key('k1', KEY)}\n{write_key('k1', OTHER)}",
        "",
        "# nothing",
    ],
)
def test_a_wrong_ring_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(KeyRingError, match="key ring") as caught:
        KeyRing.parse(text)
    assert base64.b64encode(KEY).decode()[:8] not in str(caught.value)


def test_no_key_is_shown() -> None:
    shown = f"{RING!r} {RING} {vars(RING)}"
    assert repr(RING) == "KeyRing(active='k1', keys=1)"
    assert base64.b64encode(KEY).decode() not in shown
    assert repr(KEY) not in shown


def test_a_first_start_makes_a_private_ring_and_the_next_one_uses_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "var"
    made = load(value=None, file=None, data_dir=data_dir, create=True)
    sealed = made.seal(b"secret", place=PLACE)
    again = load(value="", file=None, data_dir=data_dir, create=False)
    assert again.open(sealed, place=PLACE) == b"secret"
    assert again.is_current(sealed)
    assert [path.name for path in data_dir.iterdir()] == ["keyring"]
    assert (data_dir / "keyring").stat().st_mode & 0o777 == 0o600
    assert data_dir.stat().st_mode & 0o077 == 0


def test_a_ring_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    own = tmp_path / "keyring"
    own.touch(mode=0o600)
    with pytest.raises(KeyRingError, match="holds no key"):
        load(value=None, file=None, data_dir=tmp_path, create=True)
    assert own.read_bytes() == b""


def test_a_missing_ring_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match=r"there is no key ring at .*/keyring: restore .* set RELAY_KEYRING_FILE to"):
        load(value=None, file=None, data_dir=tmp_path, create=False)
    with pytest.raises(KeyRingError, match=r"there is no key ring at .*/named: restore .* set RELAY_KEYRING_FILE to"):
        load(value=None, file=tmp_path / "named", data_dir=tmp_path, create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mode", "own", "named"), [(0o600, 1, 1), (0o400, 1, 1), (0o440, 0, 1), (0o640, 0, 1)])
@pytest.mark.parametrize("is_named", [False, True])
def test_a_group_may_read_only_a_ring_that_the_operator_names(
    tmp_path: Path, mode: int, own: int, named: int, is_named: bool
) -> None:
    assert_mode(tmp_path, mode, is_named, bool(named if is_named else own))


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o602, 0o666, 0o620])
@pytest.mark.parametrize("is_named", [False, True])
def test_a_ring_that_others_can_use_is_refused_with_the_fix(tmp_path: Path, mode: int, is_named: bool) -> None:
    assert_mode(tmp_path, mode, is_named, False)


def assert_mode(tmp_path: Path, mode: int, is_named: bool, is_fine: bool) -> None:
    path = tmp_path / "keyring"
    path.write_text(write_key("k1", KEY))
    path.chmod(mode)
    file = path if is_named else None
    if is_fine:
        load(value=None, file=file, data_dir=tmp_path, create=False)
    else:
        with pytest.raises(KeyRingError, match=f"has mode {mode:04o}, so others can use it: chmod 600 "):
            load(value=None, file=file, data_dir=tmp_path, create=False)


def test_a_value_wins_over_the_file_that_was_made(tmp_path: Path) -> None:
    load(value=None, file=None, data_dir=tmp_path, create=True)
    given_ring = load(value=write_key("k1", KEY), file=None, data_dir=tmp_path, create=True)
    assert given_ring.is_current(RING.seal(b"", place=PLACE))


def test_a_value_and_a_file_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="keep one"):
        load(value=write_key("k1", KEY), file=tmp_path / "keyring", data_dir=tmp_path, create=True)


def test_a_directory_or_bytes_are_no_ring(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match=r"cannot be read \(Is a directory\)"):
        load(value=None, file=tmp_path, data_dir=tmp_path, create=False)
    (tmp_path / "keyring").touch(mode=0o600)
    (tmp_path / "keyring").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyRingError, match="is not text"):
        load(value=None, file=None, data_dir=tmp_path, create=False)


def test_a_ring_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyRingError, match="no key ring can be made"):
        load(value=None, file=None, data_dir=tmp_path / "file" / "var", create=True)


def test_the_process_that_comes_second_takes_the_ring_of_the_first(tmp_path: Path) -> None:
    first: list[KeyRing] = []

    def token(size_bytes: int) -> bytes:
        # The other process makes its ring while this one draws its random bytes.
        if not first:
            first.append(RING)
            (tmp_path / "keyring").touch(mode=0o600)
            (tmp_path / "keyring").write_text(write_key("k1", KEY))
        return os.urandom(size_bytes)

    second = load(value=None, file=None, data_dir=tmp_path, create=True, token=token)
    assert second.is_current(RING.seal(b"", place=PLACE))
    assert [path.name for path in tmp_path.iterdir()] == ["keyring"]

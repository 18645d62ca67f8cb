from datetime import UTC, datetime
from pathlib import Path

from relay.cli.doctor import check_data_dir, check_key_ring
from relay.domain.keyring import KeyRingView, RingHolderView, RingKeyView


def test_a_good_data_directory_is_made_and_its_disk_measured(tmp_path: Path) -> None:
    findings = list(check_data_dir(tmp_path / "var"))

    assert [finding.check for finding in findings] == ["data dir", "disk"]
    assert findings[0].verdict == "ok"
    assert findings[1].found.startswith("fsync takes ")
    assert list((tmp_path / "var").iterdir()) == []


def test_a_data_directory_that_is_a_file_fails_with_advice(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")

    (finding,) = check_data_dir(tmp_path / "var")

    assert (finding.check, finding.verdict) == ("data dir", "fail")
    assert finding.advice is not None
    assert "RELAY_DATA_DIR" in finding.advice


def test_a_key_ring_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "keyring").write_text("secret")
    (tmp_path / "keyring").chmod(0o640)

    finding = list(check_data_dir(tmp_path))[-1]

    assert (finding.check, finding.verdict) == ("key ring", "warn")
    assert finding.advice == f"chmod 600 {tmp_path / 'keyring'}"


def test_a_key_ring_of_the_owner_alone_is_not_mentioned(tmp_path: Path) -> None:
    (tmp_path / "keyring").write_text("secret")
    (tmp_path / "keyring").chmod(0o600)

    assert [finding.check for finding in check_data_dir(tmp_path)] == ["data dir", "disk"]


SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def ring(*keys: RingKeyView, stale_values: int = 0, gateway: str = "k2") -> KeyRingView:
    holder = RingHolderView(name="host:1", active=gateway, key_ids=[gateway])
    return KeyRingView(active="k2", stale_values=stale_values, keys=list(keys), gateways=[holder])


def ring_key(key_id: str, *, since: datetime | None = SINCE, values: int = 0) -> RingKeyView:
    return RingKeyView(
        id=key_id,
        active=key_id == "k2",
        present=True,
        created_at=since,
        activated_at=since,
        values={"accounts": values} if values else {},
    )


def test_what_is_left_of_a_rotation_is_told_with_the_command_that_ends_it() -> None:
    assert [finding.verdict for finding in check_key_ring(ring(ring_key("k2")))] == ["ok"]
    left = ring(ring_key("k2"), ring_key("k1", values=3), ring_key("k0"), ring_key("k3", since=None), stale_values=3)
    assert [(finding.verdict, finding.advice) for finding in check_key_ring(left)] == [
        ("warn", "relay keyring reencrypt"),
        ("warn", "relay keyring remove k0"),
        ("warn", "relay keyring rotate"),
    ]
    (lagging,) = check_key_ring(ring(ring_key("k2"), gateway="k1"))
    assert lagging.found == "gateway host:1 seals with k1, not k2"

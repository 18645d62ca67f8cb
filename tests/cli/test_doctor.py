from pathlib import Path

from relay.cli.doctor import check_data_dir


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

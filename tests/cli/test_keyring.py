"""``relay keyring`` without a gateway: every way in which a ring may be kept, from one key to the next."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import relay
from relay.store.sealing import read_keys, write_key


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var"), "RELAY_LOG_LEVEL": "warning"}


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(relay, ("keyring", *arguments), env=environ)


def done(environ: dict[str, str], *arguments: str) -> str:
    result = run(environ, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def status(environ: dict[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(done(environ, "status", "--json"))
    return shown


def ids(text: str) -> list[str]:
    return [key_id for key_id, _ in read_keys(text)]


def test_a_file_is_rotated_and_let_go_of_in_two_commands(environ: dict[str, str], tmp_path: Path) -> None:
    (old,) = [key["id"] for key in status(environ)["keys"]]
    rotated = json.loads(done(environ, "rotate", "--json"))
    path = tmp_path / "var" / "keyring"
    assert ids(path.read_text()) == [rotated["active"], old]
    assert rotated == {"active": rotated["active"], "resealed": 0, "unreadable": 0, "removable": [old]}
    assert status(environ)["active"] == rotated["active"]
    assert done(environ, "remove", old, "--yes") == f"The key {old} is gone.\n"
    assert ids(path.read_text()) == [rotated["active"]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = run(environ, "remove", rotated["active"], "--yes")
    assert (refused.exit_code, refused.stderr.startswith("relay: refused: This is the active key")) == (1, True)
    assert run(environ, "remove", "k7", "--yes").exit_code == 1
    assert run(environ, "activate", "k7").exit_code == 1
    entries = CliRunner().invoke(relay, ["audit", "export", "--action", "keyring.*"], env=environ).stdout.splitlines()
    assert [(entry["action"], entry["target"]) for entry in map(json.loads, entries)] == [
        ("keyring.key_added", rotated["active"]),
        ("keyring.rotated", rotated["active"]),
        ("keyring.key_removed", old),
    ]


def test_a_removal_asks_first_and_people_see_a_table(environ: dict[str, str]) -> None:
    (old,) = [key["id"] for key in status(environ)["keys"]]
    done(environ, "rotate")
    assert run(environ, "remove", old).exit_code == 1
    lines = done(environ, "status").splitlines()
    assert lines[0].split()[:3] == ["ID", "ACTIVE", "PRESENT"]
    assert [line.split()[0] for line in lines[1:3]][1] == old


def test_a_ring_that_cannot_be_written_is_printed_step_by_step(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "mounted"

    def bring(text: str) -> str:
        path.unlink(missing_ok=True)
        path.touch(mode=0o440)
        path.chmod(0o640)
        path.write_text(text)
        path.chmod(0o440)
        return text

    bring(write_key("k1", bytes(32)) + "\n")
    environ = environ | {"RELAY_ENV": "production", "RELAY_KEYRING_FILE": str(path)}
    added = done(environ, "add", "--print")
    assert ids(added)[0] == "k1"
    new = ids(bring(added))[1]
    assert ids(bring(done(environ, "activate", new, "--print"))) == [new, "k1"]
    assert json.loads(done(environ, "reencrypt", "--json"))["removable"] == ["k1"]
    assert ids(bring(done(environ, "remove", "k1", "--yes", "--print"))) == [new]
    assert [(key["id"], key["present"]) for key in status(environ)["keys"]] == [(new, True), ("k1", False)]
    assert done(environ, "remove", "k1", "--yes") == "The key k1 is gone.\n"
    assert [key["id"] for key in status(environ)["keys"]] == [new]


def test_a_ring_in_the_environment_comes_to_its_next_value_by_running_rotate_again(environ: dict[str, str]) -> None:
    environ = environ | {"RELAY_ENV": "production", "RELAY_KEYRING": write_key("k1", bytes(32))}
    assert status(environ)["active"] == "k1"
    first = run(environ, "rotate")
    assert "restart every gateway with this value" in first.stderr
    environ["RELAY_KEYRING"] = first.stdout.strip()
    new = ids(first.stdout)[1]
    environ["RELAY_KEYRING"] = json.loads(done(environ, "rotate", "--json"))["key_ring"]
    assert ids(environ["RELAY_KEYRING"]) == [new, "k1"]
    assert done(environ, "reencrypt").startswith(f"The key {new} seals everything; ")
    environ["RELAY_KEYRING"] = done(environ, "remove", "k1", "--yes").strip()
    assert ids(environ["RELAY_KEYRING"]) == [new]
    done(environ, "remove", "k1", "--yes")
    (key,) = status(environ)["keys"]
    assert (key["id"], key["activated_at"] is not None) == (new, True)


def test_a_ring_that_is_not_the_databases_ends_every_command_with_the_reason(environ: dict[str, str]) -> None:
    (key,) = status(environ)["keys"]
    wrong = run(environ | {"RELAY_KEYRING": write_key("k9", bytes(32))}, "status")
    assert (wrong.exit_code, wrong.stdout) == (3, "")
    assert wrong.stderr.startswith(f"relay: key ring: the key ring lacks '{key['id']}', which sealed values in this")

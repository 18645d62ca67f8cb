import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import relay
from relay.domain.teams import is_key


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(relay, arguments, env=environ)


def test_the_first_admin_key_is_made_on_an_empty_directory(environ: dict[str, str]) -> None:
    made = run(environ, "keys", "create", "--scope", "admin", "--json")

    key = json.loads(made.stdout)
    assert made.exit_code == 0
    assert sorted(key) == ["id", "secret"]
    assert key["id"].startswith("key_")
    assert key["secret"].startswith("rk_admin_")
    assert is_key(key["secret"])


def test_without_json_id_and_secret_are_two_lines(environ: dict[str, str]) -> None:
    made = run(environ, "keys", "create", "--scope", "admin")

    key_id, secret = made.stdout.splitlines()
    assert (key_id[:4], is_key(secret)) == ("key_", True)


def test_a_key_for_a_team_that_does_not_exist_is_refused(environ: dict[str, str]) -> None:
    refused = run(environ, "keys", "create", "--scope", "team", "--team", f"team_{'0' * 32}")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "relay: refused: The key cannot be made. /team_id there is no such team\n"


def test_production_without_a_key_ring_makes_no_key(environ: dict[str, str]) -> None:
    refused = run(environ | {"RELAY_ENV": "production"}, "keys", "create", "--scope", "admin")

    assert (refused.exit_code, refused.stdout) == (3, "")
    assert refused.stderr.startswith("relay: key ring: ")


def test_doctor_is_content_with_what_migrate_and_keys_made(environ: dict[str, str], tmp_path: Path) -> None:
    assert json.loads(run(environ, "migrate", "--json").stdout)["revision"]
    run(environ, "keys", "create", "--scope", "admin")

    examined = run(environ, "doctor", "--json")

    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(examined.stdout)}
    assert examined.exit_code == 0
    assert (verdicts["settings"], verdicts["data dir"], verdicts["database"]) == ("ok", "ok", "ok")
    assert stat.S_IMODE((tmp_path / "var" / "keyring").stat().st_mode) == 0o600


def test_doctor_says_how_to_make_a_key_ring(environ: dict[str, str]) -> None:
    examined = run(environ | {"RELAY_ENV": "production"}, "doctor", "--json")

    finding = next(finding for finding in json.loads(examined.stdout) if finding["check"] == "key ring")
    assert (examined.exit_code, finding["verdict"]) == (1, "fail")
    assert "RELAY_KEYRING_FILE" in finding["advice"]

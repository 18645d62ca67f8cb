import re
import tomllib
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from relay.config import Settings, describe, load
from relay.domain.errors import ConfigError

NAMES = [field.name for field in msgspec.structs.fields(Settings)]
MANUAL = resources.files("relay").joinpath("defaults.toml").read_text("utf-8")


def test_every_setting_has_a_default_and_every_default_is_a_setting() -> None:
    assert sorted(tomllib.loads(MANUAL)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_manual_states_unit_and_range_right_above_the_value(name: str) -> None:
    assert f"# [{describe(name)}]\n{name} = " in MANUAL


@pytest.mark.parametrize("name", NAMES)
def test_no_default_is_refused_when_the_environment_says_the_same(name: str) -> None:
    default = tomllib.loads(MANUAL)[name]
    text = ",".join(default) if isinstance(default, list) else str(default)

    assert getattr(load({f"RELAY_{name.upper()}": text}), name) == getattr(load({}), name)


def test_without_an_environment_the_database_is_in_the_data_directory() -> None:
    assert load({}).database_url == "sqlite:///./var/relay.db"
    assert load({"RELAY_DATA_DIR": "/srv/relay"}).database_url == "sqlite:////srv/relay/relay.db"


def test_the_environment_overrides_the_defaults_with_the_types_of_the_settings() -> None:
    settings = load(
        {
            "RELAY_PORT": "9000",
            "RELAY_DRAIN_S": "1.5",
            "RELAY_SANDBOX": "off",
            "RELAY_PUBLIC_URL": "https://sms.corp.example/",
            "RELAY_EGRESS_ALLOW_CIDRS": "10.0.0.0/8, fd00::/8",
            "RELAY_EGRESS_ALLOW_HOST_SUFFIXES": ".Corp.Example",
            "PATH": "/bin",
        }
    )

    assert (settings.port, settings.drain_s, settings.sandbox) == (9000, 1.5, "off")
    assert settings.public_url == "https://sms.corp.example"
    assert settings.egress_allow_cidrs == ("10.0.0.0/8", "fd00::/8")
    assert settings.egress_allow_host_suffixes == (".corp.example",)


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text(" 9001\n")

    assert load({"RELAY_PORT_FILE": str(tmp_path / "port")}).port == 9001


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / "level").write_text("debug")

    settings = load({"RELAY_PORT": "", "RELAY_LOG_LEVEL": " ", "RELAY_LOG_LEVEL_FILE": ""})

    assert (settings.port, settings.log_level) == (8080, "info")


def test_a_variable_and_its_file_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("9001")

    with pytest.raises(ConfigError, match=r"^RELAY_PORT and RELAY_PORT_FILE are both set: keep one$"):
        load({"RELAY_PORT": "1", "RELAY_PORT_FILE": str(tmp_path / "port")})


def test_a_file_that_is_missing_empty_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    for name, why in (("missing", "No such file"), ("empty", "is empty"), ("binary", "not UTF-8")):
        with pytest.raises(ConfigError, match=f"^RELAY_DATABASE_URL_FILE: .*{why}"):
            load({"RELAY_DATABASE_URL_FILE": str(tmp_path / name)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "eighty"),
        ("DRAIN_S", "-1"),
        ("DRAIN_S", "nan"),
        ("DRAIN_S", "inf"),
        ("ENV", "staging"),
        ("LOG_LEVEL", "INFO"),
        ("PUBLIC_URL", "sms.corp.example"),
        ("PUBLIC_URL", "https://user@sms.corp.example"),
        ("QUOTA_TIMEZONE", "Mars/Olympus"),
        ("QUOTA_TIMEZONE", "Asia"),
        ("QUOTA_TIMEZONE", "../../etc/passwd"),
        ("EGRESS_ALLOW_CIDRS", "10.0.0.1/8"),
        ("EGRESS_ALLOW_HOST_SUFFIXES", "*.example"),
        ("OPT_OUT_KEYWORDS", "T, 。"),
        ("OPT_OUT_KEYWORDS", "T，TD"),
        ("OPT_OUT_KEYWORDS", "x" * 21),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_its_unit_and_its_range(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({f"RELAY_{name}": value})

    assert str(refused.value) == f"RELAY_{name}: {value!r} is not allowed ({describe(name.lower())})"


@pytest.mark.parametrize("url", ["mysql://db/relay", "sqlite://relay.db", "sqlite:///", "postgresql://", "relay.db"])
def test_a_wrong_database_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^RELAY_DATABASE_URL: the value \(not shown\) is not allowed \(URL: "):
        load({"RELAY_DATABASE_URL": url})


def test_an_unknown_variable_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"^RELAY_PROT is no setting; the nearest one is RELAY_PORT$"):
        load({"RELAY_PROT": "1"})
    with pytest.raises(ConfigError, match="nearest one is RELAY_DATABASE_URL"):
        load({"RELAY_DATABASE_FILE": "/run/secrets/db"})


def test_service_links_of_kubernetes_are_named_as_what_they_are() -> None:
    with pytest.raises(ConfigError, match="enableServiceLinks: false"):
        load({"RELAY_SERVICE_HOST": "10.0.0.1"})


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        load({"RELAY_PROT": "1", "RELAY_PORT": "x", "RELAY_ENV": "y"})

    assert re.findall(r"RELAY_[A-Z]+(?= is no|:)", str(refused.value)) == ["RELAY_PROT", "RELAY_ENV", "RELAY_PORT"]


def test_settings_do_not_show_their_secrets() -> None:
    settings = load({"RELAY_KEYRING": "k1:hunter2", "RELAY_DATABASE_URL": "postgresql://relay:hunter2@db/relay"})

    assert "hunter2" not in f"{settings} {settings!r}"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"RELAY_RETENTION_EVENTS_DAYS": "91"}, ("RETENTION_EVENTS_DAYS", "RETENTION_CONTENT_DAYS")),
        ({"RELAY_RETENTION_RAW_DAYS": "91"}, ("RETENTION_RAW_DAYS", "RETENTION_CONTENT_DAYS")),
        ({"RELAY_RETENTION_CONTENT_DAYS": "401"}, ("RETENTION_CONTENT_DAYS", "RETENTION_MESSAGES_DAYS")),
        ({"RELAY_RETENTION_DELIVERIES_DAYS": "31"}, ("RETENTION_DELIVERIES_DAYS", "RETENTION_EVENTS_DAYS")),
        (
            {
                "RELAY_IDEMPOTENCY_KEEP_S": "2592000",
                **dict.fromkeys(
                    [f"RELAY_RETENTION_{kind}_DAYS" for kind in ("CONTENT", "EVENTS", "DELIVERIES", "RAW")], "29"
                ),
            },
            ("IDEMPOTENCY_KEEP_S", "RETENTION_CONTENT_DAYS"),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_nothing_with_numbers_in_it_may_be_kept_longer_than_they_are(
    environ: dict[str, str], named: tuple[str, str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environ)

    text = str(refused.value)
    assert text.startswith(f"RELAY_{named[0]}: ")
    assert f"RELAY_{named[1]}" in text
    assert ";" not in text


def test_times_that_are_equal_agree() -> None:
    days = ("CONTENT", "MESSAGES", "EVENTS", "DELIVERIES", "RAW")

    settings = load({f"RELAY_RETENTION_{kind}_DAYS": "7" for kind in days})

    assert settings.retention_content_days == settings.retention_raw_days == 7

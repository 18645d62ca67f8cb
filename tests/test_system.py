import os
from pathlib import Path

import pytest

from relay.domain.errors import SecretUnreadable
from relay.system import SystemSecrets


def secrets(*directories: Path, **environ: str) -> SystemSecrets:
    return SystemSecrets([str(directory) for directory in directories], environ)


@pytest.mark.parametrize("content", [b"word", b"word\n", b"word\r\n"])
async def test_a_file_is_read_without_the_end_of_its_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)

    assert await secrets(tmp_path).read(f"file:{tmp_path}/password") == "word"


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"x" * 129, b"\xff\xfe", b"nul\x00", b"y" * 10_000])
async def test_what_is_not_one_short_line_is_no_secret(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)

    with pytest.raises(SecretUnreadable) as raised:
        await secrets(tmp_path).read(f"file:{tmp_path}/password")

    assert "lines" not in str(raised.value)


async def test_no_link_and_no_path_leads_out_of_the_directories(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "password").write_text("word")
    (inside / "link").symlink_to(outside / "password")
    (inside / "real").write_text("good")
    (outside / "link").symlink_to(inside / "real")
    os.mkfifo(inside / "pipe")

    for path in (inside / "link", outside / "password", inside / "../out/password", inside, inside / "pipe"):
        with pytest.raises(SecretUnreadable):
            await secrets(inside).read(f"file:{path}")
    for reference in ("file:password", "file:", f"file:{inside}/none", "vault:x", "word", "file:/\0"):
        with pytest.raises(SecretUnreadable):
            await secrets(Path("/")).read(reference)
    assert await secrets(inside).read(f"file:{outside}/link") == "good"
    with pytest.raises(SecretUnreadable):
        await secrets().read(f"file:{inside}/real")


async def test_whether_there_is_a_file_elsewhere_is_not_told(tmp_path: Path) -> None:
    inside, there = tmp_path / "in", tmp_path / "there"
    there.write_text("word")
    said = set()
    for path in (there, tmp_path / "none", there / "below"):
        with pytest.raises(SecretUnreadable) as raised:
            await secrets(inside).read(f"file:{path}")
        said.add(str(raised.value))

    assert said == {f"the file is in no directory that secrets are read from: RELAY_SECRET_DIRS is {inside}"}


async def test_a_secret_is_followed_when_its_directory_is_replaced_as_kubernetes_does_it(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "password").write_text(version)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "password").symlink_to("..data/password")
    reader = secrets(tmp_path)
    assert await reader.read(f"file:{tmp_path}/password") == "one"

    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert await reader.read(f"file:{tmp_path}/password") == "two"


async def test_variables_are_read_but_not_the_gateways_own() -> None:
    given = secrets(SMS_PASSWORD="word", RELAY_KEYRING="k1:x", PGPASSWORD="x", EMPTY="")

    assert await given.read("env:SMS_PASSWORD") == "word"
    for name in ("RELAY_KEYRING", "PGPASSWORD", "EMPTY", "NONE", ""):
        with pytest.raises(SecretUnreadable):
            await given.read(f"env:{name}")

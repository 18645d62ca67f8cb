"""``relay doctor``: what a newcomer gets wrong, checked one by one, each with what to do about it."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import click
import msgspec

from relay.cli import exits
from relay.domain.errors import ConfigError, KeyRingError, SchemaMissing, StoreError, StoreInUse

if TYPE_CHECKING:  # nothing reads these at run time, and importing them takes longer than --help
    from relay.config import Settings
    from relay.domain.accounts import Account
    from relay.domain.keyring import KeyRingView

Verdict = Literal["ok", "warn", "fail"]

FSYNC_WARN_MS: Final = 20.0
"""A commit waits for one fsync; a disk with a write cache takes 0.1 to 5 ms, a worn or networked one more."""
REACH_S: Final = 3.0
MAKE_KEY_RING: Final = "(umask 077; echo k1:$(head -c 32 /dev/urandom | base64) > keyring), RELAY_KEYRING_FILE=keyring"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what was found, and what to do when it is not well."""

    check: str
    verdict: Verdict
    found: str
    advice: str | None = None


@click.command(short_help="Check settings, disk, key ring, database, provider.", epilog=exits.HELP)
@click.option("--json", "as_json", is_flag=True, help="Print a list of {check, verdict, found, advice}.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check settings, disk, key ring, database and the way to the provider.

    Each line says ok, warn or fail, and what to do. Exit code 1 when one fails. Works beside a running gateway;
    sends nothing, and makes nothing but the data directory where it is missing.
    """
    from relay.cli import running

    findings = running.run(_examine())
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:<5} {finding.check:<10} {finding.found}")
            if finding.advice is not None:
                click.echo(f"{'':<16} -> {finding.advice}")
    if any(finding.verdict == "fail" for finding in findings):
        ctx.exit(exits.FAILED)


async def _examine() -> list[Finding]:
    from relay.cli import running

    try:
        settings = running.settings()
    except ConfigError as error:
        advice = "correct the environment; relay/defaults.toml is the manual"
        return [Finding(check="settings", verdict="fail", found=str(error), advice=advice)]
    findings = [Finding(check="settings", verdict="ok", found=f"{settings.env}, port {settings.port}")]
    findings.extend(check_data_dir(Path(settings.data_dir)))
    findings.extend([finding async for finding in _check_store(settings)])
    return findings


def check_data_dir(path: Path) -> Iterator[Finding]:
    """Whether files can be made there, and how long one of them takes to be safe on the disk."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        took_ms = _fsync_ms(path)
    except OSError as exc:
        advice = f"make it a directory that user {os.getuid()} may write, or set RELAY_DATA_DIR"
        yield Finding(check="data dir", verdict="fail", found=f"{path}: {exc.strerror}", advice=advice)
        return
    yield Finding(check="data dir", verdict="ok", found=f"{path.resolve()} can be written")
    slow = took_ms > FSYNC_WARN_MS
    yield Finding(
        check="disk",
        verdict="warn" if slow else "ok",
        found=f"fsync takes {took_ms:.1f} ms",
        advice="every commit waits for it: use a local disk with a write cache" if slow else None,
    )
    yield from _check_key_ring_file(path / "keyring")


def _fsync_ms(directory: Path) -> float:
    """Median of ten writes of 4 KiB, each made safe."""
    took = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(10):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _check_key_ring_file(path: Path) -> Iterator[Finding]:
    """Who else may read the key ring in the data directory; nothing when there is none. One that is named elsewhere is
    looked at when it is read: its group may read it."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return
    if mode & 0o077:
        found, advice = f"{path} may be read by others (mode {mode:o})", f"chmod 600 {path}"
        yield Finding(check="key ring", verdict="warn", found=found, advice=advice)


async def _check_store(settings: "Settings") -> AsyncIterator[Finding]:
    from relay import app
    from relay.services.admin.keyring import KeyRingAdmin
    from relay.system import SystemClock, SystemEntropy

    try:
        async with app.open_store(settings) as store:
            await store.check()
            yield Finding(check="database", verdict="ok", found="reachable, migrated, and the key ring opens it")
            for finding in check_key_ring(await KeyRingAdmin(store, SystemClock(), SystemEntropy()).view()):
                yield finding
            for account in await store.accounts():
                yield await _check_account(account)
    except (StoreError, KeyRingError) as error:
        yield _store_finding(error)


def check_key_ring(ring: "KeyRingView") -> Iterator[Finding]:
    """Whether one key seals everything, everywhere, and what is left of others."""
    left: list[tuple[str, str]] = []
    if ring.stale_values:
        left.append((f"{ring.stale_values} values are sealed by older keys", "relay keyring reencrypt"))
    for gateway in ring.gateways:
        if gateway.active != ring.active:
            advice = "bring it the key ring that is here; one with RELAY_KEYRING is to be restarted"
            left.append((f"gateway {gateway.name} seals with {gateway.active}, not {ring.active}", advice))
    for key in ring.keys:
        if key.active or key.values:
            continue
        if key.activated_at is None:
            left.append((f"the key {key.id} was added, and does not seal yet", "relay keyring rotate"))
        else:
            left.append((f"nothing needs the key {key.id} any more", f"relay keyring remove {key.id}"))
    for found, advice in left:
        yield Finding(check="key ring", verdict="warn", found=found, advice=advice)
    if not left:
        yield Finding(check="key ring", verdict="ok", found=f"the key {ring.active} seals everything")


def _store_finding(error: StoreError | KeyRingError) -> Finding:
    found = str(error) or (type(error).__doc__ or "")
    match error:
        case KeyRingError():
            advice = f"a new installation makes one: {MAKE_KEY_RING}; an old one restores its own from the backup"
            return Finding(check="key ring", verdict="fail", found=found, advice=advice)
        case SchemaMissing():
            advice = "run `relay migrate`"
        case StoreInUse():
            advice = "one SQLite file serves one process: stop the other one, or use PostgreSQL"
        case _:
            advice = "check RELAY_DATABASE_URL, and that the server runs and lets this user in"
    return Finding(check="database", verdict="fail", found=found, advice=advice)


async def _check_account(account: "Account") -> Finding:
    """Whether its server takes connections. Nothing is sent: no credentials, no message."""
    parts = urlsplit(account.base_url)
    if account.sandbox or parts.hostname is None:
        return Finding(check="provider", verdict="ok", found=f"account {account.name}: the sandbox")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"account {account.name}: {parts.hostname}:{port}"
    try:
        async with asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError) as exc:
        why = f"no answer in {REACH_S:.0f} s" if isinstance(exc, TimeoutError) else (exc.strerror or "unreachable")
        advice = "check base_url, DNS, and the firewall on the way out"
        return Finding(check="provider", verdict="fail", found=f"{where}: {why}", advice=advice)
    writer.close()
    return Finding(check="provider", verdict="ok", found=f"{where} takes connections")

"""``relay keyring``: the keys that seal secrets at rest, and coming from one to another with nobody stopped."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from relay.cli import exits
from relay.cli.administering import json_option, print_done

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.config import Settings
    from relay.services.admin.keyring import Progress
    from relay.services.admin.rotation import Rotation
    from relay.store.ring_files import RingSource

WAIT_S = 60.0

_print = click.option(
    "--print", "as_text", is_flag=True, help="Print the new key ring, which is secret, and write no file."
)
_wait = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=WAIT_S,
    show_default=True,
    help="Seconds to wait for running gateways, each time.",
)


@click.group(epilog=exits.HELP)
def keyring() -> None:
    """The key ring, which seals secrets at rest.

    One machine, or one file that all share: `rotate` does everything, then `remove` the old key. Machines with copies
    of their own (a Kubernetes secret): `add --print`, bring the text to all of them; `activate KEY_ID --print`, bring
    it again; `reencrypt`; `remove KEY_ID --print`. Running gateways follow a file within seconds. With the key ring in
    RELAY_KEYRING each command prints the value that comes next, changes nothing, and every gateway is to be restarted
    with it.
    """


@keyring.command(short_help="Keys by id, which is active, what each seals.", epilog=exits.HELP)
@json_option("the key ring, without its keys")
def status(as_json: bool) -> None:
    """Show the keys by their ids, which one is active, how many values each seals, and the running gateways."""
    from relay.cli import output, running

    async def ask(settings: "Settings") -> None:
        async with _opened(settings) as (admin, _):
            view = await admin.key_ring.view()
        if as_json:
            output.json_line(view)
            return
        output.table(view.keys, ("id", "active", "present", "values", "created_at", "activated_at"))
        if view.gateways:
            click.echo()
            output.table(view.gateways, ("name", "active", "key_ids"))
        if view.stale_values:
            click.echo(f"{view.stale_values} values are sealed by older keys: `relay keyring reencrypt`.", err=True)

    running.run(ask(_settings()))


@keyring.command(short_help="A new key, in use everywhere, and all values sealed by it.", epilog=exits.HELP)
@_wait
@json_option('{"active", "resealed", "unreadable", "removable"}')
def rotate(wait_s: float, as_json: bool) -> None:
    """Come to a new key: add it, wait until every running gateway has it, activate it, re-encrypt.

    Nobody is stopped, and nothing is lost when this is broken off: run it again, and it goes on. The old key stays in
    the ring, until `relay keyring remove`.
    """
    from relay.cli import output, running

    async def work(settings: "Settings") -> None:
        async with _opened(settings) as (admin, source):
            rotation = _rotation(admin, source, wait_s)
            standing = await admin.store.key_ring()
            if source.path is None and standing.pending is not None:
                await rotation.hand_out(standing.pending)
                _print_activated(source, standing.pending, as_json=as_json)
                return
            if source.path is None and not await rotation.is_unfinished():
                _print_added(source, as_json=as_json)
                return
            done = await (rotation.run() if source.path else rotation.finish(standing.active))
        if as_json:
            output.json_line(done)
            return
        click.echo(f"The key {done.active} seals everything; {done.resealed} values were sealed anew.")
        for key_id in done.removable:
            click.echo(f"Nothing needs the key {key_id} any more: `relay keyring remove {key_id}`.")

    running.run(work(_settings()))


@keyring.command(short_help="A new key that seals nothing yet.", epilog=exits.HELP)
@_print
@json_option('{"key_id": …}, or with --print {"key_ring": …}')
def add(as_text: bool, as_json: bool) -> None:
    """Add a new key, behind the others: it opens, and seals nothing before `activate`."""
    from relay.cli import output, running

    async def work(settings: "Settings") -> None:
        async with _opened(settings) as (admin, source):
            if as_text or source.path is None:
                _print_added(source, as_json=as_json)
                return
            key_id = await _rotation(admin, source, 0.0).add()
        if as_json:
            output.json_line({"key_id": key_id})
        else:
            click.echo(key_id)

    running.run(work(_settings()))


@keyring.command(short_help="This key seals from now on.", epilog=exits.HELP)
@click.argument("key_id")
@_wait
@_print
@json_option('{"active": …}, or with --print {"key_ring": …}')
def activate(key_id: str, wait_s: float, as_text: bool, as_json: bool) -> None:
    """Make a key of the ring the one that seals, once every running gateway has it."""
    from relay.cli import output, running

    async def work(settings: "Settings") -> None:
        async with _opened(settings) as (admin, source):
            rotation = _rotation(admin, source, wait_s)
            await rotation.check_known(key_id)
            await rotation.hand_out(key_id)
            if as_text or source.path is None:
                _print_activated(source, key_id, as_json=as_json)
                return
            await rotation.activate(key_id)
        if as_json:
            output.json_line({"active": key_id})

    running.run(work(_settings()))


@keyring.command(short_help="Seal with the active key what older ones sealed.", epilog=exits.HELP)
@_wait
@json_option('{"active", "resealed", "unreadable", "removable"}')
def reencrypt(wait_s: float, as_json: bool) -> None:
    """Seal with the active key what older keys sealed.

    A running gateway does the same by itself; this waits for the end, and shows it.
    """
    from relay.cli import output, running

    async def work(settings: "Settings") -> None:
        async with _opened(settings) as (admin, source):
            active = (await admin.store.key_ring()).active
            done = await _rotation(admin, source, wait_s).finish(active)
        if as_json:
            output.json_line(done)
        else:
            click.echo(f"The key {done.active} seals everything; {done.resealed} values were sealed anew.")

    running.run(work(_settings()))


@keyring.command(short_help="Let go of a key that nothing needs.", epilog=exits.HELP)
@click.argument("key_id")
@click.option("--yes", is_flag=True, help="Do not ask: backups from before the rotation need this key.")
@_print
@json_option('{"id": …, "removed": true}, or with --print {"key_ring": …}')
def remove(key_id: str, yes: bool, as_text: bool, as_json: bool) -> None:
    """Take a key out of the ring; refused while a value, or a running gateway, needs it.

    A backup of the database from before the rotation is worth nothing without it: keep the key where the backup's other
    keys are.
    """
    from relay.cli import running

    if not yes:
        click.confirm(f"Remove the key {key_id}? Backups that it sealed need it.", abort=True, err=True)

    async def work(settings: "Settings") -> None:
        from relay.domain.audit import COMMAND
        from relay.store.ring_files import removing

        async with _opened(settings) as (admin, source):
            if key_id not in (await admin.store.key_ring()).key_ids:
                await admin.key_ring.check_unused(key_id)
                await admin.key_ring.forget(key_id, COMMAND)
            elif as_text or source.path is None:
                await admin.key_ring.check_unused(key_id)
                _print_ring(source, lambda text: removing(text, key_id), as_json=as_json)
                again = f"Then: relay keyring remove {key_id}, once more, and the database forgets it, too"
                _advise(source, f"This is without {key_id}. Bring it to every gateway.", again)
                return
            else:
                await _rotation(admin, source, 0.0).remove(key_id)
        print_done(f"The key {key_id} is gone.", as_json=as_json, id=key_id, removed=True)

    running.run(work(_settings()))


def _settings() -> "Settings":
    from relay.cli import running

    settings = running.settings()
    running.log_as(settings)
    return settings


@asynccontextmanager
async def _opened(settings: "Settings") -> "AsyncIterator[tuple[Admin, RingSource]]":
    from relay import app
    from relay.domain.audit import COMMAND

    async with app.open_admin(settings) as admin:
        # Without a gateway a command is the first to see that somebody has changed the ring by hand.
        await admin.key_ring.note_active(COMMAND)
        yield admin, app.ring_source(settings)


def _rotation(admin: "Admin", source: "RingSource", wait_s: float) -> "Rotation":
    from relay.cli import output
    from relay.domain.audit import COMMAND
    from relay.services.admin.rotation import Rotation
    from relay.store.ring_files import EditedRing

    bar = output.progress("re-encrypting", length=0)

    def watch(progress: "Progress") -> None:
        nonlocal bar
        if progress.passed == 0:
            bar = output.progress("re-encrypting", length=progress.values)
        bar.update(progress.passed - bar.pos)
        if progress.passed == progress.values:
            bar.render_finish()

    return Rotation(
        admin.store,
        admin.key_ring,
        EditedRing(source),
        COMMAND,
        wait_s=wait_s,
        tell=lambda sentence: click.echo(sentence, err=True),
        watch=watch,
    )


def _print_added(source: "RingSource", *, as_json: bool) -> None:
    from relay.store.ring_files import adding

    made: list[str] = []

    def change(text: str) -> str:
        key_id, new = adding(text)
        made.append(key_id)
        return new

    _print_ring(source, change, as_json=as_json)
    _advise(
        source, f"This has a new key, {made[0]}. Bring it to every gateway.", f"Then: relay keyring activate {made[0]}"
    )


def _print_activated(source: "RingSource", key_id: str, *, as_json: bool = False) -> None:
    from relay.store.ring_files import activating

    _print_ring(source, lambda text: activating(text, key_id), as_json=as_json)
    _advise(source, f"Here {key_id} seals. Bring it to every gateway.", "Then: relay keyring reencrypt")


def _print_ring(source: "RingSource", change: Callable[[str], str], *, as_json: bool = False) -> None:
    new = change(source.read())
    if source.path is None:
        lines = [line for line in new.splitlines() if line and not line.startswith("#")]
        new = ",".join(lines) + "\n"
    if as_json:
        from relay.cli import output

        output.json_line({"key_ring": new.strip()})
    else:
        click.echo(new, nl=False)


def _advise(source: "RingSource", what: str, then: str) -> None:
    click.echo(what, err=True)
    if source.path is None:
        click.echo("RELAY_KEYRING is read at the start only: restart every gateway with this value.", err=True)
    click.echo(then, err=True)

"""Installing and operating it: init, install-service, doctor, backup."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.options import MOST, JsonOption, Places, find_database, new_family, run_holder_command, with_places
from syncd.cli.terminal import make_safe, print_json, render_size
from syncd.config.load import example_text
from syncd.config.places import init_path
from syncd.errors import SyncdError, UsageError
from syncd.files import create_text, follow_own_links, replace_text

if TYPE_CHECKING:  # imports what only the doctor needs
    from syncd.ops.doctor import Finding

app = new_family()

_SYSTEM_STEPS = """\
Next, as root:
  1. systemd-sysusers                                   makes the user and the group syncd
  2. syncd init --config /etc/syncd/config.toml         then edit it: group_read = true under [store], and
     chgrp syncd /etc/syncd/config.toml                 token_credential = "opentrain-token" for the account
     chmod 640 /etc/syncd/config.toml
  3. install -d -m 700 /etc/credstore                   the token, which only root can read there:
     (umask 077; cat > /etc/credstore/opentrain-token)
  4. systemctl daemon-reload
     systemctl enable --now syncd syncd-token.path syncd-backup.timer
  5. usermod -aG syncd NAME                             lets NAME read the inbox, and send through the daemon
syncd-notify.service is an example: give it your own command before you enable it."""

_USER_STEPS = """\
Next:
  1. syncd init              then edit it: the token by token_file or token_command, not by token_env
  2. systemctl --user daemon-reload
     systemctl --user enable --now syncd syncd-backup.timer
  3. loginctl enable-linger  keeps it running while you are not logged in
syncd-notify.service is an example: give it your own command before you enable it."""


@app.command()
@with_places
def doctor(places: Places, *, as_json: JsonOption = False) -> None:
    """Check everything that can go wrong, and say what to do; ends with 1 when something is wrong."""
    from syncd.cli import doctor as checks
    from syncd.ops.doctor import is_well

    findings = checks.examine(places)
    if as_json:
        print_json(checks.as_json(findings))
    else:
        for finding in findings:
            typer.echo(_render(finding))
    if not is_well(findings):
        raise typer.Exit(1)


@app.command()
@with_places
def backup(
    places: Places,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.", show_default=False)],
    *,
    keep: Annotated[
        int, typer.Option("--keep", min=1, max=MOST, help="How many copies to keep: FILE, FILE.1, FILE.2 …")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write a consistent, verified copy of the database, while the daemon runs or not."""
    from syncd.store.backup import back_up

    database = find_database(places)
    size = back_up(database, file, keep)
    with suppress(SyncdError):  # whoever may only read may back up; then an erasure can't name the copy
        run_holder_command(places, database, "backup_made", {"path": str(file.absolute())})
    if as_json:
        print_json({"path": str(file), "bytes": size})
    else:
        typer.echo(f"{make_safe(str(file))}: {render_size(size)}, verified")


@app.command()
@with_places
def install_service(
    places: Places,
    *,
    user: Annotated[bool, typer.Option("--user", help="For you alone, without root.")] = False,
) -> None:
    """Write the systemd units for this installation, change nothing else, and print what to do next."""
    from syncd.ops.units import render_system_units, render_user_units, write_units

    if places.config or places.db:
        raise UsageError("the service finds its configuration and database by itself; leave --config and --db out")
    executable = find_executable()
    texts = render_user_units(executable, _config_home()) if user else render_system_units(executable)
    try:
        changed = write_units(texts)
    except OSError as error:
        advice = "" if user else "; run this as root, or with --user for yourself alone"
        raise SyncdError(f"{error.filename} can't be written: {error.strerror}{advice}") from error
    for path in texts:
        typer.echo(f"{'Wrote' if path in changed else 'Already there:'} {make_safe(str(path))}")
    typer.echo(_USER_STEPS if user else _SYSTEM_STEPS)


def _render(finding: "Finding") -> str:
    about = f"{finding.account}: " if finding.account else ""
    advice = f"\n           → {finding.advice}" if finding.advice else ""
    return make_safe(f"{finding.verdict:<8} {finding.check}: {about}{finding.text}{advice}", newlines=True)


def find_executable() -> Path:
    """The `syncd` command of this installation."""
    for place in (Path(sys.prefix) / "bin" / "syncd", Path(sys.argv[0])):
        if place.name == "syncd" and place.is_file():
            return place.absolute()
    raise SyncdError("this syncd has no command of its own; install it, for example with pip in a venv below /opt")


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


# Setting up: init.


@app.command()
@with_places
def init(
    places: Places,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a configuration that is there.")] = False,
) -> None:
    """Write a commented configuration, to the place that --config names or your own."""
    target = places.config or init_path(os.environ)
    try:
        _write_private(target, example_text(), overwrite=force)
    except FileExistsError:
        raise SyncdError(f"{target} is there already; edit it, or overwrite it with --force") from None
    except OSError as error:
        raise SyncdError(f"{target} can't be written: {error.strerror}; name another place with --config") from error
    typer.echo(f"Wrote {target}")
    typer.echo(_next_steps(target, found_by_itself=target == init_path(os.environ)))


def _write_private(target: Path, text: str, *, overwrite: bool) -> None:
    """Write a file that only its owner may read, whole or not at all; FileExistsError unless it may be overwritten."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if overwrite:
        replace_text(follow_own_links(target), text)  # a link to the file stays a link
    else:
        create_text(target, text)


def _next_steps(target: Path, *, found_by_itself: bool) -> str:
    words = "" if found_by_itself else f" --config {target}"
    return (
        "Next:\n"
        "  1. Edit it: the account's name and where its token comes from.\n"
        f"  2. syncd{words} sync    mirrors the inbox once\n"
        f"  3. syncd{words} run     keeps it fresh"
    )

"""Setting up: init."""

import os
from pathlib import Path
from typing import Annotated

import typer

from syncd.cli.options import Places, new_family, with_places
from syncd.config.example import example_text
from syncd.config.places import init_path
from syncd.errors import SyncdError

app = new_family()


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
    if not overwrite and target.is_symlink():
        raise FileExistsError
    target = target.resolve() if overwrite else target  # a link to the file stays a link
    written = target.with_name(f".{target.name}.new") if overwrite else target
    if overwrite:
        written.unlink(missing_ok=True)
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if overwrite:
        written.replace(target)


def _next_steps(target: Path, *, found_by_itself: bool) -> str:
    words = "" if found_by_itself else f" --config {target}"
    return (
        "Next:\n"
        "  1. Edit it: the account's name and where its token comes from.\n"
        f"  2. syncd{words} sync    mirrors the inbox once\n"
        f"  3. syncd{words} run     keeps it fresh"
    )

"""Giving everything away: export."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from syncd.cli.options import MOST, JsonOption, Places, find_database, new_family, with_places
from syncd.cli.terminal import make_safe, print_json
from syncd.core.catalogue import Relation
from syncd.core.times import render_time
from syncd.errors import UsageError
from syncd.reports.export import ExportSnapshot, Format, Rows, as_dict, write_export
from syncd.store.database import Connection, fetch_version
from syncd.store.published import read_change_id, read_relation
from syncd.store.read import open_snapshot

SinceOption = Annotated[
    int | None,
    typer.Option(
        "--since",
        metavar="CHANGE_ID",
        min=0,
        max=MOST,
        show_default=False,
        help="Only what changed behind this transaction, and what was deleted; views are whole.",
    ),
]

app = new_family()


@app.command()
@with_places
def export(
    places: Places,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.", show_default=False)],
    *,
    form: Annotated[str, typer.Option("--format", metavar="csv|jsonl|parquet", help="What is written.")],
    since: SinceOption = None,
    spreadsheet: Annotated[
        bool, typer.Option("--spreadsheet", help="CSV that is safe to open in a spreadsheet: no formula runs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write every public table and view as a file, and a manifest with counts and checksums last.

    All files show the same instant. An export without a manifest, or with another checksum, is not whole. Its
    change_id is what the next --since takes.
    """
    if form not in get_args(Format):
        raise UsageError(f"--format takes csv, jsonl or parquet, not {make_safe(form)}")
    if spreadsheet and form != "csv":
        raise UsageError("--spreadsheet is for --format csv")
    with closing(open_snapshot(find_database(places))) as database:
        manifest = write_export(
            folder,
            _take_snapshot(database, since),
            cast("Format", form),
            spreadsheet=spreadsheet,
            version=version("syncd"),
        )
    if as_json:
        print_json(as_dict(manifest))
        return
    rows, newest = sum(file.rows for file in manifest.files), manifest.change_id
    typer.echo(f"{make_safe(str(folder))}: {len(manifest.files)} files, {rows:,} rows, up to change {newest}")


def _take_snapshot(database: Connection, since: int | None) -> ExportSnapshot:
    newest = read_change_id(database)
    if since is not None and since > newest:
        raise UsageError(f"--since {since} lies ahead: the last transaction is {newest}; is this another database?")
    return ExportSnapshot(
        change_id=newest,
        schema_version=fetch_version(database),
        exported_at=render_time(datetime.now(UTC)),
        relations=_relations(database, since),
        since=since,
    )


def _relations(database: Connection, since: int | None) -> Iterator[tuple[Relation, Rows]]:
    from syncd.store.tables import DELETIONS, describe_catalogue

    catalogue = describe_catalogue()
    deletions = () if since is None else (DELETIONS,)
    for relation in (*catalogue.tables, *catalogue.views, *deletions):
        yield relation, read_relation(database, relation, since)

"""What the doctor finds where the mirror is published."""

from contextlib import closing
from threading import Timer
from typing import TYPE_CHECKING

from syncd.cli.database import find_database
from syncd.cli.options import Places
from syncd.cli.publishing import connect_target
from syncd.errors import SyncdError
from syncd.ops.doctor import Finding, judge_target, problem
from syncd.publish.address import name_target
from syncd.store.published import Changes

if TYPE_CHECKING:  # slow to import, and only wanted where something is published
    from syncd.config.models import PublishSettings
    from syncd.publish.standing import Standing

_PATIENCE_SECONDS = 20.0


def examine_target(places: Places, wanted: "PublishSettings | None") -> list[Finding]:
    """Whether it is reached, and how far it is; nothing where nothing is to be published, or nothing is there to be."""
    if wanted is None:
        return []
    try:
        changes = Changes(find_database(places))
    except SyncdError:
        return []  # said already
    try:
        with closing(changes):
            found = _look(changes, wanted)
    except SyncdError as error:
        return [problem("publish", str(error))]
    refusals = [str(refusal) for refusal in found.refusals]
    return judge_target(name_target(wanted.url, wanted.schema_name), found.version, found.behind, refusals)


def _look(changes: Changes, wanted: "PublishSettings") -> "Standing":
    with closing(connect_target(wanted)) as line, changes.look() as snapshot:
        from syncd.publish.standing import read_standing

        patience = Timer(_PATIENCE_SECONDS, line.cut, [f"has not answered for {_PATIENCE_SECONDS:.0f} s"])
        patience.daemon = True
        patience.start()
        try:
            return read_standing(line, snapshot)
        finally:
            patience.cancel()

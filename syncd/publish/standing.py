"""How a target stands, for whoever only looks: nothing is locked or written."""

from msgspec import Struct

from syncd.errors import PublishError
from syncd.publish.changes import Snapshot
from syncd.publish.connection import Line
from syncd.publish.places import judge, read_places
from syncd.publish.target_schema import read_version


class Standing(Struct, frozen=True, kw_only=True):
    """The schema's version, 0 where there is none; how many changes of the mirror are not there yet.

    `refusals`: why accounts are not ours to write.
    """

    version: int
    behind: int
    refusals: tuple[PublishError, ...] = ()


def read_standing(line: Line, snapshot: Snapshot) -> Standing:
    """Compare the target with the mirror; raises PublishError, for a schema that a newer syncd has made too."""
    accounts = snapshot.read_accounts()
    with line.transaction() as cursor:
        version = read_version(cursor, line)
        places = read_places(cursor, line, accounts) if version else []
    begun = [place.place for place in places] if len(places) == len(accounts) else []
    verdicts = (judge(place, snapshot, line) for place in places)
    refusals = tuple(verdict for verdict in verdicts if verdict is not None)
    return Standing(version=version, behind=snapshot.newest - min(begun, default=0), refusals=refusals)

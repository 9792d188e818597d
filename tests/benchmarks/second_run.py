"""What each tool's second run sees of what happened since its first, and how many requests that costs."""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Command, configure, measure, module, syncd
from benchmarks.report import Report, say
from benchmarks.tools import DLT, PLAIN, SYNCD, has_dlt
from syncd.simulator import Simulator, World

_MIRROR = ".local/state/syncd/syncd.db"
_NEWS = "Are you there?"
_EDITED = "I wrote this anew."


@dataclass(frozen=True)
class _Happened:
    """What happened between the two runs, by the ids that tell it."""

    new: str
    edited: str
    silently_edited: str
    read: str
    deleted: str
    interviewed: str


@dataclass(frozen=True)
class _Contestant:
    """`present` and `interview`: SQL that a deleted message and a new interview are looked for with."""

    name: str
    command: Callable[[Simulator, Path], Command]
    database: str
    unread: str
    present: str = "SELECT 1 FROM messages WHERE id = ?"
    interview: str | None = None


def measure_second_runs(*, with_dlt: bool = True) -> Report:
    """Each tool mirrors, the same things happen, and it mirrors again; then its database is asked."""
    report = Report(
        "second run",
        "what a second run sees",
        ("", "new message", "edit", "silent edit", "read", "deletion", "interview", "requests, of the first run's"),
    )
    for contestant in _CONTESTANTS:
        if contestant.name != DLT or (with_dlt and has_dlt()):
            seen, first, second = _run_twice(contestant)
            report.rows.append((contestant.name, *map(_yes_or_no, seen), f"{second} of {first}"))
            report.figures[contestant.name] = {"seen": seen, "first_requests": first, "second_requests": second}
            say(f"{contestant.name}: {second} requests")
    report.notes.append("a silent edit is one that does not touch the conversation's `updatedAt`")
    report.notes.append("the plain script and dlt do not ask for interviews at all, syncd does from its first run on")
    return report


def _run_twice(contestant: _Contestant) -> tuple[list[bool], int, int]:
    """What the second run saw, and the requests of both."""
    world = World.generate(4, conversations=60, messages=3_000)
    with Simulator(world) as sim, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        home = Path(folder)
        _run(contestant, sim, home)
        first = len(sim.requests)
        happened = _let_happen(world)
        _run(contestant, sim, home)
        with closing(sqlite3.connect(f"file:{home / contestant.database}?mode=ro", uri=True)) as database:
            return _ask(contestant, database, happened), first, len(sim.requests) - first


def _run(contestant: _Contestant, sim: Simulator, home: Path) -> None:
    command, environ = contestant.command(sim, home)
    measure(command, environ | {"OT_API_TOKEN": sim.token})


def _let_happen(world: World) -> _Happened:
    """One thing in each of six conversations."""
    talks = [
        talk for talk in world.conversations.values() if len(talk.messages) > 3 and not talk.unread and talk.proposal_id
    ]
    unread = next(talk for talk in world.conversations.values() if talk.unread)
    new, edited, silent, deleted = talks[:4]
    interviewed = next(p for p in world.proposals.values() if p.interview is None and p.job.owner == world.viewer)
    happened = _Happened(
        new=world.add_message(new.id, _NEWS),
        edited=edited.messages[-2].id,
        silently_edited=silent.messages[-2].id,
        read=unread.id,
        deleted=deleted.messages[-2].id,
        interviewed=interviewed.id,
    )
    world.edit_message(edited.id, happened.edited, _EDITED)
    world.edit_message(silent.id, happened.silently_edited, _EDITED, touch_updated=False)
    world.read_conversation(unread.id)
    world.delete_message(deleted.id, happened.deleted)
    world.interview_appears(happened.interviewed)
    return happened


def _ask(contestant: _Contestant, database: sqlite3.Connection, happened: _Happened) -> list[bool]:
    """New message, edit, silent edit, read, deletion, interview."""

    def finds(sql: str, *values: str) -> bool:
        return database.execute(sql, values).fetchone() is not None

    text = "SELECT 1 FROM messages WHERE id = ? AND content = ?"
    return [
        finds(text, happened.new, _NEWS),
        finds(text, happened.edited, _EDITED),
        finds(text, happened.silently_edited, _EDITED),
        finds(f"SELECT 1 FROM conversations WHERE id = ? AND {contestant.unread} = 0", happened.read),  # noqa: S608 - ours
        not finds(contestant.present, happened.deleted),
        contestant.interview is not None and finds(contestant.interview, happened.interviewed),
    ]


def _yes_or_no(seen: bool) -> str:  # noqa: FBT001 - it is rendered, and decides nothing
    return "yes" if seen else "no"


def _syncd(*words: str) -> Callable[[Simulator, Path], Command]:
    def command(sim: Simulator, home: Path) -> Command:
        configure(home, sim.url)
        return syncd(home, "sync", *words)

    return command


def _plain(sim: Simulator, home: Path) -> Command:
    return module("benchmarks.plain_script", sim.url, sim.token, str(home / "plain.db"))


def _dlt(sim: Simulator, home: Path) -> Command:
    return module("benchmarks.dlt_script", sim.url, sim.token, str(home), "8")


_GONE = "SELECT 1 FROM messages WHERE id = ? AND gone_at IS NULL"
_INTERVIEW = "SELECT 1 FROM interviews WHERE proposal_id = ? AND gone_at IS NULL"
_CONTESTANTS = (
    _Contestant(SYNCD, _syncd(), _MIRROR, "unread_count", _GONE, _INTERVIEW),
    _Contestant(f"{SYNCD} sync --full", _syncd("--full"), _MIRROR, "unread_count", _GONE, _INTERVIEW),
    _Contestant(PLAIN, _plain, "plain.db", "unread_count"),
    _Contestant(DLT, _dlt, "dlt.db", "unread_count"),
)

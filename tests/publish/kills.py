"""Publishers and PostgreSQLs that die by a real SIGKILL, and what is in the target afterwards."""

import random
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql

from crash.lane import Victims
from postgres import OWNER, PostgresServer
from publish.kill_scenes import LATE, KillScene, make_mirrors
from publish.pair import Pair

Side = Literal["publisher", "PostgreSQL"]
_SHORT = 3
"""How many kills of a scene and side the short version tries, evenly spread."""

_BATCH_ROWS = 20
_CONFIG = """\
[store]
path = "{database}"
[accounts.acme]
source = "opentrain"
base_url = "http://127.0.0.1:9"
token_env = "CRASH_TOKEN"
[publish]
url = "{url}"
"""
_KILLED, _DONE, _AWAY = -9, 0, 69


@dataclass(frozen=True)
class Stage:
    """A scene, the database that its target is copied from, and the boundaries of an undisturbed run."""

    scene: KillScene
    template: str
    boundaries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kill:
    """What became of one kill: where it struck, and each promise that was broken."""

    scene: str
    side: Side
    point: int
    struck: str
    broken: tuple[str, ...]


class KillLane:
    """Runs one trial after the other on a PostgreSQL of its own."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self._folder = folder
        self._server = server
        self._victims = Victims()
        self._count = 0
        self._stages: dict[str, Stage] = {}
        make_mirrors(folder)

    def close(self) -> None:
        """Let go of the processes."""
        self._victims.close()

    def prepare(self, scene: KillScene) -> Stage:
        """The target that the scene begins with, and how publishing goes without a kill; both are found once."""
        if scene.name not in self._stages:
            self._stages[scene.name] = self._find_stage(scene)
        return self._stages[scene.name]

    def _find_stage(self, scene: KillScene) -> Stage:
        template = f"stage_{scene.name.replace(' ', '_').replace('-', '_')}"
        url = self._server.url(template)
        with psycopg.connect(url, autocommit=True) as connection:
            scene.stage(connection, lambda mirror: self._publish_whole(mirror, template))
        stage = Stage(scene, template)
        folder, database = self._begin(stage)
        code = self._run(folder, database, scene)
        broken = list(self._compare(folder, database)) if code == _DONE else [f"lost: it ended with {code}"]
        assert not broken, f"{broken[:5]}, see {folder}"
        boundaries = tuple((folder / "trail").read_text(encoding="utf-8").split("\n"))
        self._end(folder, database)
        return Stage(scene, template, boundaries)

    def kill_at(self, stage: Stage, side: Side, point: int) -> Kill:
        """Kill that side at the boundary with this number, counted from 1, publish again, and compare."""
        folder, database = self._begin(stage)
        postmaster = self._server.pid if side == "PostgreSQL" else None
        code = self._run(folder, database, stage.scene, kill_at=point, postmaster=postmaster)
        broken = list(self._judge_end(side, code, folder))
        if not self._server.running:
            self._server.restart()
        broken += self._look_at_the_wreck(stage, folder, database)
        if (code := self._run(folder, database, stage.scene)) != _DONE:
            broken.append(f"lost: publishing again ended with {code}")
        broken += self._compare(folder, database)
        if not broken:
            self._end(folder, database)
        return Kill(stage.scene.name, side, point, stage.boundaries[point - 1], tuple(broken))

    def _judge_end(self, side: Side, code: int, folder: Path) -> Iterator[str]:
        """A publisher whose target dies says so in one line; one that had no more to ask of it has succeeded."""
        allowed = (_KILLED,) if side == "publisher" else (_AWAY, _DONE)
        if code not in allowed:
            yield f"lost: {side} was killed, and the publisher ended with {code}"
        if "Traceback" in (folder / "log").read_text(encoding="utf-8"):
            yield "lost: the publisher ended with a traceback"

    def _look_at_the_wreck(self, stage: Stage, folder: Path, database: str) -> Iterator[str]:
        """What is in the target right after the kill is what its place says."""
        with self._pair(folder, database) as pair:
            found = pair.target.execute("SELECT to_regclass('syncd._publish')").fetchone()
            if not stage.scene.in_step or found in (None, (None,)):
                return
            rows = pair.target.execute("SELECT place FROM syncd._publish").fetchall()
            yield from pair.differences(up_to=rows[0][0] if rows else 0)

    def _compare(self, folder: Path, database: str) -> Iterator[str]:
        with self._pair(folder, database) as pair:
            yield from pair.differences()
            try:
                pair.compare_views()
            except (AssertionError, psycopg.Error) as error:
                yield f"lost: the views differ: {error}"

    @contextmanager
    def _pair(self, folder: Path, database: str) -> Iterator[Pair]:
        with (
            closing(sqlite3.connect(f"file:{folder / 'syncd.db'}?mode=ro", uri=True)) as mirror,
            closing(self._server.connect(database, user=OWNER)) as target,
        ):
            target.execute("SET search_path TO syncd")
            yield Pair(mirror, target)

    def _publish_whole(self, mirror: str, database: str) -> None:
        folder = self._fresh_folder(mirror)
        code = self._run(folder, database, None)
        assert code == _DONE, f"staging ended with {code}, see {folder}"

    def _begin(self, stage: Stage) -> tuple[Path, str]:
        folder = self._fresh_folder(LATE)
        database = f"trial_{self._count}"
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
            *map(sql.Identifier, (database, stage.template, OWNER))
        )
        with self._server.connect() as connection:
            connection.execute(make)
        return folder, database

    def _end(self, folder: Path, database: str) -> None:
        shutil.rmtree(folder)
        with self._server.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def _run(self, folder: Path, database: str, scene: KillScene | None, **kill: Any) -> int:
        path = folder / "syncd.db"
        url = f"postgresql://{OWNER}@127.0.0.1:{self._server.port}/{database}"
        (folder / "config.toml").write_text(_CONFIG.format(database=path, url=url), encoding="utf-8")
        order = {
            "command": ["--config", str(folder / "config.toml"), "publish", *(scene.words if scene else ())],
            "environ": {"CRASH_TOKEN": "ot_pat_unused_0123456789abcdef"},
            "database": str(path),
            "now": "2026-07-01T00:00:00+00:00",
            "log": str(folder / "log"),
            "trail": str(folder / "trail"),
            "watch": "publish.target_boundaries",
            "batch_rows": _BATCH_ROWS,
        }
        return self._victims.run(order | kill)

    def _fresh_folder(self, mirror: str) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        shutil.copyfile(self._folder / mirror, folder / "syncd.db")
        return folder


@dataclass(frozen=True)
class KillTally:
    """What became of one share of a scene and side; `boundaries` is how many an undisturbed run has."""

    boundaries: int
    kills: tuple[Kill, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """Its row of the table."""
        return {"kills": len(self.kills)} | {harm: self._count(harm) for harm in ("lost", "doubled")}

    def _count(self, harm: str) -> int:
        return sum(any(line.startswith(harm) for line in kill.broken) for kill in self.kills)

    def describe_harm(self) -> str:
        """The first kills that broke a promise, for the person who has to mend it."""
        harmed = [kill for kill in self.kills if kill.broken]
        return "\n".join(
            f"{k.scene}, {k.side}, point {k.point} ({k.struck}): {'; '.join(k.broken[:3])}" for k in harmed[:5]
        )


def run_share(lane: KillLane, scene: KillScene, side: Side, stride: int | None) -> KillTally:
    """Kill this side at every stride-th boundary of the scene; None: at a few, evenly spread."""
    stage = lane.prepare(scene)
    count = len(stage.boundaries)
    if stride is None:
        points = range(1, count + 1, max(1, count // _SHORT))
    else:
        points = range(1 + random.randrange(stride), count + 1, stride)  # noqa: S311 - where to begin is no secret
    return KillTally(count, tuple(lane.kill_at(stage, side, point) for point in points))

"""One lane of the matrix: a server, and the processes that die and live on its data, one after the other."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from crash.scenes import BASE, LETTER, Inbox, Scene, build_inbox, leave_a_message
from crash.verdict import (
    Ending,
    look_at_the_wreck,
    open_to_read,
    read_events,
    read_log,
    read_waits,
    weigh,
    weigh_letter,
)
from syncd.simulator import Simulator

_CONFIG = """\
[store]
path = "{database}"
[accounts.acme]
source = "opentrain"
base_url = "{url}"
token_env = "CRASH_TOKEN"
poll_seconds = 0.1
idle_seconds = 0.1
concurrency = {concurrency}
[log]
level = "debug"
format = "json"
"""
_KILLED = -9
_RESTART = timedelta(seconds=10)


class Victims:
    """The program that forks a process for each run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crash.victim"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, order: dict[str, Any]) -> int:
        """Run one process to its end; its exit code, or minus the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code: int = json.loads(self._process.stdout.readline())["code"]
        return code

    def close(self) -> None:
        """End the program, which runs nothing now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@dataclass(frozen=True)
class Stage:
    """What a trial starts from: the scene, the files of its database, and how it ends when nobody is killed.

    `logged`: events that have had their line. `in_doubt`: ids of what may end otherwise after a kill, and is judged
    by itself.
    """

    scene: Scene
    files: Path
    logged: frozenset[int] = frozenset()
    boundaries: tuple[str, ...] = ()
    ending: Ending | None = None
    in_doubt: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Trial:
    """What became of one kill: where it struck (None: the process ended before), and each promise that was broken."""

    scene: str
    point: int
    struck: str | None
    broken: tuple[str, ...]


class Lane:
    """Runs trials one at a time; several lanes may run side by side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._victims = Victims()
        self._port = 0
        self._count = 0

    def close(self) -> None:
        """Let go of the processes."""
        self._victims.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, scene: Scene) -> Stage:
        """Make the database that the scene begins with, and see how the story goes without a kill."""
        files = self._fresh_folder()
        logged: frozenset[int] = frozenset()
        if scene.mirrored:
            self._mirror_and_leave_an_event(scene, files)
            with closing(open_to_read(files / "syncd.db")) as connection:
                logged = frozenset(event.event_id for event in read_events(connection, "logged_at IS NOT NULL"))
                assert read_events(connection, "logged_at IS NULL AND baseline = 0"), "no event is pending"
        return self._live(Stage(scene, files, logged))

    def _mirror_and_leave_an_event(self, scene: Scene, files: Path) -> None:
        plain = replace(scene, migration=None)
        with self._serving(replace(scene, mirrored=False)) as (sim, inbox):
            code = self._start(plain, sim, files, BASE - timedelta(hours=1))
            assert code == 0, f"the first pass ended with {code}, see {files}"
            if scene.sends:
                self._leave_a_letter(plain, sim, inbox, files)
            leave_a_message(inbox)
            code = self._start(plain, sim, files, BASE - timedelta(minutes=30), kill_on="event ")
        assert code == _KILLED, f"no event was left, see {files}"
        (files / "log").unlink()

    def _leave_a_letter(self, scene: Scene, sim: Simulator, inbox: Inbox, files: Path) -> None:
        """Put it into the outbox; the next run meets a server that takes none just then."""
        words = ["send", inbox.interviewed, LETTER, "--later"]
        code = self._start(scene, sim, files, BASE - timedelta(minutes=40), words=words)
        assert code == 0, f"the letter was not taken: {code}, see {files}"
        sim.faults.rate_limit(1, method="POST", times=None)

    def _live(self, stage: Stage) -> Stage:
        """How the story goes without a kill."""
        with self._serving(stage.scene) as (sim, inbox):
            folder = self._copy(stage)
            self._begin(stage.scene, sim, inbox, folder)
            boundaries = tuple((folder / "trail").read_text(encoding="utf-8").split("\n"))
            broken = list(self._go_on(stage.scene, sim, inbox, folder))
            ending = Ending.read(folder / "syncd.db", sim.world.truth(), read_log(folder / "log"), stage.logged)
        broken += weigh(ending, ending)
        assert not broken, f"{broken[:20]}, see {folder}"
        shutil.rmtree(folder)
        about = frozenset(inbox.about_letter() if stage.scene.sends else ())
        return replace(stage, boundaries=boundaries, ending=ending.without(about), in_doubt=about)

    def kill_at(self, stage: Stage, point: int) -> Trial:
        """Kill the daemon at the boundary with this number, counted from 1, restart it, and compare."""
        assert stage.ending is not None
        scene = stage.scene
        with self._serving(scene) as (sim, inbox):
            folder = self._copy(stage)
            code = self._begin(scene, sim, inbox, folder, kill_at=point)
            struck = (folder / "trail").read_text(encoding="utf-8").split("\n")[-1] if code == _KILLED else None
            before = read_log(folder / "log")
            broken = list(look_at_the_wreck(folder / "syncd.db", before))
            broken += self._go_on(scene, sim, inbox, folder)
            truth = sim.world.truth()
            ending = Ending.read(folder / "syncd.db", truth, read_log(folder / "log"), stage.logged)
        if scene.sends:
            broken += weigh_letter(folder / "syncd.db", truth, LETTER)
        broken += weigh(ending.without(stage.in_doubt), stage.ending)
        if code not in (0, _KILLED):
            broken.append(f"lost: the process ended with {code}")
        if not broken:
            shutil.rmtree(folder)
        return Trial(scene.name, point, struck, tuple(broken))

    def _begin(self, scene: Scene, sim: Simulator, inbox: Inbox, folder: Path, **kill: Any) -> int:
        step = scene.steps[0]
        inbox.time.at = BASE + step.at
        step.happens(sim, inbox)
        return self._start(scene, sim, folder, inbox.time.at, **kill)

    def _go_on(self, scene: Scene, sim: Simulator, inbox: Inbox, folder: Path) -> Iterator[str]:
        """The restarted daemon: first where the dead one was, then the rest of the story."""
        for number, step in enumerate(scene.steps):
            inbox.time.at = max(inbox.time.at, BASE + step.at)
            start = inbox.time.at + _RESTART
            if number > 0:
                step.happens(sim, inbox)
            until, sent = max(read_waits(folder / "log"), default=""), len(sim.requests)
            code = self._start(scene, sim, folder, start)
            if code != 0:
                yield f"lost: the restarted daemon ended with {code}"
            if scene.silent and until > start.strftime("%Y-%m-%dT%H:%M:%S") and len(sim.requests) != sent:
                yield f"lost: {len(sim.requests) - sent} requests were sent before {until}"

    def _start(self, scene: Scene, sim: Simulator, folder: Path, at: datetime, **order: Any) -> int:
        config, database = folder / "config.toml", folder / "syncd.db"
        config.write_text(
            _CONFIG.format(database=database, url=sim.url, concurrency=scene.concurrency), encoding="utf-8"
        )
        plain = {
            "command": ["--config", str(config), *order.pop("words", ["run"])],
            "environ": {"CRASH_TOKEN": sim.token},
            "database": str(database),
            "now": at.isoformat(),
            "log": str(folder / "log"),
            "trail": str(folder / "trail"),
            "migration": scene.migration,
        }
        return self._victims.run(plain | order)

    @contextmanager
    def _serving(self, scene: Scene) -> Iterator[tuple[Simulator, Inbox]]:
        """The scene's inbox as its database knows it, on the port that this lane's databases know."""
        inbox = build_inbox()
        if scene.mirrored:
            leave_a_message(inbox)
        with Simulator(inbox.world, quirks=scene.make_quirks(), port=self._port) as sim:
            self._port = sim.port
            yield sim, inbox

    def _fresh_folder(self) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        return folder

    def _copy(self, stage: Stage) -> Path:
        folder = self._fresh_folder()
        for file in stage.files.iterdir():
            if not file.is_socket():
                shutil.copyfile(file, folder / file.name)
        return folder

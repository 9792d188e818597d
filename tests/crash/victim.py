"""Runs the real `syncd` command in processes that die by a real SIGKILL at a chosen boundary.

This program loads everything once; for each order, a JSON line on standard input, it forks a process that counts the
boundaries it passes and kills itself at the one named. The answer is a JSON line with what became of it.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crash.boundaries import Boundaries, connect, watch_files, watch_log, watch_requests, watch_sql
from syncd import app
from syncd.cli import main as cli
from syncd.core.times import render_time
from syncd.sources import http
from syncd.store import migrate
from syncd.store.migrate import Migration, load_migrations

_MOST_POLLS = 60
_LONGEST_SECONDS = 60
_PATIENCE_SECONDS = 0.5


class Quiet:
    """Stops the daemon, as an administrator would, once it has nothing left to do."""

    def __init__(self, database: Path, now: Callable[[], str]) -> None:
        self._database = database
        self._now = now
        self._polls = 0

    def after_line(self, event: str) -> None:
        """Look after each poll, and at a start that may find a long wait: then nothing is to come for a while."""
        if event == "daemon.started" and self._is_told_to_wait():
            threading.Timer(_PATIENCE_SECONDS, os.kill, (os.getpid(), signal.SIGTERM)).start()
        if event == "poll":
            self._polls += 1
            if self._polls >= _MOST_POLLS or (self._polls > 1 and self._is_quiet()) or self._is_waiting():
                os.kill(os.getpid(), signal.SIGTERM)

    def _ask(self, sql: str, *parameters: str) -> bool:
        with closing(connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return bool(connection.execute(sql, parameters).fetchone()[0])

    def _is_quiet(self) -> bool:
        soon = (datetime.fromisoformat(self._now()) + timedelta(seconds=3)).isoformat()
        return not self._ask(
            "SELECT EXISTS(SELECT 1 FROM _owed WHERE due_at < ?) OR EXISTS(SELECT 1 FROM accounts WHERE complete_since"
            " IS NULL) OR EXISTS(SELECT 1 FROM _accounts WHERE json_extract(state, '$.reconciling_since') IS NOT NULL)",
            soon,
        )

    def _is_told_to_wait(self) -> bool:
        soon = (datetime.fromisoformat(self._now()) + timedelta(seconds=30)).isoformat()
        return self._ask("SELECT EXISTS(SELECT 1 FROM accounts WHERE retry_at > ?)", soon)

    def _is_waiting(self) -> bool:
        return self._ask("SELECT EXISTS(SELECT 1 FROM accounts WHERE state NOT IN ('ok', 'starting'))")


def steer_clock(start: str) -> Callable[[], str]:
    """Let the program believe that it was started at that time."""
    began, first = time.monotonic(), datetime.fromisoformat(start).astimezone(UTC)

    def now(_: Any = None) -> str:
        return render_time(first + timedelta(seconds=time.monotonic() - began))

    app.RealClock.now = now  # type: ignore[assignment,method-assign]  # a day passes in no time
    return now


def add_migration(script: str) -> None:
    """Make this a newer version of the program, which has one migration more."""
    known = load_migrations()
    newer = (*known, Migration(known[-1].version + 1, script))
    migrate.load_migrations = lambda: newer  # the point of it


def run(order: dict[str, Any]) -> int:
    """Be the process ordered: the real command, watched from outside."""
    boundaries = Boundaries(order)
    now = steer_clock(order["now"])
    quiet = Quiet(Path(order["database"]), now)
    watch_sql(boundaries)
    watch_requests(boundaries)
    watch_files(boundaries)
    watch_log(boundaries, quiet.after_line)
    if order.get("migration"):
        add_migration(order["migration"])
    if order.get("watch"):
        importlib.import_module(order["watch"]).watch(boundaries, order)
    os.environ.update(order["environ"])
    code = cli.run_command(order["command"])
    boundaries.write()
    _modules_file(order).write_text("\n".join(sys.modules), encoding="utf-8")
    return code


def _modules_file(order: dict[str, Any]) -> Path:
    return Path(f"{order['trail']}.modules")


def load_what_it_loaded(order: dict[str, Any]) -> bool:
    """Load what a run has loaded as it went, so that the next ones need not; whether there was such a run."""
    file = _modules_file(order)
    if not file.exists():
        return False
    for name in file.read_text(encoding="utf-8").split("\n"):
        with suppress(ImportError):
            importlib.import_module(name)
    http.load_trust()
    return True


def _become(order: dict[str, Any]) -> None:
    """In the fork: standard streams to the log file, then run and leave."""
    null, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number, descriptor in ((0, null), (1, log), (2, log)):
        os.dup2(descriptor, number)
    signal.alarm(_LONGEST_SECONDS)  # a run that hangs dies too, and is seen
    code = 99
    try:
        code = run(order)
    finally:
        os._exit(code)


def serve() -> None:
    """Fork a process for each order until standard input ends."""
    warm = False
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
        _, status = os.waitpid(child, 0)
        warm = warm or load_what_it_loaded(order)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()

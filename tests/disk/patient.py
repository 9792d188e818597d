"""A daemon whose disk or database is being hurt, and what it must show while it is and afterwards."""

from pathlib import Path

from homes import Home, Running
from oracle import differences
from syncd.simulator import Simulator


class Patient:
    """One account `acme` of a real daemon."""

    def __init__(self, home: Home, sim: Simulator) -> None:
        self.home = home
        self.sim = sim

    @property
    def db(self) -> Path:
        """Where the database lies."""
        return self.home.db

    def move_to(self, path: Path) -> None:
        """Keep the database there."""
        self.home.db = path
        self.home.environ["SYNCD_CONFIG"] = str(self.home.config)
        text = self.home.config.read_text(encoding="utf-8")
        self.home.config.write_text(f'[store]\npath = "{path}"\n{text}', encoding="utf-8")

    def start(self) -> Running:
        """A daemon that has mirrored all there is."""
        daemon = self.home.start("run")
        self.home.wait_until(self.is_well)
        return daemon

    def is_well(self) -> bool:
        """Whether the account is `ok`, as the database has it."""
        return self.db.exists() and self.home.states() == {"acme": "ok"}

    def hear(self, text: str) -> str:
        """A message comes, in the longest thread; its id."""
        return self.sim.world.add_message(self.sim.world.longest(), text)

    def check_paused(self, daemon: Running, why: str) -> None:
        """While it lasts: `status` and `check` say so, the log said it once, nothing is asked, and it does not end."""
        (row,) = self.home.run("status", "--json").data["accounts"]
        assert (row["state"], why in row["last_error"]) == ("paused", True), row
        said = self.home.wait_until(lambda: self.home.run("check", "--max-age", "1s").out.replace("ok\n", ""))
        assert "paused" in said
        polls = len(daemon.log("poll"))
        self.sim.requests.clear()
        daemon.wait_for("poll", count=polls + 2)
        assert len(self.sim.requests) == 0
        assert len(daemon.log("account.paused") + daemon.log("account.degraded")) == 1
        assert daemon.process.poll() is None
        assert not [line for line in daemon.log() if line["event"] in ("poll.failed", "poll.internal_error")]

    def check_recovered(self, daemon: Running) -> None:
        """Once the cause is gone: it goes on by itself, nothing is missing, and one event each tells of the episode."""
        daemon.wait_for("account.recovered")
        self.home.wait_until(lambda: not self.find_differences())
        assert (len(daemon.log("account.degraded")), len(daemon.log("account.recovered"))) == (1, 1)
        assert daemon.stop()[0] == 0
        kinds = self.home.rows("SELECT kind, count(*) AS n FROM events WHERE kind LIKE 'account.%' GROUP BY kind")
        assert [(row["kind"], row["n"]) for row in kinds] == [("account.degraded", 1), ("account.recovered", 1)]
        assert self.home.value("SELECT count(*) FROM events WHERE logged_at IS NULL AND NOT baseline") == 0

    def find_differences(self) -> list[str]:
        """How the mirror differs from the server."""
        return differences(self.db, self.sim.world.truth())

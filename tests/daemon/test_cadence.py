from datetime import datetime
from itertools import pairwise

from homes import Home
from syncd.simulator import Simulator

BUSY, IDLE = 0.2, 1.5


def gaps(sim: Simulator, token_id: str) -> list[float]:
    """Seconds between an account's looks at the head of the list, oldest first."""
    looks = [
        record.at for record in sim.requests.select(listing=True) if record.token_id == token_id and _is_head(record)
    ]
    return [later - earlier for earlier, later in pairwise(looks)]


def _is_head(record: object) -> bool:
    query = getattr(record, "query", {})
    return "cursor" not in query and "unread" not in " ".join(query)


def test_it_looks_often_while_busy_and_seldom_when_quiet(home: Home, sim: Simulator) -> None:
    """The pause grows from poll_seconds to idle_seconds and no further, falls back with a message, and delays none.

    An account that hangs beside it changes nothing of that, and no account is ever polled twice at once.
    """
    home.environ["STUCK"] = sim.world.add_token(scopes=["messages:read"])
    pace = {"base_url": sim.url, "poll_seconds": BUSY, "idle_seconds": IDLE}
    home.configure({"acme": pace, "stuck": {**pace, "token_env": "STUCK"}}, log={"level": "debug"})
    sim.faults.stall(token=home.environ["STUCK"], listing=True, times=None)
    daemon = home.start("run")
    daemon.wait_for("poll", account="acme")
    token_id = next(r.token_id for r in sim.requests if r.token_id and f"_{r.token_id}_" in sim.token)
    home.wait_until(lambda: len([gap for gap in gaps(sim, token_id) if gap >= IDLE]) >= 2)
    quiet = gaps(sim, token_id)
    growing = quiet[2 : next(n for n, gap in enumerate(quiet) if gap >= IDLE)]
    assert len(growing) >= 3
    message_id = sim.world.add_message(sim.world.longest(), "Is the offer still good? I could begin on Monday.")
    (row,) = home.wait_until(
        lambda: home.rows("SELECT created_at, first_seen_at FROM messages WHERE id = ?", message_id)
    )
    took = datetime.fromisoformat(row["first_seen_at"]) - datetime.fromisoformat(row["created_at"])
    assert took.total_seconds() <= IDLE + 5  # the machine may be busy
    before = len(gaps(sim, token_id))
    home.wait_until(lambda: len(gaps(sim, token_id)) >= before + 3)
    assert min(gaps(sim, token_id)[before : before + 3]) < IDLE
    assert not daemon.log("poll", account="stuck")
    assert daemon.stop()[0] == 0
    told = [line["event_id"] for line in daemon.log() if "event_id" in line]
    assert told == [row["id"] for row in home.rows("SELECT id FROM events WHERE baseline = 0 ORDER BY id")]


def test_an_account_is_polled_once_at_a_time(home: Home, sim: Simulator) -> None:
    """However many ask for a pass while the daemon polls, one look is over before the next begins."""
    open_looks: list[int] = []

    def count(_: object) -> None:
        open_looks.append(sum(1 for record in sim.requests if record.lists and record.status is None))

    sim.on_request = count
    sim.faults.delay(0.05, listing=True, times=None)
    home.configure({"acme": {"base_url": sim.url, "poll_seconds": 0.1, "idle_seconds": 0.1}})
    home.start("run").wait_for("history")
    callers = [home.start("sync") for _ in range(3)]
    assert [caller.end().code for caller in callers] == [0, 0, 0]
    assert max(open_looks) == 1

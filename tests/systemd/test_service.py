"""The service as an operator meets it, on a machine with a real systemd."""

import ctypes
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from machine import PROGRAM, Machine, await_true
from syncd.simulator import Simulator, World

pytestmark = pytest.mark.systemd

DATABASE = "/var/lib/syncd/syncd.db"
CONFIG = "/etc/syncd/config.toml"
TOKEN = "/etc/credstore/opentrain-token"


class Service:
    """syncd on the machine, mirroring the simulator."""

    def __init__(self, machine: Machine, sim: Simulator) -> None:
        self.machine = machine
        self.sim = sim

    def configure(self, *accounts: str, where: str = 'token_credential = "opentrain-token"') -> None:
        """Write the configuration, an account for each name."""
        tables = "".join(
            f'[accounts.{name}]\nsource = "opentrain"\nbase_url = "{self.sim.url}"\n{where}\n'
            "poll_seconds = 1\nidle_seconds = 2\n"
            for name in accounts
        )
        self.machine.write(CONFIG, f"[store]\ngroup_read = true\n{tables}")
        self.machine.run("chgrp", "syncd", CONFIG)
        self.machine.run("chmod", "640", CONFIG)

    def start(self) -> float:
        """Start it, which ends when it says READY; the answer is how many seconds that took."""
        began = time.monotonic()
        self.machine.run("systemctl", "start", "syncd")
        return time.monotonic() - began

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Read the database from outside, while whoever holds it goes on."""
        path = self.machine.tree / DATABASE.lstrip("/")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(query, values).fetchall()

    def states(self) -> dict[object, object]:
        """Each account's state."""
        return dict(self.ask("SELECT account, state FROM accounts WHERE removed_at IS NULL"))  # type: ignore[arg-type]  # two columns

    def await_state(self, state: str, account: str = "acme", seconds: float = 20) -> None:
        """Wait until the account is so."""
        await_true(lambda: self.states().get(account) == state, seconds, f"{account} is {state}, not {self.states()}")

    @property
    def pid(self) -> int:
        """Its process, as the host numbers it; 0 without one."""
        inside = self.machine.show("MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = next(
                    line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("NSpid:")
                )
            except (OSError, StopIteration):
                continue
            if numbers.split()[2:] == [inside] and _is_below(int(status.parent.name), self.machine.leader):
                return int(status.parent.name)
        return 0

    def held_messages(self) -> set[object]:
        """The ids of all messages held."""
        return {row[0] for row in self.ask("SELECT id FROM messages WHERE account = 'acme'")}

    def true_messages(self) -> set[str]:
        """The ids of all messages there are."""
        return {message["id"] for thread in self.sim.world.truth()["messages"].values() for message in thread}

    def lines(self, event: str) -> list[dict[str, object]]:
        """The log's lines of one event since the service was last set up."""
        found = [json.loads(line) for line in self.machine.journal("-o", "cat").splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]


def _is_below(pid: int, leader: int) -> bool:
    while pid > 1:
        if pid == leader:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return False


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A server with a few conversations."""
    with Simulator(World.generate(3, conversations=15, messages=300)) as running:
        yield running


@pytest.fixture
def service(machine: Machine, sim: Simulator) -> Iterator[Service]:
    """A service that was never started: no database, an empty log, one account whose token is a credential."""
    service = Service(machine, sim)
    machine.run("rm", "-rf", "/var/lib/syncd", "/etc/systemd/system/syncd.service.d")
    machine.run("journalctl", "--rotate", "--vacuum-time=1s", "--quiet")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed", "syncd", check=False)
    machine.write(TOKEN, sim.token, 0o600)
    service.configure("acme")
    yield service
    machine.run("systemctl", "stop", "syncd", "syncd-token.path", "syncd-notify", check=False)


def test_it_is_ready_within_ten_seconds_whatever_the_network_does(service: Service) -> None:
    """A start ends with READY, also while the server can't be reached, and says in one line how it goes."""
    service.sim.pause()
    assert service.start() < 10
    assert (service.machine.show("ActiveState"), service.machine.show("SubState")) == ("active", "running")
    service.await_state("unreachable")
    await_true(lambda: "acme: unreachable next try" in service.machine.show("StatusText"), 5, "the status says so")
    service.sim.resume()
    service.await_state("ok", seconds=30)
    await_true(lambda: "1 account, " in service.machine.show("StatusText"), 5, "the status says that all is well")


def test_a_kill_loses_nothing(service: Service) -> None:
    """After a kill -9 in its first pass it is back within 5 s and ends up with all that there is."""
    service.sim.faults.delay(0.1, times=None)
    service.start()
    await_true(lambda: len(service.held_messages()) > 20, 20, "the first pass has begun")
    service.machine.run("systemctl", "kill", "--signal=KILL", "syncd")
    await_true(lambda: service.machine.show("NRestarts") == "1", 5, "it was started again")
    await_true(lambda: service.machine.show("ActiveState") == "active", 5, "it is ready again")
    service.sim.faults.clear()
    service.await_state("ok")
    assert service.held_messages() == service.true_messages()


class FrozenThreads:
    """Every thread but the first of a process, stopped: the event loop lives and whoever writes does not."""

    ATTACH, DETACH, ANY_THREAD = 16, 17, 0x40000000

    def __init__(self, pid: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        self.threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]
        for thread in self.threads:
            assert self._libc.ptrace(self.ATTACH, thread, None, None) == 0, os.strerror(ctypes.get_errno())
            os.waitpid(thread, self.ANY_THREAD)

    def bury(self) -> None:
        """Take note of those that were killed: until their tracer does, the process can't end."""
        for thread in self.threads:
            with suppress(ChildProcessError):
                os.waitpid(thread, self.ANY_THREAD | os.WNOHANG)

    def thaw(self) -> None:
        """Let go of those that are left."""
        for thread in self.threads:
            self._libc.ptrace(self.DETACH, thread, None, None)


def test_a_wedged_writer_is_noticed(service: Service) -> None:
    """With the writer stopped in mid-flight and the event loop alive, the watchdog starts the service again."""
    service.machine.write("/etc/systemd/system/syncd.service.d/test.conf", "[Service]\nWatchdogSec=6s\n")
    service.machine.run("systemctl", "daemon-reload")
    service.start()
    service.await_state("ok")
    time.sleep(8)  # longer than the watchdog waits: so it is fed while all is well
    assert service.machine.show("NRestarts") == "0"
    frozen = FrozenThreads(service.pid)

    def is_restarted() -> bool:
        frozen.bury()
        return service.machine.show("NRestarts") == "1"

    try:
        assert frozen.threads
        await_true(is_restarted, 30, "the watchdog restarted it")
    finally:
        frozen.thaw()
    assert "Watchdog timeout" in service.machine.journal()
    assert service.lines("watchdog.unfed")
    await_true(lambda: service.machine.show("ActiveState") == "active", 10, "it is ready again")


def test_an_outage_feeds_the_watchdog(service: Service) -> None:
    """A declared wait longer than the watchdog's is no reason to start again."""
    service.machine.write("/etc/systemd/system/syncd.service.d/test.conf", "[Service]\nWatchdogSec=2s\n")
    service.machine.run("systemctl", "daemon-reload")
    service.sim.faults.rate_limit(retry_after=300, times=None)
    service.start()
    service.await_state("rate_limited")
    time.sleep(6)
    assert service.machine.show("NRestarts") == "0"
    assert "rate limited until" in service.machine.show("StatusText")


def test_a_broken_configuration_is_refused_while_it_runs(service: Service) -> None:
    """After a reload with mistakes it goes on with the old configuration, and the log names them as an error."""
    service.start()
    service.await_state("ok")
    pid = service.machine.show("MainPID")
    service.machine.write(CONFIG, "[accounts.acme]\npoll_second = 1\n")
    service.machine.run("systemctl", "reload", "syncd")
    await_true(lambda: service.lines("config.refused"), 5, "the mistake is in the log")
    assert "poll_second" in str(service.lines("config.refused")[0]["error"])
    refused = json.loads(service.machine.journal("-o", "json", "-p", "err", "-n", "1"))
    assert "config.refused" in refused["MESSAGE"]
    assert refused["PRIORITY"] == "3"
    assert (service.machine.show("MainPID"), service.machine.show("ActiveState")) == (pid, "active")
    polled = len(service.sim.requests)
    await_true(lambda: len(service.sim.requests) > polled, 5, "it still polls")


def test_a_configuration_that_never_worked_is_not_tried_again(service: Service) -> None:
    """A start with mistakes fails once, with exit code 78."""
    service.machine.write(CONFIG, "nonsense")
    assert service.machine.run("systemctl", "start", "syncd", check=False).returncode != 0
    time.sleep(2)
    assert (service.machine.show("ExecMainStatus"), service.machine.show("NRestarts")) == ("78", "0")


def test_a_reload_adds_an_account(service: Service) -> None:
    """An account that came into the configuration is mirrored after a reload, and the first one goes on."""
    service.start()
    service.await_state("ok")
    service.configure("acme", "beta")
    service.machine.run("systemctl", "reload", "syncd")
    service.await_state("ok", "beta")
    assert service.machine.show("NRestarts") == "0"


def test_a_wrong_token_is_one_line_and_a_new_file_heals_it(service: Service) -> None:
    """A refused token is one warning and a state, not an end; a token file that is replaced is picked up by itself."""
    service.machine.write("/etc/syncd/token", "ot_pat_wrong_0000000000")
    service.machine.run("chgrp", "syncd", "/etc/syncd/token")
    service.machine.run("chmod", "640", "/etc/syncd/token")
    service.configure("acme", where='token_file = "/etc/syncd/token"')
    service.start()
    service.await_state("auth_failed")
    assert service.machine.show("ActiveState") == "active"
    assert len(service.lines("account.degraded")) == 1
    service.machine.write("/etc/syncd/token", service.sim.token)
    service.await_state("ok")
    assert service.machine.show("NRestarts") == "0"


def test_a_new_credential_is_picked_up(service: Service) -> None:
    """With syncd-token.path a replaced credential needs no hand: the service is restarted with it."""
    service.machine.write(TOKEN, "ot_pat_wrong_0000000000", 0o600)
    service.machine.run("systemctl", "start", "syncd-token.path")
    service.start()
    service.await_state("auth_failed")
    service.machine.write(TOKEN, service.sim.token, 0o600)
    service.await_state("ok")


def test_events_are_in_the_journal_with_their_fields(service: Service) -> None:
    """`journalctl | jq` finds an unread conversation by its event, with ids and counts and without its text."""
    service.start()
    service.await_state("ok")
    conversation = service.sim.world.longest()
    message = service.sim.world.add_message(conversation, "a very private sentence")
    await_true(lambda: service.lines("conversation.unread"), 10, "the event is in the log")
    pipe = """journalctl -o cat -u syncd -t syncd | jq -c 'select(.event == "conversation.unread")'"""
    found = [json.loads(line) for line in service.machine.read("bash", "-c", pipe).splitlines()]
    assert [(line["account"], line["conversation_id"], line["message_id"]) for line in found] == [
        ("acme", conversation, message)
    ]
    assert {"event_id", "unread_count", "previous", "timestamp", "level", "run_id"} <= set(found[0])
    assert "private sentence" not in service.machine.journal()


def read_inbox(service: Service, user: str) -> int:
    """How `syncd inbox` ends for this user."""
    words = ("runuser", "-u", user, "--", PROGRAM, "--db", DATABASE, "inbox", "--json")
    return service.machine.run(*words, check=False).returncode


def test_members_of_the_group_read_and_strangers_do_not(service: Service) -> None:
    """A member of the group reads while the daemon runs and after a clean stop; anybody else never."""
    service.start()
    service.await_state("ok")
    assert (read_inbox(service, "member"), read_inbox(service, "stranger") != 0) == (0, True)
    service.machine.run("systemctl", "stop", "syncd")
    assert (read_inbox(service, "member"), read_inbox(service, "stranger") != 0) == (0, True)


def test_a_stop_in_mid_flight_takes_less_than_five_seconds(service: Service) -> None:
    """In the middle of a first pass, with answers outstanding, a stop is quick and clean."""
    service.sim.faults.delay(2, times=None)
    service.start()
    await_true(lambda: len(service.sim.requests) >= 2, 15, "the first pass has begun")
    began = time.monotonic()
    service.machine.run("systemctl", "stop", "syncd")
    assert time.monotonic() - began < 5
    assert service.machine.show("Result") == "success"


@pytest.mark.parametrize(("unit", "most"), [("syncd", 1.1), ("syncd-backup", 0.3), ("syncd-notify", 0.3)])
def test_the_sandbox_is_as_tight_as_promised(machine: Machine, unit: str, most: float) -> None:
    """By systemd's own judgement, a service that was taken over could do next to nothing."""
    words = ("systemd-analyze", "security", "--no-pager", f"--threshold={round(most * 10)}", f"{unit}.service")
    assert machine.run(*words, check=False).returncode == 0


def test_a_backup_is_made_by_its_service(service: Service) -> None:
    """Started by its timer's unit, in its own sandbox, it leaves verified copies that only syncd reads."""
    service.start()
    service.await_state("ok")
    for _ in range(2):
        service.machine.run("systemctl", "start", "syncd-backup")
    copies = sorted((service.machine.tree / "var/lib/syncd/backup").iterdir())
    assert [copy.name for copy in copies] == ["syncd.db", "syncd.db.1"]
    assert [copy.stat().st_mode & 0o777 for copy in copies] == [0o600, 0o600]


def test_an_event_runs_a_command_without_a_token(service: Service) -> None:
    """The example service, as shipped, hands each conversation that needs a reply to its command, once."""
    service.start()
    service.await_state("ok")
    service.machine.run("systemctl", "start", "syncd-notify")
    await_true(lambda: service.machine.show("ActiveState", "syncd-notify") == "active", 5, "it runs")
    time.sleep(2)  # until it follows: what came before its first start is not told
    message = service.sim.world.add_message(service.sim.world.longest(), "hello")
    heard = ("journalctl", "-o", "cat", "-t", "syncd-notify")
    await_true(lambda: message in service.machine.read(*heard), 15, "the command was given the event")
    assert service.machine.read(*heard).count(message) == 1
    assert service.machine.show("NRestarts", "syncd-notify") == "0"


def test_a_member_of_the_group_sends_without_a_token(service: Service) -> None:
    """`syncd send` of a group member goes through the daemon's socket; a stranger's is refused."""
    service.start()
    service.await_state("ok")
    conversation = service.sim.world.longest()
    words = (PROGRAM, "--db", DATABASE, "send", conversation, "from a member")
    assert service.machine.run("runuser", "-u", "stranger", "--", *words, check=False).returncode != 0
    service.machine.run("runuser", "-u", "member", "--", *words)
    texts = [message["content"] for message in service.sim.world.truth()["messages"][conversation]]
    assert texts.count("from a member") == 1


def test_the_token_is_nowhere(service: Service) -> None:
    """Neither the log, nor any file that syncd wrote, nor a process's words or environment holds the token."""
    service.start()
    service.await_state("ok")
    service.sim.world.add_message(service.sim.world.longest(), "hello")
    service.sim.faults.status(500, times=3)
    service.sim.faults.status(401, times=1)
    time.sleep(4)
    service.machine.run("systemctl", "start", "syncd-backup")
    secret = service.sim.token.rpartition("_")[2].encode()
    assert len(secret) > 8
    tree = service.machine.tree
    written = [path for path in (tree / "var/lib/syncd").rglob("*") if path.is_file()]
    written += [path for path in (tree / "var/log").rglob("*") if path.is_file()]
    written += [Path(f"/proc/{service.pid}/{name}") for name in ("cmdline", "environ")]
    assert len(written) > 5
    assert [path for path in written if secret in path.read_bytes()] == []
    assert secret.decode() not in service.machine.journal("-o", "export")
    assert secret.decode() not in service.machine.read("ps", "auxeww")
    assert service.machine.show("ActiveState") == "active"

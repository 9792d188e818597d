"""A database reached by several names is one, and what is planted beside it leads nowhere."""

import os
import socket
import stat
from pathlib import Path

import pytest

from homes import Home, Running
from syncd.simulator import Simulator

NOBODY = 65534


@pytest.fixture
def linked(home: Home, tmp_path: Path) -> Path:
    """Another name of the home's database, in another folder."""
    home.db.parent.mkdir(parents=True)
    link = tmp_path / "linked.db"
    link.symlink_to(home.db)
    return link


def start_daemon(home: Home, *words: str | Path) -> Running:
    """A daemon that has begun."""
    daemon = home.start("run", *words)
    daemon.wait_for("daemon.started")
    return daemon


def test_a_link_to_the_database_has_no_lock_of_its_own(home: Home, linked: Path) -> None:
    """A second daemon by another name is refused, whichever of the two came first."""
    for first, second in (((), ("--db", linked)), (("--db", linked), ())):
        daemon = start_daemon(home, *first)
        refused = home.run("run", *second)
        assert (refused.code, f"process {daemon.process.pid})" in refused.err) == (78, True), refused.err
        assert daemon.stop()[0] == 0
    assert [path.name for path in linked.parent.iterdir() if path.name.startswith("linked")] == ["linked.db"]


def test_a_command_by_another_name_asks_the_same_daemon(home: Home, sim: Simulator, linked: Path) -> None:
    """`sync`, `events --consumer` and `backup` by way of a link go through the daemon that holds the file."""
    daemon = start_daemon(home)
    home.wait_until(lambda: home.states() == {"opentrain": "ok"})
    sim.world.add_message(sim.world.longest(), "And here is one more question.")
    assert home.run("sync", "--db", linked).code == 0
    daemon.wait_for("message.new")
    assert home.run("events", "--consumer", "one", "--db", linked).code == 0
    assert home.run("accept", "opentrain", "--db", linked).code == 0
    assert daemon.stop()[0] == 0


def test_a_link_that_is_turned_changes_nothing(home: Home, linked: Path, tmp_path: Path) -> None:
    """A daemon stays with the file that it has locked, though its link leads elsewhere by now."""
    daemon = start_daemon(home, "--db", linked)
    home.wait_until(lambda: home.states() == {"opentrain": "ok"})
    linked.unlink()
    linked.symlink_to(tmp_path / "other.db")
    assert home.run("sync").code == 0
    daemon.wait_for("daemon.started")
    assert daemon.process.poll() is None
    assert not (tmp_path / "other.db").exists()
    assert home.run("run", "--db", home.db).code == 78
    assert home.run("accept", "opentrain").code == 0
    assert daemon.stop()[0] == 0


@pytest.mark.parametrize("suffix", [".lock", ".sock"])
@pytest.mark.parametrize("hard", [False, True])
def test_what_is_planted_beside_the_database_leads_nowhere(
    home: Home, tmp_path: Path, suffix: str, *, hard: bool
) -> None:
    """Neither a symbolic nor a hard link in the place of lock or socket has its target written, emptied or removed."""
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    precious.chmod(0o644)
    home.db.parent.mkdir(parents=True)
    planted = home.db.with_name(f"syncd.db{suffix}")
    if hard:
        planted.hardlink_to(precious)
    else:
        planted.symlink_to(precious)
    ended = home.run("sync")
    assert precious.read_text(encoding="utf-8") == "mine"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o644
    assert os.path.lexists(planted)
    if not (hard and suffix == ".lock"):  # to lock a file harms nothing
        assert (ended.code, planted.name in ended.err, ended.err.count("\n")) == (78, True, 1), ended.err


@pytest.mark.parametrize(("suffix", "kind"), [(".lock", "fifo"), (".sock", "fifo"), (".sock", "directory")])
def test_what_is_no_lock_or_socket_is_named(home: Home, suffix: str, kind: str) -> None:
    """Something odd in the place of lock or socket is an error of one line, and stays."""
    home.db.parent.mkdir(parents=True)
    odd = home.db.with_name(f"syncd.db{suffix}")
    if kind == "fifo":
        os.mkfifo(odd)
    else:
        odd.mkdir()
    ended = home.run("sync")
    assert (ended.code, odd.name in ended.err, ended.err.count("\n")) == (78, True, 1), ended.err
    assert odd.is_fifo() or odd.is_dir()


@pytest.mark.parametrize("name", ["folder", ".", "/"])
def test_a_folder_is_no_database(home: Home, tmp_path: Path, name: str) -> None:
    """A directory named as the database is refused, and no lock is made beside it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for command in ("sync", "run", "inbox", "status", "doctor"):
        ended = home.run(command, "--db", folder if name == "folder" else name)
        if name != "folder":
            assert (ended.code, ended.err.count("\n")) == (2, 1), (command, ended.err)
            continue
        assert ended.code == (1 if command == "doctor" else 78), (command, ended.err)
        assert "internal error" not in ended.err + ended.out
    assert not (tmp_path / "folder.lock").exists()


def test_nobody_is_asked_through_a_link(home: Home, tmp_path: Path) -> None:
    """A link in the place of the socket is not connected to, wherever it leads."""
    assert home.run("sync").code == 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "theirs.sock"))
        listener.listen()
        listener.settimeout(0)
        home.db.with_name("syncd.db.sock").symlink_to(tmp_path / "theirs.sock")
        ended = home.start("sync")
        code = ended.process.wait(20)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert code == 78

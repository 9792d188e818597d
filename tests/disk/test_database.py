import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from disk.mounts import READING, WRITING, other_process
from disk.patient import Patient
from syncd.ops.disk import LONGEST_LOG_BYTES

PAGE = 4096


def test_a_locked_database_pauses_it(patient: Patient) -> None:
    """While another process keeps the write lock nothing is asked or lost, and the doctor names that process."""
    daemon = patient.start()
    with other_process(patient.db, WRITING) as pid:
        patient.hear("Is anybody there?")
        daemon.wait_for("account.paused")
        patient.check_paused(daemon, "another process keeps it locked")
        found = patient.home.run("doctor", "--json").data["findings"]
        assert [f"process {pid} (python" in one["text"] for one in found if one["check"] == "writers"] == [True]
    patient.check_recovered(daemon)


def lengthen_log(database: Path) -> int:
    """Write until the log is as long as it may be; its length."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE ballast (content)")
        log = database.with_name(f"{database.name}-wal")
        while (length := log.stat().st_size) < LONGEST_LOG_BYTES:
            connection.execute("INSERT INTO ballast VALUES (zeroblob(33554432))")
        return length


def test_a_reader_that_holds_the_log_bounds_its_growth(patient: Patient) -> None:
    """A log of 256 MiB that a reader keeps from being emptied grows no further; the reader is named, and may end."""
    daemon = patient.start()
    with other_process(patient.db, READING) as pid:
        length = lengthen_log(patient.db)
        patient.hear("Is anybody there?")
        reason = "SELECT last_error FROM accounts"  # at first it may be that the log is being written
        patient.home.wait_until(lambda: f"process {pid} (python" in str(patient.home.value(reason)))
        patient.check_paused(daemon, f"process {pid} (python")
        log = patient.db.with_name("syncd.db-wal")
        length = log.stat().st_size
        assert length < LONGEST_LOG_BYTES + (40 << 20)
        polls = len(daemon.log("poll"))
        daemon.wait_for("poll", count=polls + 1)
        assert log.stat().st_size == length
        found = patient.home.run("doctor", "--json").data["findings"]
        assert [f"process {pid} (python" in one["text"] for one in found if one["check"] == "readers"] == [True]
    patient.check_recovered(daemon)


def damage(database: Path, table: str | None = None) -> dict[int, bytes]:
    """Overwrite every page but the first, or the root of one table; what was there."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = connection.execute("SELECT rootpage - 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall()
    before = {}
    with database.open("r+b") as file:
        for number in [page for (page,) in roots] or range(1, database.stat().st_size // PAGE):
            file.seek(number * PAGE)
            before[number * PAGE] = file.read(PAGE)
            file.seek(number * PAGE)
            file.write(b"damage" * (PAGE // 6))
    return before


def touch(database: Path) -> None:
    """A change by somebody else: whoever has pages in memory reads them again."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")


def mend(database: Path, before: dict[int, bytes]) -> None:
    """Write back what was there."""
    with database.open("r+b") as file:
        for place, page in before.items():
            file.seek(place)
            file.write(page)


def test_damage_under_a_running_daemon_pauses_it(patient: Patient) -> None:
    """A file that is overwritten in the middle is told, by the doctor too, and a mended one is taken up again."""
    daemon = patient.start()
    before = damage(patient.db)
    touch(patient.db)
    daemon.wait_for("account.paused")
    found = patient.home.run("doctor", "--json").data["findings"]
    assert [one["verdict"] for one in found if one["check"] == "integrity"] == ["problem"]
    for command in ("status", "check"):
        ended = patient.home.run(command)
        assert (ended.code, len(ended.err.splitlines())) == (78, 1)
    polls = len(daemon.log("poll"))
    daemon.wait_for("poll", count=polls + 2)
    assert len(daemon.log("account.paused")) == 1
    patient.hear("Are you well again?")
    mend(patient.db, before)
    patient.check_recovered(daemon)


def test_a_backup_put_in_its_place_is_taken_up(patient: Patient) -> None:
    """A database that is replaced by its backup is the daemon's from then on, and catches up with the server."""
    daemon = patient.start()
    backup = patient.home.path / "backup.db"
    assert patient.home.run("backup", backup).code == 0
    lost = patient.hear("This one came after the backup")
    daemon.wait_for("message.new", message_id=lost)
    backup.replace(patient.db)
    assert "was replaced" in daemon.wait_for("account.degraded")["error"]
    patient.check_recovered(daemon)
    assert patient.home.value("SELECT count(*) FROM messages WHERE id = ?", lost) == 1


def test_a_backup_of_another_user_put_in_its_place_is_refused(patient: Patient) -> None:
    """A database with rows of another user that takes the place of the daemon's is refused: nothing is added to it."""
    daemon = patient.start()
    backup = patient.home.path / "backup.db"
    assert patient.home.run("backup", backup).code == 0
    with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
        connection.execute("UPDATE accounts SET viewer_user_id = 'somebody-else'")
    backup.replace(patient.db)
    patient.hear("This is none of theirs")
    patient.home.wait_until(lambda: patient.home.states() == {"acme": "wrong_account"})
    assert patient.home.value("SELECT count(*) FROM messages WHERE content = 'This is none of theirs'") == 0
    assert daemon.stop()[0] == 0


def test_a_database_that_is_removed_is_missed(patient: Patient) -> None:
    """Nothing is written into a file that nobody can find; put back, it is taken up again."""
    daemon = patient.start()
    backup = patient.home.path / "backup.db"
    assert patient.home.run("backup", backup).code == 0
    for suffix in ("", "-wal", "-shm"):
        patient.db.with_name(f"syncd.db{suffix}").unlink()
    patient.hear("Is anybody there?")
    assert "was removed" in daemon.wait_for("account.paused")["error"]
    polls = len(daemon.log("poll"))
    daemon.wait_for("poll", count=polls + 2)
    assert not patient.db.exists()
    backup.replace(patient.db)
    patient.check_recovered(daemon)


def test_damage_that_a_start_meets_is_waited_for(patient: Patient) -> None:
    """A daemon that can't begin for a damaged page says so once, and takes up the backup that is put in its place."""
    assert patient.home.run("sync").code == 0
    backup = patient.home.path / "backup.db"
    assert patient.home.run("backup", backup).code == 0
    damage(patient.db, "accounts")
    daemon = patient.home.start("run")
    assert "put a backup in its place" in daemon.wait_for("daemon.paused")["error"]
    message_id = patient.hear("Are you well again?")
    backup.replace(patient.db)
    daemon.wait_for("message.new", message_id=message_id)
    patient.home.wait_until(lambda: not patient.find_differences())
    assert (len(daemon.log("daemon.paused")), daemon.stop()[0]) == (1, 0)


def test_what_is_no_database_any_more_ends_it(patient: Patient) -> None:
    """A file whose schema or beginning is destroyed ends `run` with 78 and what to do, so that nothing restarts it."""
    assert patient.home.run("sync").code == 0
    damage(patient.db)
    first = patient.home.run("run")
    patient.db.write_bytes(b"no database at all" * PAGE)
    second = patient.home.run("run")
    for ended in (first, second):
        assert (ended.code, len(ended.err.splitlines())) == (78, 1)
    assert "put a backup in its place" in first.err


def test_a_database_that_is_locked_at_the_start_is_waited_for(patient: Patient) -> None:
    """A daemon that can't write its first line stays, says so once, and begins when the other process ends."""
    assert patient.home.run("sync").code == 0
    with other_process(patient.db, WRITING):
        message_id = patient.hear("Is anybody there?")
        daemon = patient.home.start("run")
        assert "locked" in daemon.wait_for("daemon.paused")["error"]
        assert daemon.process.poll() is None
    daemon.wait_for("message.new", message_id=message_id)
    patient.home.wait_until(lambda: not patient.find_differences())
    assert (len(daemon.log("daemon.paused")), daemon.stop()[0]) == (1, 0)


def test_a_configuration_that_a_locked_database_can_t_take_is_taken_later(patient: Patient) -> None:
    """SIGHUP while another process keeps the write lock: it is said once, and a changed account goes on afterwards."""
    daemon = patient.start()
    changed = {"base_url": patient.sim.url, "poll_seconds": 1, "idle_seconds": 1, "concurrency": 2}
    with other_process(patient.db, WRITING):
        patient.home.configure({"acme": changed}, log={"level": "debug", "format": "json"})
        daemon.process.send_signal(signal.SIGHUP)
        assert "locked" in daemon.wait_for("config.waiting")["error"]
        message_id = patient.hear("Is anybody there?")
    daemon.wait_for("message.new", message_id=message_id)
    assert [line["accounts"] for line in daemon.log("config.reloaded")] == [1]
    assert (len(daemon.log("config.waiting")), daemon.log("config.refused"), daemon.stop()[0]) == (1, [], 0)

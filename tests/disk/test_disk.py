import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disk.mounts import Disk
from disk.patient import Patient
from syncd.simulator import RequestRecord


def test_a_disk_that_fills_up_pauses_and_room_resumes(patient: Patient, disk: Disk) -> None:
    """With too little room left the account is `paused`, in its row too; with room it is `ok` and has everything."""
    daemon = patient.start()
    disk.fill(leave=8 << 20)
    patient.hear("Is there room for me?")
    patient.home.wait_until(lambda: patient.home.states() == {"acme": "paused"})
    patient.check_paused(daemon, "free disk space")
    disk.free()
    patient.check_recovered(daemon)


def test_a_disk_that_is_full_in_the_midst_of_a_pass_loses_nothing(patient: Patient, disk: Disk) -> None:
    """Not a byte is left while pages are on their way: `paused` is told by the daemon, as no row can say it."""
    asked = 0

    def fill(_: RequestRecord) -> None:
        nonlocal asked
        asked += 1
        if asked == 8:
            disk.fill()

    patient.sim.on_request = fill
    daemon = patient.home.start("run")
    daemon.wait_for("account.paused")
    patient.sim.on_request = None
    patient.check_paused(daemon, "the disk is full")
    assert patient.home.states() == {"acme": "starting"}
    disk.free()
    patient.check_recovered(daemon)


def test_files_that_may_not_grow_pause_it(patient: Patient) -> None:
    """Where the system lets no file grow (a quota, a limit) it is the same as on a full disk; this needs no root."""
    daemon = patient.start()
    _, most = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, most))
    patient.hear("Is there room for me?")
    daemon.wait_for("account.paused")
    patient.check_paused(daemon, "the database refuses")
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (most, most))
    patient.check_recovered(daemon)


def test_a_read_only_disk_is_waited_for_at_the_start(patient: Patient, disk: Disk) -> None:
    """The daemon stays, says once why it does not begin, and begins when it can; `sync` ends with 1 meanwhile."""
    assert patient.home.run("sync").code == 0
    disk.make_read_only(read_only=True)
    message_id = patient.hear("Can you keep this?")
    daemon = patient.home.start("run")
    assert "Read-only file system" in daemon.wait_for("daemon.paused")["error"]
    refused = patient.home.run("sync")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert daemon.process.poll() is None
    disk.make_read_only(read_only=False)
    daemon.wait_for("message.new", message_id=message_id)
    patient.home.wait_until(lambda: not patient.find_differences())
    assert len(daemon.log("daemon.paused")) == 1
    assert daemon.stop()[0] == 0


def test_a_daemon_that_waits_for_its_disk_can_be_stopped(patient: Patient, disk: Disk) -> None:
    """SIGTERM ends the wait at once, with 0."""
    disk.make_read_only(read_only=True)
    daemon = patient.home.start("run")
    daemon.wait_for("daemon.paused")
    assert daemon.stop()[0] == 0


@contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    """Files that nobody may change, root included; the test is skipped, loudly, where there is no such thing."""
    chattr = shutil.which("chattr")
    if chattr is None or os.geteuid() != 0 or subprocess.run([chattr, "+i", *paths], check=False).returncode:  # noqa: S603 - the system's own
        pytest.skip("NO READ-ONLY FILE WAS TESTED: it takes root and a file system that knows `chattr +i`")
    try:
        yield
    finally:
        subprocess.run([chattr, "-i", *paths], check=True)  # noqa: S603 - the system's own


def test_files_that_become_read_only_pause_it(patient: Patient) -> None:
    """A database that can't be written any more pauses the account, until it can be."""
    daemon = patient.start()
    with immutable(patient.db, patient.db.with_name("syncd.db-wal")):
        patient.hear("Can you keep this?")
        daemon.wait_for("account.paused")
        patient.check_paused(daemon, "the database refuses")
    patient.check_recovered(daemon)

"""A whole Debian with a real systemd: made by debootstrap, booted by systemd-nspawn, syncd installed in it offline.

It shares the host's network, so that the simulator of the test's own process is its server. With
`SYNCD_TEST_MACHINE=DIR` the Debian tree is kept there and used again, which saves a minute.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "chroot")
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,jq,procps"
PROGRAM = "/opt/syncd/bin/syncd"


def why_not() -> str | None:
    """Why this machine can't boot another one; None when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "booting a machine needs root on Linux"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)} (apt-get install debootstrap systemd-container)" if missing else None


def await_true(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until it holds; the answer is how many seconds that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


class Machine:
    """A booted Debian; `tree` is its root directory as the host sees it."""

    def __init__(self, tree: Path, boot: "subprocess.Popen[bytes]") -> None:
        self.tree = tree
        self._boot = boot
        self.leader = 0

    def await_boot(self) -> None:
        """Wait until its systemd says that everything has started."""
        await_true(self._find_leader, 20, "the machine has a first process")
        await_true(
            lambda: self.run("test", "-S", "/run/systemd/private", check=False).returncode == 0, 30, "systemd runs"
        )
        self.run("systemctl", "is-system-running", "--wait", check=False)

    def _find_leader(self) -> bool:
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text(encoding="ascii").split()
        names = {int(child): Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip() for child in children}
        self.leader = next((pid for pid, name in names.items() if name == "systemd"), 0)
        return self.leader != 0

    def run(self, *words: str, check: bool = True, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it, as root."""
        ended: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 - our own words
            ["nsenter", f"--target={self.leader}", "--all", "env", "-i", "PATH=/usr/bin:/usr/sbin", *words],  # noqa: S607 - the system's own
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **settings,  # type: ignore[call-overload]  # standard input only
        )
        if check and ended.returncode != 0:
            pytest.fail(f"{' '.join(words)}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}\n{self.journal()}")
        return ended

    def read(self, *words: str) -> str:
        """What a command prints."""
        return self.run(*words).stdout.strip()

    def show(self, name: str, unit: str = "syncd") -> str:
        """A property of a unit."""
        return self.read("systemctl", "show", "--value", f"--property={name}", unit)

    def journal(self, *words: str) -> str:
        """The service's log."""
        return self.run("journalctl", "--no-pager", "-u", "syncd", *words, check=False).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it, as an editor does: a new one in place of the old."""
        place = self.tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f".{place.name}.new")
        new.write_text(text, encoding="utf-8")
        new.chmod(mode)
        new.replace(place)

    def shut_down(self) -> None:
        """Power it off."""
        self.run("systemctl", "poweroff", check=False)
        try:
            self._boot.wait(20)
        except subprocess.TimeoutExpired:
            self._boot.send_signal(signal.SIGKILL)
            self._boot.wait()


def make_tree(tree: Path) -> None:
    """Make a Debian with what the tests need, and a systemd."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    made = _call("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tree)
    if made.returncode != 0:
        pytest.skip(f"NO REAL SYSTEMD WAS TESTED: debootstrap failed: {made.stdout[-500:]}")


def install(tree: Path, wheels: Path) -> None:
    """Build a wheel, fetch what it needs, and install all of it offline, below /opt as the instructions say."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _succeed(*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT)
    ours = next(wheels.glob("syncd-*.whl"))
    target = ("--python-version=3.11", "--implementation=cp", "--only-binary=:all:")
    _succeed(*pip, "download", *target, "--dest", wheels, f"syncd[simulator] @ {ours.as_uri()}")
    for old in ("opt/syncd", "var/lib/syncd", "var/log/journal", "etc/syncd", "etc/credstore", "wheels"):
        shutil.rmtree(tree / old, ignore_errors=True)
    for unit in (tree / "etc/systemd/system").glob("syncd*"):
        shutil.rmtree(unit) if unit.is_dir() else unit.unlink()
    shutil.copytree(wheels, tree / "wheels")
    _succeed("chroot", tree, "python3", "-m", "venv", "/opt/syncd")
    offline = ("--quiet", "--no-index", "--find-links=/wheels")
    _succeed("chroot", tree, "/opt/syncd/bin/pip", "install", *offline, "syncd[simulator]")
    _succeed("chroot", tree, PROGRAM, "install-service")
    _succeed("chroot", tree, "systemd-sysusers")
    for name, groups in (("member", "syncd"), ("stranger", "")):
        if not (tree / "home" / name).exists():
            _succeed("chroot", tree, "useradd", "--create-home", name)
        _succeed("chroot", tree, "usermod", "--groups", groups, name)


def _succeed(*words: str | Path) -> None:
    ended = _call(*words)
    assert ended.returncode == 0, f"{' '.join(map(str, words))}\n{ended.stdout}"


def _call(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    environ = os.environ | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(  # noqa: S603 - our own words
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environ
    )


@contextmanager
def booted(tree: Path, console: Path) -> Iterator[Machine]:
    """Boot it, and power it off again."""
    words = [
        "systemd-nspawn",
        f"--directory={tree}",
        "--register=no",
        "--keep-unit",
        "--resolv-conf=off",
        "--boot",
        "--quiet",
    ]
    with console.open("wb") as output:
        boot = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our own words
    machine = Machine(tree, boot)
    try:
        machine.await_boot()
        yield machine
    finally:
        machine.shut_down()

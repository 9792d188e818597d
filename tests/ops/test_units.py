import re
import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.cli.main import run_command
from syncd.errors import UsageError
from syncd.ops.units import render_system_units, render_user_units, write_units

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("unit", "most"), [("syncd", 1.1), ("syncd-backup", 0.3), ("syncd-notify", 0.3)])
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NOT JUDGED: systemd-analyze is not installed")
def test_the_sandbox_is_as_tight_as_promised(unit: str, most: float) -> None:
    """By systemd's own judgement of the file, a service that was taken over could do next to nothing."""
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(ROOT / "systemd" / f"{unit}.service")]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own words
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert found is not None
    assert float(found[1]) <= most


def test_every_unit_runs_this_installation() -> None:
    """All commands name the program that was installed, and none the place that the shipped files name."""
    texts = render_system_units(Path("/srv/syncd/bin/syncd"))
    assert {path.name for path in texts} == {
        "syncd.service",
        "syncd-backup.service",
        "syncd-backup.timer",
        "syncd-notify.service",
        "syncd-token.path",
        "syncd-token.service",
        "syncd.conf",
    }
    assert not [path for path, text in texts.items() if "/opt/syncd" in text]
    assert "ExecStart=/srv/syncd/bin/syncd run" in texts[Path("/etc/systemd/system/syncd.service")]


@pytest.mark.parametrize("place", ["/home/ana/venv/bin/syncd", "/root/venv/bin/syncd"])
def test_a_place_that_the_sandbox_hides_is_refused(place: str) -> None:
    """What a sandboxed service could not even see is refused with what to do instead."""
    with pytest.raises(UsageError, match="--user"):
        render_system_units(Path(place))


def test_a_users_units_ask_for_nothing_that_needs_root(tmp_path: Path) -> None:
    """No other user, no directories of the machine's, no credential store; the program and the watchdog stay."""
    texts = render_user_units(Path("/home/ana/venv/bin/syncd"), tmp_path)
    service = texts[tmp_path / "systemd/user/syncd.service"]
    everything = "\n".join(texts.values())
    assert not re.findall(r"^(?:User|StateDirectory|LoadCredential|Protect\w+|Private\w+)=", everything, re.MULTILINE)
    assert "/var/lib" not in everything
    assert "ExecStart=/home/ana/venv/bin/syncd run" in service
    assert "WatchdogSec=" in service
    assert "WantedBy=default.target" in service


def test_installing_for_a_user_writes_the_units_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The files are written once, a second time they are there already, and what to do next is printed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert run_command(["install-service", "--user"]) == 0
    first = capfd.readouterr().out
    assert run_command(["install-service", "--user"]) == 0
    again = capfd.readouterr().out
    assert (first.count("Wrote "), again.count("Already there: ")) == (4, 4)
    assert "systemctl --user enable --now syncd" in first
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [path.parent for path in written] == [Path(".config/systemd/user")] * 4


def test_a_changed_unit_is_written_anew(tmp_path: Path) -> None:
    """Only what differs is written, with permissions that systemd accepts."""
    texts = {tmp_path / "units" / "a.service": "one", tmp_path / "units" / "b.service": "two"}
    assert write_units(texts) == list(texts)
    (tmp_path / "units" / "b.service").write_text("other", encoding="utf-8")
    assert write_units(texts) == [tmp_path / "units" / "b.service"]
    assert (tmp_path / "units" / "b.service").stat().st_mode & 0o777 == 0o644

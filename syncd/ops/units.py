"""The systemd units for this installation, of the whole machine or of one user."""

from pathlib import Path

from syncd.errors import UsageError
from syncd.files import check_regular, replace_text

_SHIPPED = "/opt/syncd/bin/syncd"  # where the units as shipped expect the program
_SYSTEM = (
    "syncd.service",
    "syncd-backup.service",
    "syncd-backup.timer",
    "syncd-notify.service",
    "syncd-token.path",
    "syncd-token.service",
)
_USER = ("syncd.service", "syncd-backup.service", "syncd-backup.timer", "syncd-notify.service")
_SYSUSERS = "syncd.sysusers.conf"

_NEEDS_ROOT = (
    # of a user's manager: it may not do these, or they would hide the user's own files
    "User=",
    "Group=",
    "DynamicUser=",
    "SupplementaryGroups=",
    "StateDirectory",
    "ConfigurationDirectory",
    "LoadCredential=",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "Private",
    "Protect",
    "ProcSubset=",
    "DevicePolicy=",
    "RemoveIPC=",
    "KeyringMode=",
    "IPAddressDeny=",
    "IOSchedulingClass=",
    "After=network-online.target",
    "Wants=network-online.target",
    "ConditionPathExists=",
)
_STATE = "%h/.local/state/syncd"


def render_system_units(executable: Path) -> dict[Path, str]:
    """Where each file of the machine's service belongs, and its text; UsageError where the service could not run."""
    if executable.is_relative_to("/home") or executable.is_relative_to("/root") or executable.is_relative_to("/tmp"):  # noqa: S108 - a comparison
        raise UsageError(
            f"{executable} lies where a sandboxed service can't see it; install syncd below /opt, or use --user"
        )
    units = Path("/etc/systemd/system")
    texts = {units / name: _read(name).replace(_SHIPPED, str(executable)) for name in _SYSTEM}
    return texts | {Path("/etc/sysusers.d/syncd.conf"): _read(_SYSUSERS)}


def render_user_units(executable: Path, config_home: Path) -> dict[Path, str]:
    """The same for one user's own service, without what only the machine's manager may do."""
    units = config_home / "systemd" / "user"
    return {units / name: _for_user(_read(name)).replace(_SHIPPED, str(executable)) for name in _USER}


def write_units(texts: dict[Path, str]) -> list[Path]:
    """Write each file that is not there or differs; the answer is which. Raises OSError, ForeignFileError.

    A unit that a link masks is not unmasked: nothing is written then.
    """
    for path in texts:
        check_regular(path)
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, texts[path], mode=0o644)
    return changed


def _for_user(text: str) -> str:
    kept = [line for line in text.splitlines() if not line.startswith(_NEEDS_ROOT)]
    return (
        ("\n".join(kept) + "\n")
        .replace("WantedBy=multi-user.target", "WantedBy=default.target")
        .replace(" --db /var/lib/syncd/syncd.db", "")
        .replace("/var/lib/syncd", _STATE)
        .replace("/etc/syncd/config.toml", "~/.config/syncd/config.toml")
    )


def _read(name: str) -> str:
    """A file as shipped: beside this package in an installed syncd, at the top of the tree in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "systemd" / name
    return (installed if installed.exists() else package.parent / "systemd" / name).read_text(encoding="utf-8")

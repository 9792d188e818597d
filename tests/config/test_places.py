import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.config.load import load
from syncd.config.places import SERVICE_DB, find_config, init_path, reading_db_candidates
from syncd.errors import ConfigError

ACCOUNT = '[accounts.acme]\nsource = "opentrain"\n'


def _write(path: Path, text: str = ACCOUNT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_place_that_has_a_file_wins(tmp_path: Path, home: Path) -> None:
    """--config, $SYNCD_CONFIG, $CONFIGURATION_DIRECTORY, XDG_CONFIG_HOME and ~/.config are tried in this order."""
    option, variable = _write(tmp_path / "option.toml"), _write(tmp_path / "variable.toml")
    service = _write(tmp_path / "etc" / "config.toml")
    xdg = _write(tmp_path / "xdg" / "syncd" / "config.toml")
    user = _write(home / ".config" / "syncd" / "config.toml")
    environ = {
        "SYNCD_CONFIG": str(variable),
        "CONFIGURATION_DIRECTORY": f"{service.parent}:/other",
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
    }
    assert find_config(option, environ, home) == option
    for expected, dropped in (
        (variable, "SYNCD_CONFIG"),
        (service, "CONFIGURATION_DIRECTORY"),
        (xdg, "XDG_CONFIG_HOME"),
    ):
        assert find_config(None, environ, home) == expected
        del environ[dropped]
    assert find_config(None, environ, home) == user


def test_a_relative_xdg_directory_is_ignored(home: Path) -> None:
    """As the XDG specification says, a relative directory counts as unset."""
    user = _write(home / ".config" / "syncd" / "config.toml")
    assert find_config(None, {"XDG_CONFIG_HOME": "relative", "SYNCD_CONFIG": ""}, home) == user


def test_a_named_file_must_exist(tmp_path: Path, home: Path) -> None:
    """A file that --config or $SYNCD_CONFIG names is not silently passed over when it is missing."""
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml: there is no such file, but --config names it"):
        load(missing, {}, home)
    with pytest.raises(ConfigError, match=r"but \$SYNCD_CONFIG names it"):
        load(None, {"SYNCD_CONFIG": str(missing)}, home)


def test_a_directory_is_no_configuration(tmp_path: Path, home: Path) -> None:
    """What can't be read as a file is an error that names it."""
    with pytest.raises(ConfigError, match=r"can't be read \(Is a directory\)"):
        load(tmp_path, {}, home)


def test_the_database_lies_where_it_is_said(tmp_path: Path, home: Path) -> None:
    """--db wins over store.path, that over $STATE_DIRECTORY, that over $XDG_STATE_HOME, that over ~/.local/state."""
    file = _write(tmp_path / "c.toml", f'{ACCOUNT}[store]\npath = "mirror.db"\n')
    environ = {"STATE_DIRECTORY": "/state:/more", "XDG_STATE_HOME": "/xdg"}
    assert load(file, environ, home, Path("/opt.db")).db_path == Path("/opt.db")
    assert load(file, environ, home).db_path == tmp_path / "mirror.db"
    assert load(None, environ, home).db_path == Path("/state/syncd.db")
    assert load(None, {"XDG_STATE_HOME": "/xdg"}, home).db_path == Path("/xdg/syncd/syncd.db")
    assert load(None, {}, home).db_path == home / ".local/state/syncd/syncd.db"


def test_a_tilde_is_the_home(tmp_path: Path, home: Path) -> None:
    """`~/` in a path of the configuration is the home directory."""
    file = _write(tmp_path / "c.toml", f'{ACCOUNT}[store]\npath = "~/mirror.db"\n')
    assert load(file, {}, home).db_path == home / "mirror.db"
    assert reading_db_candidates(None, file, {}, home)[0] == home / "mirror.db"


def test_a_reading_command_tries_all_places(tmp_path: Path, home: Path) -> None:
    """Without --db the configured place comes first and the service's database last, each once."""
    file = _write(tmp_path / "c.toml", f'{ACCOUNT}[store]\npath = "{home}/.local/state/syncd/syncd.db"\n')
    user = home / ".local/state/syncd/syncd.db"
    environ = {"STATE_DIRECTORY": "/state"}
    assert reading_db_candidates(None, file, environ, home) == (user, Path("/state/syncd.db"), SERVICE_DB)


def test_db_needs_no_configuration(tmp_path: Path, home: Path) -> None:
    """With --db a reading command looks at no configuration, be it missing or broken."""
    broken = _write(tmp_path / "broken.toml", "[[[")
    for config in (broken, tmp_path / "missing.toml"):
        assert reading_db_candidates(tmp_path / "x.db", config, {}, home) == (tmp_path / "x.db",)


def test_a_found_file_that_cannot_be_read_is_passed_over_when_reading(home: Path) -> None:
    """A reading command goes on without a configuration that it may not read, a writing one refuses."""
    (home / ".config" / "syncd" / "config.toml").mkdir(parents=True)
    assert reading_db_candidates(None, None, {}, home)[-1] == SERVICE_DB
    with pytest.raises(ConfigError, match="can't be read"):
        load(None, {}, home)
    with pytest.raises(ConfigError, match="can't be read"):
        reading_db_candidates(None, home / ".config" / "syncd" / "config.toml", {}, home)


def test_init_writes_where_it_will_be_read(tmp_path: Path, home: Path) -> None:
    """A new configuration goes to $SYNCD_CONFIG, else to the user's own directory."""
    assert init_path({"SYNCD_CONFIG": str(tmp_path / "x.toml")}, home) == tmp_path / "x.toml"
    assert init_path({}, home) == home / ".config" / "syncd" / "config.toml"


def test_reading_commands_do_not_pay_for_validation() -> None:
    """Finding the database imports neither pydantic nor structlog."""
    code = (
        "import sys, syncd.config.places, syncd.logs; print([m for m in ('pydantic', 'structlog') if m in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 - the code above
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout == "[]\n"

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def test_the_demo_shows_the_main_job(launch: Any, tmp_path: Path) -> None:
    """It mirrors, shows events as they come, answers questions, says where all of it lies, and can be asked further."""
    process = launch("demo", "--seconds", "3", "--dir", tmp_path / "shown")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert re.search(r"demo: \d+ requests, \d+ rows in", out)
    assert re.search(r"^ +\d+  message\.new +\w+", out, re.MULTILINE)
    for question in ("Who waits longest for an answer?", "How fast do we answer, by job?", "Who interviewed best?"):
        assert out.split(f"{question}\n")[1].count("\n") > 3
    database = tmp_path / "shown" / "syncd.db"
    assert f"syncd --db {database} inbox" in out
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM messages WHERE account = 'demo'").fetchone()[0] >= 20_000
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    again = launch("demo", "--dir", tmp_path / "shown")
    _, err = again.communicate(timeout=20)
    assert (again.returncode, err.count("\n")) == (2, 1)

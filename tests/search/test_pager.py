import os
import pty
import subprocess
import sys
from pathlib import Path

from people import World


def show(world: World, *words: str, **environ: str) -> tuple[bytes, int]:
    """What a terminal gets to see, and the exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "syncd.cli.main", "--db", str(world.path), *words]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, env=os.environ | environ) as process:  # noqa: S603 - our own words
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
    os.close(ours)
    return seen, process.returncode


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_a_terminal_gets_a_pager(world: World, tmp_path: Path) -> None:
    """On a terminal the output goes through $PAGER, in colour; syncd waits for it to end."""
    world.say("m", "hello 日本語 مرحبا", day=1)
    pager = f"sh -c 'cat > {tmp_path}/paged; echo over'"
    seen, code = show(world, "thread", "c1", PAGER=pager)
    paged = (tmp_path / "paged").read_text(encoding="utf-8")
    assert (seen.strip(), code) == (b"over", 0)
    assert "hello 日本語 مرحبا" in paged
    assert "\x1b[" in paged


def test_a_pager_that_is_left_early_is_no_failure(world: World) -> None:
    """Whoever leaves the pager before the end of a long text hears of no error."""
    world.say("m", "word " * 100_000, day=1)
    seen, code = show(world, "thread", "c1", PAGER="sh -c 'head -c 10 >/dev/null'")
    assert (seen, code) == (b"", 0)


def test_cat_nothing_and_a_missing_pager_are_done_without(world: World) -> None:
    """With `cat`, an empty name or a pager that isn't there the text comes as it is; SYNCD_PAGER goes before PAGER."""
    world.say("m", "hello there", day=1)
    for environ in (
        {"PAGER": "cat"},
        {"PAGER": ""},
        {"PAGER": "/no/such/pager"},
        {"SYNCD_PAGER": "cat", "PAGER": "false"},
    ):
        seen, code = show(world, "search", "hello", **environ)
        assert (b"there" in seen, code) == (True, 0)


def test_a_pipe_gets_no_pager(world: World) -> None:
    """Into a pipe the text comes as it is."""
    world.say("m", "hello there", day=1)
    command = [sys.executable, "-m", "syncd.cli.main", "--db", str(world.path), "search", "hello"]
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ | {"PAGER": "false"})  # noqa: S603 - our own words
    assert "«hello» there".encode() in done.stdout

"""Long output goes through a pager, as git's does."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console

from syncd.cli.render import make_console

_USUAL = "less"
_OPTIONS = {"LESS": "FRX", "LV": "-c"}
"""As git has it: less ends by itself where everything fits, keeps colours, and leaves the text on the screen."""


class _PagedConsole(Console):
    """A console whose reader may leave before the end."""

    def on_broken_pipe(self) -> None:
        """Leave it to `paging`; by itself it would end the program as a failure."""
        raise BrokenPipeError


@contextmanager
def paging() -> Iterator[Console]:
    """What is printed on this console goes through $SYNCD_PAGER, $PAGER or less, if it is for a terminal.

    `cat` or an empty name turns the pager off; one that can't be started is done without.
    """
    words = _find_pager()
    process = _start(words) if words and sys.stdout.isatty() else None
    if process is None or process.stdin is None:
        yield make_console()
        return
    width = make_console().width
    console = _PagedConsole(
        file=process.stdin, force_terminal=True, width=width, highlight=False, markup=False, emoji=False
    )
    try:
        with suppress(BrokenPipeError):  # whoever reads has seen enough
            yield console
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        _wait(process)


def _find_pager() -> list[str]:
    for name in ("SYNCD_PAGER", "PAGER"):
        if name in os.environ:
            words = shlex.split(os.environ[name])
            return [] if words in ([], ["cat"]) else words
    return [] if os.environ.get("TERM") == "dumb" else [_USUAL]


def _start(words: list[str]) -> "subprocess.Popen[str] | None":
    try:
        return subprocess.Popen(  # noqa: S603 - the user's own choice of a pager
            words,
            stdin=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_OPTIONS | dict(os.environ) | {"LESSCHARSET": "utf-8"},
        )
    except OSError:
        return None


def _wait(process: "subprocess.Popen[str]") -> None:
    while True:
        try:
            process.wait()
        except KeyboardInterrupt:  # it is the pager's: less breaks off a search with it
            continue
        return

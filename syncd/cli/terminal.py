"""How results reach people and programs: tables, JSON, CSV, times, and a pager for what is long."""

import csv
import errno
import io
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncd.core.times import as_datetime, seconds_between
from syncd.errors import SyncdError

# The standard streams of this process, whatever they are.


class OutputError(SyncdError):
    """Standard output takes nothing: it is closed, or its disk is full."""


class PipeClosedError(Exception):
    """Whoever read our output has gone."""


class _Output(io.FileIO):
    """Standard output: what it does not take is an error of its own, whichever library writes."""

    def write(self, data: Any, /) -> int:
        """Write some bytes."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise PipeClosedError from None
        except OSError as error:
            if error.errno == errno.EBADF:
                raise OutputError("standard output is closed; give it a file or a pipe") from None
            raise OutputError(
                f"standard output can't be written: {error.strerror}; make room, or name another place"
            ) from None


class _Errors(io.FileIO):
    """Standard error: where nobody can be told, nothing is changed by it."""

    def write(self, data: Any, /) -> int:
        """Write some bytes, or lose them."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def take_streams() -> None:
    """Have standard output and standard error fail as above, and no file of ours take the number of a closed one."""
    # A closed standard output stays one that can't be written, so that whoever wants its data is told.
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # noqa: FBT003 - it takes no names  # noqa: FBT003 - it takes no names
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a number, open as long as we live
    sys.stdout = _wrap(_Output(1, "w", closefd=False), sys.stdout, "replace")  # a "?" for letters that a terminal lacks
    sys.stderr = _wrap(_Errors(2, "w", closefd=False), sys.stderr, "backslashreplace")


def _wrap(raw: io.FileIO, before: TextIO | None, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before is not None else "utf-8",
        errors=errors,
        line_buffering=raw.fileno() == 2 or raw.isatty(),  # noqa: PLR2004 - standard error
        write_through=getattr(before, "write_through", False),
    )


def let_go_of_output() -> None:
    """Lose what standard output has not taken, and whatever is still to come."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


# Text from the network, made safe for a terminal.


_BREAKS = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
# Escape sequences go whole: without their first character the rest would be litter. First colours and the cursor's
# moves, then titles and other strings, then the short ones.
_ESCAPES = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"
    "|\x1b[\\]PX^_][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\\\)"
    "|\x1b[ -/]*[0-~]"
)  # fmt: skip
# Controls, then what turns or walls off the direction of the text around it, byte order marks and annotations.
# Direction marks and joiners stay: Arabic, Persian and emoji need them, and they touch no more than their neighbours.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]")
_HALVES = re.compile("[\ud800-\udfff]")
_JSON_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")


def make_safe(text: str, *, newlines: bool = False) -> str:
    """Drop whatever could steer a terminal; a line break stays one with `newlines`, else it becomes a space.

    Escape sequences, control characters, and overrides, embeddings and isolates of the writing direction go; letters
    of every script and emoji stay.
    """
    if text.isascii() and text.isprintable():
        return text
    spaced = text.replace("\t", "    " if newlines else " ")
    broken = _BREAKS.sub("\n" if newlines else " ", _ESCAPES.sub("", spaced))
    return _HALVES.sub("\ufffd", _UNSAFE.sub("", broken))


def escape_json(text: str) -> str:
    r"""Write the characters of a JSON text that could steer a terminal as `\uXXXX`, which reads back as the same."""
    return _JSON_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# Times and lengths of time as people read them.


_UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
_BYTES = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000.0


def render_length(seconds: float) -> str:
    """How long, in the largest unit that fits: `45 s`, `12 min`, `3 h`, `5 d`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def render_distance(instant: str, now: str) -> str:
    """How far the instant lies from now: `3 h ago`, `in 5 min`."""
    seconds = seconds_between(instant, now)
    return f"in {render_length(-seconds)}" if seconds <= -1 else f"{render_length(seconds)} ago"


def render_local(instant: str, form: str = "%Y-%m-%d %H:%M") -> str:
    """The instant in this machine's time zone; at the ends of the calendar, where zones fail, in UTC."""
    moment = as_datetime(instant)
    try:
        return moment.astimezone().strftime(form)
    except (OverflowError, ValueError):
        return moment.strftime(form)


def render_moment(instant: str | None, now: str, missing: str = "never") -> str:
    """The instant in local time and how far away it is."""
    return f"{render_local(instant)} ({render_distance(instant, now)})" if instant else missing


def render_size(size: float) -> str:
    """A number of bytes in the largest unit that fits."""
    for unit in _BYTES[:-1]:
        if size < _THOUSAND:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} {_BYTES[-1]}"


# The one place that turns a result into JSON, CSV, or a table for people.


WIDE = 160
"""Columns from which a table shows each thing on one line."""
_NARROWEST_CELL = 8


def make_console(*, stderr: bool = False) -> Console:
    """The terminal, or what stands in for it; colour only on a terminal, and not with NO_COLOR."""
    return Console(highlight=False, markup=False, emoji=False, stderr=stderr)


def print_json(value: Any) -> None:
    """Print one JSON document; characters that could steer a terminal are escaped, none is lost."""
    sys.stdout.write(_to_json(value, indent=2) + "\n")


def print_json_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print an array of objects as they come, one a line."""
    before = "[\n"
    for row in rows:
        sys.stdout.write(before + _to_json(row))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def print_json_line(value: Mapping[str, Any]) -> None:
    """Print one object on a line of its own."""
    sys.stdout.write(_to_json(value) + "\n")


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print CSV with a heading; exact data, except on a terminal, which must not be steered by it."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    guarded = sys.stdout.isatty()
    for row in chain([names], rows):
        values = [_plain(value) for value in row]
        writer.writerow(
            [make_safe(value, newlines=True) if isinstance(value, str) and guarded else value for value in values]
        )


def print_rows(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print any rows: as a table where the columns fit side by side, else one block for each row."""
    if not rows:
        console.print("No rows.")
        return
    if len(names) * _NARROWEST_CELL > console.width:
        _print_blocks(console, names, rows)
        return
    table = make_table(*(make_safe(name) for name in names))
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def make_table(*headings: str) -> Table:
    """An empty table in the one style that all of syncd's tables have."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table


def print_facts(console: Console, facts: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values side by side, indented; long values stay in their column."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(f"  {name}", value if isinstance(value, Text) else Text(value))
    console.print(table)


def safe_text(value: object, style: str = "", *, newlines: bool = False) -> Text:
    """Text of the database for people; None is empty."""
    return Text("" if value is None else make_safe(str(value), newlines=newlines), style=style)


def _print_blocks(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    for number, row in enumerate(rows, 1):
        console.print(Text(f"row {number}", style="bold"))
        values = [_cell(value) for value in row]
        for value in values:
            value.justify = None  # numbers stand right only below each other
        print_facts(console, [(make_safe(name), value) for name, value in zip(names, values, strict=True)])


def _cell(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, int | float):
        return Text(str(value), justify="right")
    return safe_text(_plain(value), newlines=True)


def _plain(value: Any) -> Any:
    """A blob as hexadecimal digits; an infinite number, which JSON can't write, as None."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _to_json(value: Any, indent: int | None = None) -> str:
    prepared = {name: _plain(item) for name, item in value.items()} if isinstance(value, Mapping) else value
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    return escape_json(json.dumps(prepared, ensure_ascii=ascii_only, indent=indent))


# Long output goes through a pager, as git's does.


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

"""Logs: one JSON object a line for machines, coloured text for people, never a token, never a traceback."""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import time
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # structlog takes 0.2 s to import, and a reading command logs nothing
    from collections.abc import Callable, Mapping, MutableMapping

    from structlog.typing import FilteringBoundLogger, Processor

_SECRET_SHAPES = (
    (re.compile(r"ot_pat_[\w-]+"), "ot_pat_***"),
    (re.compile(r"\b(bearer) +[^\s\"']+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), r"\1:***@"),
)
_SHORTEST_SECRET = 4  # a shorter one would blot out ordinary words
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # syslog's numbers
_LEVELS = (logging.WARNING, logging.ERROR, logging.CRITICAL)
_secrets: set[str] = set()


class _Sink:
    """Writes lines to a stream; a line that the stream refuses is lost, for logging must not end the daemon."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line at once, so that lines of several threads do not mix."""
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _LibraryRecords(logging.Handler):
    """Passes on what libraries log through the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as the event `library`, with the library's own words as its message."""
        error = record.exc_info[1] if record.exc_info else None
        fields = {"error": describe_error(error)} if error else {}
        level = max(known for known in _LEVELS if known <= record.levelno)
        get_logger().log(level, "library", logger=record.name, message=_words_of(record), **fields)


_sink: _Sink | None = None
_is_json: bool | None = None  # before `configure` nobody knows


def configure(
    level: str = "info",
    format: str = "auto",  # noqa: A002 - the setting's own name
    *,
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
    run_id: str | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Set up all logging; loggers given out earlier follow, so it can be called again. `clock` gives epoch seconds."""
    import structlog  # noqa: PLC0415 - see TYPE_CHECKING above

    global _is_json, _sink  # noqa: PLW0603 - a process has one log
    stream = stream or sys.stderr
    _sink = _Sink(stream)
    for_people = format == "console" or (format == "auto" and stream.isatty())
    _is_json = not for_people
    renderers = _console(stream, environ) if for_people else _json()
    if is_journal(stream, environ):
        renderers.append(_add_priority)
    structlog.configure(
        processors=[_stamp(clock, run_id), _name_error, _clean, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _sink,
        cache_logger_on_first_use=False,
    )
    _adopt_libraries()


def get_logger(**fields: Any) -> FilteringBoundLogger:
    """Return a logger with `fields` on each of its lines."""
    import structlog  # noqa: PLC0415 - see TYPE_CHECKING above

    logger: FilteringBoundLogger = structlog.get_logger(**fields)
    return logger


def is_json() -> bool:
    """Say whether each line of the log is a JSON object; before it was set up, by what the output is."""
    if _is_json is None:
        configure()
    return bool(_is_json)


def register_secret(text: str) -> None:
    """Keep a token, header value or password out of every later line."""
    if len(text) >= _SHORTEST_SECRET:
        _secrets.add(text)


def redact(text: str) -> str:
    """Return `text` without registered secrets and without what looks like one."""
    for secret in sorted(_secrets, key=len, reverse=True):  # the longest first: one may contain another
        text = text.replace(secret, "***")
    for shape, shown in _SECRET_SHAPES:
        text = shape.sub(shown, text)
    return text


def describe_error(error: BaseException) -> str:
    """Return an error as one line: its type and its words, never its traceback."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether a stream goes straight to systemd's journal, which reads a priority in front of each line."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # ValueError covers streams that are no file
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _words_of(record: logging.LogRecord) -> str:
    """Return a library's message; one whose format does not fit its arguments, without them."""
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _json() -> list[Processor]:
    import structlog  # noqa: PLC0415 - see TYPE_CHECKING above

    return [structlog.processors.JSONRenderer()]  # ASCII only: right in every locale, safe in every terminal


def _console(stream: TextIO, environ: Mapping[str, str]) -> list[Processor]:
    import structlog  # noqa: PLC0415 - see TYPE_CHECKING above

    colors = stream.isatty() and not environ.get("NO_COLOR")
    return [_make_visible, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="timestamp")]


def _stamp(clock: Callable[[], float], run_id: str | None) -> Processor:
    def add(_: Any, method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
        milliseconds = int(clock() * 1000)
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
        first = {"timestamp": f"{seconds}.{milliseconds % 1000:03}Z", "level": method, "event": line.pop("event")}
        run = {"run_id": run_id} if run_id is not None else {}
        return {**first, **run, **line}

    return add


def _name_error(_: Any, __: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Turn `exc_info` into one line; a stack is left out."""
    line.pop("stack_info", None)
    given = line.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    return {"error": describe_error(error), **line} if error else line


def _clean(_: Any, __: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {redact(str(key)): _clean_value(value) for key, value in line.items()}


def _clean_value(value: Any) -> Any:
    """Return a value as JSON can hold it, without secrets at any depth."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {redact(str(key)): _clean_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean_value(item) for item in value]
    return redact(str(value))


def _make_visible(_: Any, __: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Escape what would steer a terminal: control characters, line ends, changes of the writing direction."""
    return {_visible(str(key)): _visible(item) if isinstance(item, str) else item for key, item in line.items()}


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(ascii(letter)[1:-1] if unicodedata.category(letter) in _STEERING else letter for letter in text)


_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _add_priority(_: Any, method: str, line: Any) -> str:
    return f"<{_PRIORITIES.get(method, 6)}>{line}"


def _adopt_libraries() -> None:
    """Send the warnings of libraries the same way; what they say below that is left out."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    if not any(isinstance(known, _LibraryRecords) for known in root.handlers):
        root.addHandler(_LibraryRecords(logging.WARNING))

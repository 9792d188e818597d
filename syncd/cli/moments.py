"""Times and lengths of time as people read them."""

from syncd.core.times import as_datetime, seconds_between

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

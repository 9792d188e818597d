"""When to ask again: cadence, backoff, a server's "retry after"."""

INTERVIEW_LOOK_SECONDS = 3600.0
"""How long a proposal without an interview is left alone, in seconds, while its conversation is active."""

ACTIVE_SECONDS = 7 * 86400.0
"""How long after its last message a conversation counts as active, in seconds."""

SIT_OUT_SECONDS = 60.0
"""The longest wait that is sat out inside a pass, in seconds."""

EXPLAIN_PAGES = 3
"""How many pages a poll spends on looking for what moved one conversation."""

ERASURE_LOOK_SECONDS = 3600.0
"""How long after the signs of a person's erasure were first seen they must be seen again, in seconds."""

SECOND_LOOK_SECONDS = 600.0
"""How long after a large loss was first seen it is looked at again, in seconds."""

_FIRST_BACKOFF = 60.0
_LONGEST_BACKOFF = 6 * 3600.0
_FIRST_TROUBLE = 5.0
_LONGEST_PUBLISH_WAIT = 60.0
_LONGEST_TROUBLE = 300.0


def backoff(tries: int) -> float:
    """Seconds to leave a failed subject alone after so many tries: doubling from a minute to six hours."""
    return min(_FIRST_BACKOFF * 2.0 ** min(tries - 1, 30), _LONGEST_BACKOFF)


def trouble_wait(troubles: int, poll_seconds: float) -> float:
    """Seconds until an account in trouble for so many polls in a row is tried again: doubling, up to five minutes."""
    return min(max(_FIRST_TROUBLE, poll_seconds) * 2.0 ** min(troubles - 1, 30), max(_LONGEST_TROUBLE, poll_seconds))


def publish_wait(tries: int) -> float:
    """Seconds until a target that could not be published to so many times in a row is tried again: 1, 2, 4 … 60."""
    return min(2.0 ** min(tries - 1, 30), _LONGEST_PUBLISH_WAIT)


def next_interval(interval: float, *, busy: bool, poll_seconds: float, idle_seconds: float) -> float:
    """Seconds to the next poll: `poll_seconds` while busy, then a quarter more each time, up to `idle_seconds`."""
    if busy:
        return poll_seconds
    return min(max(interval, poll_seconds) * 1.25, max(idle_seconds, poll_seconds))
